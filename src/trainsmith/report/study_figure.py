"""Figures of a study: curves while training, trials against learning rates, tuning curves. One legend serves all."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from trainsmith.comparison import Row, Study
from trainsmith.comparison.study import Attempt
from trainsmith.report import words
from trainsmith.report.drawing import INK, PALETTE, figure_of, places, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = ("", "6 2", "2 2", "8 2 2 2", "12 3", "4 4", "8 2 2 2 2 2", "1 3")
"""Of strokes; with the colours they make 64 lines that differ, also in grey."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
MOST_DRAWN = 40
"""Lines in one figure; a design may have hundreds of combinations."""
MOST_SHOWN = 8
"""Lines that are shown before anybody asks for more."""
BEGINNING = 0.2
"""The share of a training whose scores may lie outside the figure."""
LEAST_R2 = -0.5
"""What lies further below 0 is left out of a figure."""
FAR = 20
"""Costs that lie further above the best, in distances from it to the median, are left out of a figure."""
WIDTH, HEIGHT = 4.8, 3.1
"""Inches: on a phone as wide as its screen, with text that can be read."""


@dataclass(frozen=True)
class Line:
    """One technique's line in every figure of its family: number, colour, dashes and marker."""

    row: Row
    number: int
    colour: str
    dashes: str
    marker: str
    shown: bool

    @property
    def swatch(self) -> Markup:
        """The line as it is drawn, for a legend."""
        stroke = f"var(--{'ink' if self.row.is_baseline else f'c{PALETTE.index(self.colour)}'})"
        width = 3 if self.row.is_baseline else 2
        return Markup(
            f'<svg viewBox="0 0 34 12" aria-hidden="true"><path d="M0 6H34" stroke="{stroke}" stroke-width="{width}" '
            f'stroke-dasharray="{self.dashes}"/></svg>'
        )

    def style(self) -> dict[str, Any]:
        """What matplotlib is told of the line."""
        dashes = (0, tuple(map(float, self.dashes.split()))) if self.dashes else "-"
        width = 2.4 if self.row.is_baseline else 1.6
        return {"color": self.colour, "linestyle": dashes, "linewidth": width, "gid": f"series-{self.number}"}


@dataclass(frozen=True)
class Drawn:
    """A figure: its picture, and (series, x, y, words) of every point that can be asked for, as JSON."""

    picture: Markup
    points: str


