"""Figures of a study as SVG text: curves, differences, tuning."""

import io
import math
import re
import zlib
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from trainsmith.comparison import Row, Study
from trainsmith.report import words

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7f7f7f")
"""Okabe & Ito's colours, told apart also without colour vision; line styles tell them apart in grey."""
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 1, 2)))
MOST_DRAWN = 40
"""Lines in one figure; a design may have hundreds of combinations."""
STYLE: Any = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "svg.hashsalt": "trainsmith"}


def drawn(study: Study, family: str) -> tuple[Row, ...]:
    """The rows of a family that its figures show: all, or the baseline and the best of very many."""
    rows = study.family(family)
    if len(rows) <= MOST_DRAWN:
        return rows
    best = rows[:MOST_DRAWN]
    return best if any(r.is_baseline for r in best) else (*best[:-1], next(r for r in rows if r.is_baseline))


def curves(study: Study, family: str) -> str:
    """Mean validation score against steps, with a band of its 95 % interval, one line per technique."""
    rows = drawn(study, family)
    figure, ax = figure_of(6.4, _beside_legend(3.6, len(rows)))
    for i, row in enumerate(rows):
        colour, factor = PALETTE[i % len(PALETTE)], _factor(study)
        mean, low, high = ([factor * v for v in c] for c in (row.curve.mean, row.curve.low, row.curve.high))
        ax.fill_between(row.curve.steps, low, high, color=colour, alpha=0.12, linewidth=0)
        ax.plot(row.curve.steps, mean, color=colour, linestyle=STYLES[i % len(STYLES)], label=plain(words.name(row)))
    finite = [v for r in rows for v in r.curve.mean if math.isfinite(v)]
    if study.metric != "accuracy" and not study.lower_is_better and finite:
        ax.set_ylim(max(-0.5, min(finite)), max(finite) + 0.05)
    ax.set_xlabel("step")
    ax.set_ylabel(_axis(study, "validation"))
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg(figure, f"Validation {study.metric} against steps for each {family}")


def differences(study: Study, family: str) -> str:
    """Each technique's difference from the baseline with its interval, and the band not worth having."""
    rows = [r for r in drawn(study, family) if r.difference is not None][::-1]
    figure, ax = figure_of(6.4, 0.9 + 0.34 * len(rows))
    factor = _factor(study)
    ax.axvspan(-abs(factor) * study.delta, abs(factor) * study.delta, color="#9ca3af", alpha=0.25, linewidth=0)
    ax.axvline(0, color="#6b7280", linewidth=0.8)
    for i, row in enumerate(rows):
        assert row.difference is not None
        d = row.difference
        colour = {"better": PALETTE[2], "worse": PALETTE[1]}.get(row.verdict, PALETTE[0])
        ax.plot([factor * d.low, factor * d.high], [i, i], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot([factor * d.mean], [i], "o", color=colour, markersize=5)
    ax.set_yticks(range(len(rows)), [plain(r.technique) for r in rows])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ends = [factor * v for r in rows if r.difference for v in (r.difference.low, r.difference.high) if math.isfinite(v)]
    if ends and max(map(abs, ends)) > 40 * abs(factor) * study.delta:
        ax.set_xscale("symlog", linthresh=3 * abs(factor) * study.delta)
        ax.xaxis.set_major_formatter("{x:g}")
    unit = "percentage points" if study.metric == "accuracy" else study.metric
    less = "less is better; " if study.lower_is_better else ""
    ax.set_xlabel(f"difference from the baseline, {unit} ({less}grey: not worth having)")
    return svg(figure, f"Differences from the baseline for each {family}, with 95 % intervals")


def tuning(study: Study, family: str) -> str:
    """Every tuning trial: validation score against learning rate, one line per technique."""
    rows = drawn(study, family)
    figure, ax = figure_of(6.4, _beside_legend(3.2, len(rows)))
    for i, row in enumerate(rows):
        points = sorted(_rates(row))
        colour = PALETTE[i % len(PALETTE)]
        x, y = [p[0] for p in points], [_factor(study) * p[1] for p in points]
        ax.plot(x, y, color=colour, linestyle=STYLES[i % len(STYLES)], marker="o", markersize=3, linewidth=1,
                label=plain(words.name(row)))  # fmt: skip
    ax.set_xscale("log")
    if study.metric != "accuracy" and not study.lower_is_better:
        ax.set_ylim(bottom=-0.5)
    ax.set_xlabel("learning rate")
    ax.set_ylabel(_axis(study, "tuning"))
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg(figure, f"Validation {study.metric} of every tuning trial against the learning rate, for each {family}")


def tuning_curves(study: Study, family: str) -> str:
    """The score to be expected of the best of k trials, for each k: what tuning is worth to each technique."""
    rows = [r for r in drawn(study, family) if r.tuning_curve]
    figure, ax = figure_of(6.4, _beside_legend(3.2, len(rows)))
    factor = _factor(study)
    for i, row in enumerate(rows):
        k = range(1, len(row.tuning_curve) + 1)
        ax.plot(k, [factor * v for v in row.tuning_curve], color=PALETTE[i % len(PALETTE)], marker="o", markersize=3,
                linestyle=STYLES[i % len(STYLES)], linewidth=1, label=plain(words.name(row)))  # fmt: skip
    if study.metric != "accuracy" and not study.lower_is_better:
        ax.set_ylim(bottom=-0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trials")
    ax.set_ylabel(_axis(study, "expected best"))
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg(figure, f"Expected best validation {study.metric} against the number of tuning trials, each {family}")


def _rates(row: Row) -> list[tuple[float, float]]:
    name = next((n for n in row.values if n.endswith(".lr")), None)
    return [(a.values[name], a.score) for a in row.attempts if name is not None and math.isfinite(a.score)]


def _factor(study: Study) -> float:
    return 100 if study.metric == "accuracy" else -1 if study.lower_is_better else 1


def _axis(study: Study, of: str) -> str:
    return f"{of} {study.metric}, %" if study.metric == "accuracy" else f"{of} {study.metric}"


def _beside_legend(height: float, lines: int) -> float:
    """The height in inches that leaves room for a legend of so many lines."""
    return max(height, 0.5 + 0.175 * lines)


def plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def figure_of(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes, in the report's style."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        ax = figure.subplots()
    figure.patch.set_alpha(0)
    ax.patch.set_alpha(0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.5)
    return figure, ax


def svg(figure: Figure, title: str) -> str:
    """The figure as an <svg> element with a title for those who cannot see it, and ids of its own."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Title": title})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    number = zlib.crc32(title.encode())
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>f{number}-", text)
    return text.replace("<svg ", '<svg role="img" ', 1)


__all__: Sequence[str] = ["curves", "differences", "figure_of", "plain", "svg", "tuning", "tuning_curves"]
