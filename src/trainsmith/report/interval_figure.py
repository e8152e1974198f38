"""Differences from the baseline as marks on one line each, all of a family on one scale, to stand in a table."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from trainsmith.comparison import Study
from trainsmith.comparison.study import Estimate

WIDTH, MIDDLE, MARGIN = 200, 10, 12
COLOURS = {"better": "--good", "worse": "--bad"}


@dataclass(frozen=True)
class Scale:
    """From low to high, in the unit that is shown; delta: the smallest difference worth having, in that unit."""

    low: float
    high: float
    delta: float

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + (WIDTH - 2 * MARGIN) * min(1.0, max(0.0, share)), 1)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def scale_of(study: Study, differences: Sequence[Estimate | None]) -> Scale:
    """A scale for all; what lies very far from the others is left to an arrow at the scale's end."""
    factor = 100 if study.metric == "accuracy" else 1
    shown = [study.shown(d) for d in differences if d is not None]
    finite = [d for d in shown if all(math.isfinite(v) for v in (d.mean, d.low, d.high))]
    delta = study.delta if math.isfinite(study.delta) and study.delta > 0 else 1e-9
    sizes = [abs(d.mean) for d in finite] or [0.0]
    most = max(12 * delta, 3 * statistics.median(sizes))
    low = max(-most, min([d.low for d in finite] or [0.0]))
    high = min(most, max([d.high for d in finite] or [0.0]))
    return Scale(factor * min(low, -2 * delta), factor * max(high, 2 * delta), factor * delta)


def interval(study: Study, scale: Scale, difference: Estimate | None, verdict: str) -> Markup:
    """The interval as a line, its mean as a mark: filled where better (circle) or worse (square), else hollow."""
    left, right = scale.x(-scale.delta), scale.x(scale.delta)
    band = (
        f'<rect x="{left}" y="1" width="{right - left:.1f}" height="18" fill="var(--line)" opacity=".7"/>'
        f'<path d="M{scale.x(0)} 0V20" stroke="var(--soft)"/>'
    )
    body = ""
    if difference is not None and all(math.isfinite(v) for v in (difference.mean, difference.low, difference.high)):
        factor = 100 if study.metric == "accuracy" else 1
        d = study.shown(difference)
        low, mean, high = (factor * v for v in (d.low, d.mean, d.high))
        colour = f"var({COLOURS.get(verdict, '--ink')})"
        body = f'<path d="M{scale.x(low)} {MIDDLE}H{scale.x(high)}" stroke="{colour}" stroke-width="2.5"/>'
        body += _mark(scale.x(mean), colour, verdict) if scale.holds(mean) else ""
        body += _arrow(scale.x(scale.low), -1, colour) if low < scale.low else ""
        body += _arrow(scale.x(scale.high), 1, colour) if high > scale.high else ""
    return Markup(f'<svg class="interval" viewBox="0 0 {WIDTH} 20" aria-hidden="true">{band}{body}</svg>')


def _mark(x: float, colour: str, verdict: str) -> str:
    if verdict == "worse":
        return f'<rect x="{x - 4.5:.1f}" y="{MIDDLE - 4.5}" width="9" height="9" fill="{colour}"/>'
    fill = colour if verdict == "better" else "var(--paper)"
    return f'<circle cx="{x}" cy="{MIDDLE}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="1.8"/>'


def _arrow(x: float, way: int, colour: str) -> str:
    return f'<path d="M{x} {MIDDLE - 5}L{x + 8 * way} {MIDDLE}L{x} {MIDDLE + 5}Z" fill="{colour}"/>'


def _number(tick: float) -> str:
    """A tick's number with its sign; from thousands on with commas in place of an exponent."""
    return "0" if abs(tick) < 1e-12 else f"{tick:+,.0f}" if 1000 <= abs(tick) < 1e6 else f"{tick:+.3g}"


def axis(study: Study, scale: Scale) -> Markup:
    """The scale itself, for a table's heading."""
    from matplotlib.ticker import MaxNLocator

    ticks = [t for t in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(scale.low, scale.high) if scale.holds(t)]
    better = "← better" if study.lower_is_better else "better →"
    place = 'x="0" text-anchor="start"' if study.lower_is_better else f'x="{WIDTH}" text-anchor="end"'
    drawn = "".join(
        f'<path d="M{scale.x(t)} 25V30" stroke="var(--soft)"/><text x="{scale.x(t)}" y="23" text-anchor="middle" '
        f'font-size="11" fill="var(--ink)">{_number(t)}</text>'
        for t in ticks
    )
    return Markup(
        f'<svg class="axis" viewBox="0 0 {WIDTH} 30" aria-hidden="true"><text {place} y="10" font-size="11" '
        f'fill="var(--soft)">{better}</text>{drawn}</svg>'
    )


__all__ = ["Scale", "axis", "interval", "scale_of"]