def lines(study: Study, family: str) -> list[Line]:
    """A line for each row that is drawn, best first; the baseline always is the same."""
    found = []
    for i, row in enumerate(drawn(study, family)):
        colour, dashes, marker = PALETTE[i % 8], DASHES[(i + i // 8) % 8], MARKERS[i % 8]
        if row.is_baseline:
            colour, dashes, marker = INK, "", "o"
        found.append(Line(row, i, colour, dashes, marker, row.is_baseline or i < MOST_SHOWN))
    return found


def drawn(study: Study, family: str) -> tuple[Row, ...]:
    """The rows of a family that its figures show: all, or the baseline and the best of very many."""
    rows = study.family(family)
    if len(rows) <= MOST_DRAWN:
        return rows
    best = rows[:MOST_DRAWN]
    return best if any(r.is_baseline for r in best) else (*best[:-1], next(r for r in rows if r.is_baseline))


def curves(study: Study, family: str, of: Sequence[Line]) -> Drawn:
    """Mean validation score against steps, with a band of its 95 % interval, one line per technique."""
    figure, ax = figure_of(WIDTH, HEIGHT)
    factor, told = _factor(study), []
    for line in of:
        curve = line.row.curve
        mean = [factor * v for v in curve.mean]
        low, high = ([_possible(study, factor * v) for v in end] for end in (curve.low, curve.high))
        ax.fill_between(
            curve.steps, low, high, color=line.colour, alpha=0.13, linewidth=0, gid=f"series-{line.number}-band"
        )
        ax.plot(curve.steps, mean, **line.style())
        told += [
            (
                line.number,
                s,
                m,
                f"step {s}: {_value(study, m)} [{_value(study, min(a, b))}, {_value(study, max(a, b))}]",
            )
            for s, m, a, b in zip(curve.steps, mean, low, high, strict=True)
        ]
    _look_at_the_end(ax, study, of)
    ax.set_xlabel("step")
    ax.set_ylabel(_axis(study, "validation"))
    return _told(figure, ax, f"Validation {study.metric} against steps for each {family}", told)


def tuning(study: Study, family: str, of: Sequence[Line]) -> Drawn:
    """Every tuning trial: validation score against learning rate, one line per technique.

    Of a fast study the line joins the trials of the first rung's length; those that were trained longer, which would
    else look like a peak at the best learning rates, stand alone.
    """
    figure, ax = figure_of(WIDTH, HEIGHT)
    told = []
    for line in of:
        points = sorted((rate, _factor(study) * a.score, a.share) for rate, a in _rates(line.row))
        alike = [(x, y) for x, y, share in points if share == _shortest(study)]
        longer = [(x, y) for x, y, share in points if share != _shortest(study)]
        style, axes = line.style(), zip(*alike, strict=True) if alike else ([], [])
        ax.plot(*axes, **style, marker=line.marker, markersize=4)
        if longer:
            style |= {"linestyle": "none", "markerfacecolor": "none", "gid": f"{style['gid']}-longer"}
            ax.plot(*zip(*longer, strict=True), **style, marker=line.marker, markersize=6)
        told += [(line.number, x, y, _trial_words(study, x, y, share)) for x, y, share in points]
    ax.set_xscale("log")
    _look_at_what_is_worth_it(ax, [y for _, _, y, _ in told], study)
    ax.set_xlabel("learning rate")
    ax.set_ylabel(_axis(study, "tuning"))
    title = f"Validation {study.metric} of every tuning trial against the learning rate, for each {family}"
    return _told(figure, ax, title, told)


def tuning_curves(study: Study, family: str, of: Sequence[Line]) -> Drawn:
    """The score to be expected of the best of k trials, for each k: what tuning is worth to each technique."""
    from matplotlib.ticker import MaxNLocator

    figure, ax = figure_of(WIDTH, HEIGHT)
    factor, told = _factor(study), []
    for line in of:
        values = [factor * v for v in line.row.tuning_curve]
        trials = range(1, len(values) + 1)
        ax.plot(trials, values, **line.style(), marker=line.marker, markersize=4)
        told += [(line.number, k, v, f"best of {k}: {_value(study, v)}") for k, v in zip(trials, values, strict=True)]
    _look_at_what_is_worth_it(ax, [y for _, _, y, _ in told], study)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trials")
    ax.set_ylabel(_axis(study, "expected best"))
    title = f"Expected best validation {study.metric} against the number of tuning trials, each {family}"
    return _told(figure, ax, title, told)


def _look_at_what_is_worth_it(ax: Axes, values: Sequence[float], study: Study) -> None:
    """Cut off what is much worse than the rest: R² far below 0, and costs far above the median."""
    if not values:
        return
    least, most = -math.inf, math.inf
    if study.lower_is_better:
        best = min(values)
        most = best + FAR * max(statistics.median(values) - best, 0.01 * abs(best))
    elif study.metric == "R²":
        least = min(LEAST_R2, max(values))
    kept = [value for value in values if least <= value <= most]
    if len(kept) < len(values):
        _look_between(ax, min(kept), max(kept))


def _look_at_the_end(ax: Axes, study: Study, of: Sequence[Line]) -> None:
    """Cut off the steep beginning, so that what is different in the end, and how sure that is, can be seen."""
    shown = [line.row.curve for line in of if line.shown and line.row.curve.steps]
    settled = [
        value
        for curve in shown
        for step, value in zip(curve.steps, curve.mean, strict=True)
        if step >= BEGINNING * curve.steps[-1]
    ]
    ends = [end for curve in shown for end in (curve.low[-1], curve.high[-1])]
    seen = [_possible(study, _factor(study) * value) for value in (*settled, *ends) if math.isfinite(value)]
    if not seen:
        return
    low, high = min(seen), max(seen)
    if study.metric == "R²":
        low = max(low, LEAST_R2)
    _look_between(ax, low, high)


def _look_between(ax: Axes, low: float, high: float) -> None:
    room = 0.08 * max(high - low, 1e-3 * abs(high), 1e-6)
    ax.set_ylim(low - room, high + room)


def _told(figure: Figure, ax: Axes, title: str, told: Iterable[tuple[int, float, float, str]]) -> Drawn:
    picture = svg(figure, title)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    inside = [told_of for told_of in told if left <= told_of[1] <= right and low <= told_of[2] <= high]
    points = places(figure, ax, ((x, y) for _, x, y, _ in inside))
    seen = [(n, x, y, text) for (n, _, _, text), (x, y) in zip(inside, points, strict=True)]
    return Drawn(Markup(picture), json.dumps(seen, separators=(",", ":"), ensure_ascii=False))


def _rates(row: Row) -> list[tuple[float, Attempt]]:
    name = next((n for n in row.values if n.endswith(".lr")), None)
    return [(a.values[name], a) for a in row.attempts if name is not None and math.isfinite(a.score)]


def _shortest(study: Study) -> float:
    """The share of the steps that every trial was trained for."""
    return float(study.plan["rungs"][0]["share"]) if study.plan.get("fast") else 1.0


def _trial_words(study: Study, rate: float, score: float, share: float) -> str:
    after = f" after {words.rung_steps(study, share)} steps" if study.plan.get("fast") else ""
    return f"learning rate {rate:.2g}: {_value(study, score)}{after}"


def _factor(study: Study) -> float:
    return 100 if study.metric == "accuracy" else -1 if study.lower_is_better else 1


def _possible(study: Study, value: float) -> float:
    """An interval's end as it is shown: no share is above all or below nothing, no cost below 0."""
    if study.metric == "accuracy":
        return min(max(value, 0.0), 100.0)
    return max(value, 0.0) if study.lower_is_better else min(value, 1.0)


def _value(study: Study, value: float) -> str:
    return f"{value:.1f} %" if study.metric == "accuracy" else f"{value:.3f}"


def _axis(study: Study, of: str) -> str:
    return f"{of} {study.metric}, %" if study.metric == "accuracy" else f"{of} {study.metric}"


__all__ = ["Drawn", "Line", "curves", "lines", "tuning", "tuning_curves"]
