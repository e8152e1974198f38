"""What changed over a training under inspection, for the terminal and the page."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.inspection import Course, LayerStatistics
from trainsmith.report.inspection_number import number

BARS = "▁▂▃▄▅▆▇█"
MOST_BARS = 24
FEW = 6
COLUMNS = ("layer", "spread", "gradient / last layer's", "dead", "update / weight")


def course_title(course: Course) -> str:
    """What was trained, and where the loss went, in one line."""
    losses = smoothed(course.losses)
    return (
        f"Trained: {len(course.losses)} steps of {course.optimizer}, batches of {course.batch_size}; "
        f"loss {number(course.losses[0])} → {number(losses[-1])}"
    )


def smoothed(losses: Sequence[float]) -> list[float]:
    """Means of consecutive losses, at most MOST_BARS of them."""
    size = max(1, math.ceil(len(losses) / MOST_BARS))
    return [sum(part) / len(part) for i in range(0, len(losses), size) if (part := losses[i : i + size])]


def bars(values: Sequence[float]) -> str:
    """Values as a row of bars from the lowest to the highest; one that is not finite is a cross."""
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((v - low) * scale)] if math.isfinite(v) else "×" for v in values)


def course_rows(course: Course, start: Sequence[LayerStatistics]) -> list[tuple[str, ...]]:
    """Each layer that is there at both ends: its name, and what was and became of it, as text."""
    if not course.measurements:
        return []
    first, last = course.measurements[0], course.measurements[-1]
    ratios = [{m.name: m.gradient_ratio for m in at.layers} for at in (first, last)]
    updates = [update_ratios(at.parameters) for at in (first, last)]
    ends = {m.name: m for m in course.after}
    rows: list[tuple[str, ...]] = []
    for layer in start:
        end, own = ends.get(layer.name), layer.name.split(" (")[0]
        if end is None:
            continue
        dead = "" if not (layer.dead or end.dead) or layer.saturated is None else f"{layer.dead:.0%} → {end.dead:.0%}"
        moved = _change(*(at.get(own, math.nan) for at in updates)) if own == layer.name else ""
        gradient = _change(*(at.get(layer.name, math.nan) for at in ratios))
        rows.append((f"{layer.name} {layer.kind}", _change(layer.std, end.std), gradient, dead, moved))
    return rows


def update_ratios(parameters: Sequence[object]) -> dict[str, float]:
    """Update over weight of each layer's largest matrix, by the layer's name."""
    found: dict[str, float] = {}
    for p in parameters:
        layer, _, _ = str(p.name).rpartition(".")  # type: ignore[attr-defined]
        if len(p.shape) > 1:  # type: ignore[attr-defined]
            found.setdefault(layer, p.update_ratio)  # type: ignore[attr-defined]
    return found


def _change(before: float, after: float) -> str:
    if math.isnan(before) and math.isnan(after):
        return ""
    return f"{number(before)} → {number(after)}"


def course_table(course: Course, start: Sequence[LayerStatistics]) -> RenderableType:
    """One row per layer: what was at the start, and what became of it."""
    table = Table(title=Text(f"{course_title(course)}  {bars(smoothed(course.losses))}"))
    for name in COLUMNS:
        table.add_column(Text(name), justify="left" if name == "layer" else "right", overflow="fold")
    for row in course_rows(course, start):
        table.add_row(*(Text(cell) for cell in row))
    parts: list[RenderableType] = [table]
    if course.gone:
        parts.append(Text(f"No longer there in the end: {gone_words(course)}.", "green"))
    return Group(*parts)


def gone_words(course: Course) -> str:
    """Which findings of the start the training mended, and where."""
    layers: dict[str, list[str]] = {}
    for short, layer in course.gone:
        layers.setdefault(short, []).append(layer)
    return "; ".join(f"{short} at {shortened(names)}" for short, names in layers.items())


def shortened(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
