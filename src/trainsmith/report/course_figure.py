"""The picture of a training under inspection: loss, spread, gradients, updates and dead units over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainsmith.inspection import Course
from trainsmith.report.course_table import update_ratios
from trainsmith.report.drawing import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_APART = 0.055
"""Of a panel's height from one name at the end of a line to the next."""
Lines = Mapping[str, Sequence[float]]
"""A layer's values at each measured step, layers in the order of the data's way."""


def course_svg(course: Course) -> str:
    """Four panels over the steps as an <svg> element; layers are coloured from the first (dark) to the last."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    ((loss, spread), (gradient, update)) = figure.subplots(2, 2)
    steps = [m.step for m in course.measurements]
    loss.plot(range(len(course.losses)), course.losses, color="#0072B2", linewidth=0.9)
    _dress(loss, "loss of each batch")
    layers: dict[str, dict[str, list[float]]] = {"std": {}, "gradient_ratio": {}}
    for name, lines in layers.items():
        for m in course.measurements:
            for layer in m.layers:
                lines.setdefault(layer.name, []).append(getattr(layer, name))
    moved: dict[str, list[float]] = {}
    for m in course.measurements:
        for layer_name, value in update_ratios(m.parameters).items():
            moved.setdefault(layer_name, []).append(value)
    _lines(spread, steps, layers["std"], "spread of each layer's outputs")
    _lines(gradient, steps, layers["gradient_ratio"], "gradient, to that at the last layer")
    update.axhline(1e-3, color="#6b7280", linewidth=0.7, linestyle=":")
    _lines(update, steps, moved, "update / weight, a step (about 0.001 is usual)")
    for ax in (gradient, update):
        ax.set_xlabel("step", fontsize=8)
    return svg(figure, f"The course of {len(course.losses)} training steps over {len(layers['std'])} layers")


def _lines(ax: Axes, steps: Sequence[int], lines: Lines, title: str) -> None:
    """One line per layer, on a scale of powers of ten; names only where there are few."""
    from matplotlib import colormaps

    colours = colormaps["viridis"]
    drawn = [(name, v) for name, v in lines.items() if len(v) == len(steps)]
    named: list[tuple[str, float, Any]] = []
    for i, (name, values) in enumerate(drawn):
        kept = [v if v > 0 and math.isfinite(v) else math.nan for v in values]
        if all(map(math.isnan, kept)):
            continue
        colour = colours(0.92 * i / max(1, len(drawn) - 1))
        ax.plot(steps, kept, color=colour, linewidth=1.1, marker="." if len(steps) < 2 else None)
        if (i in (0, len(drawn) - 1) or len(drawn) <= 6) and math.isfinite(kept[-1]):
            named.append((name, kept[-1], colour))
    ax.set_yscale("log")
    _dress(ax, title)
    low, high = map(math.log, ax.get_ylim())
    ends = [(math.log(value) - low) / (high - low) for _, value, _ in named]
    for (name, _, colour), height in zip(named, apart(ends), strict=True):
        ax.text(1.01, height, f" {name}"[:22], transform=ax.transAxes, fontsize=6.5, color=colour, va="center",
                parse_math=False)  # fmt: skip


def apart(heights: Sequence[float], least: float = LEAST_APART) -> list[float]:
    """Heights at least so far from one another, in the same order, and together as near as can be to what they were."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(heights, kind="stable")
    steps = least * np.arange(len(order))
    moved = np.empty(len(order))
    moved[order] = isotonic_regression(np.asarray(heights)[order] - steps).x + steps
    return moved.tolist()


def _dress(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=9, loc="left")
    ax.tick_params(which="both", labelsize=7, colors="#6b7280")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
