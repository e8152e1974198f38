"""What a layer gives, before and after training, as two histograms over each other."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from trainsmith.comparison.study import Activations

WIDTH, HEIGHT = 120, 50


def layer(of: Activations) -> Markup:
    """Outline: the first weights; filled: the trained ones. Each as high as its own commonest value allows."""
    start, end = (_steps(h.counts) for h in (of.start, of.end))
    words = (
        f"{of.name}: spread {number(of.start_spread)} at the start, {number(of.end_spread)} after training, "
        f"values from {number(of.start.low)} to {number(of.start.high)}"
    )
    return Markup(
        '<svg viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img"><title>{words}</title>'
        '<path d="{end}" fill="var(--c0)" opacity=".55"/>'
        '<path d="{start}" fill="none" stroke="var(--c1)" stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
        '<path d="M0 {floor}H{w}" stroke="var(--soft)" vector-effect="non-scaling-stroke"/></svg>'
    ).format(w=WIDTH, h=HEIGHT, words=words, end=end, start=start, floor=HEIGHT - 1)


def _steps(counts: Sequence[int]) -> str:
    most, floor = max(1, *counts), HEIGHT - 1
    width = WIDTH / len(counts)
    tops = [round(floor - (floor - 2) * count / most, 1) for count in counts]
    return f"M0 {floor}" + "".join(f"V{top}H{(i + 1) * width:.1f}" for i, top in enumerate(tops)) + f"V{floor}Z"


def number(value: float) -> str:
    """Two digits, or a dash for what is no number."""
    return f"{value:.2g}" if math.isfinite(value) else "-"


__all__ = ["layer", "number"]
