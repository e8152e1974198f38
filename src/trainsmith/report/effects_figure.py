"""A picture of a design's interactions: a map of each two techniques, with the four words of the verdict as marks."""

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from trainsmith.comparison import Study
from trainsmith.report.study_figure import figure_of, plain, svg

MARKS = {"better": "+", "worse": "−", "no difference worth having": "="}
"""What stands in a field; a field whose sign cannot be told has none."""


def interaction_map(study: Study) -> str:
    """The interaction of each two techniques as a colour, the verdict as a mark; empty fields were not trained."""
    factor = 100 if study.metric == "accuracy" else 1
    names = [e.techniques[0] for e in study.effects]
    place = {e.families + e.techniques: i for i, e in enumerate(study.effects)}
    values = np.full((len(names), len(names)), np.nan)
    figure, ax = figure_of(1.6 + 0.34 * len(names), 1.2 + 0.34 * len(names))
    for e in study.interactions:
        i, j = (place[f, t] for f, t in zip(e.families, e.techniques, strict=True))
        values[i, j] = values[j, i] = factor * e.difference.mean
        for x, y in ((i, j), (j, i)):
            ax.text(x, y, MARKS.get(e.verdict, ""), ha="center", va="center", fontsize=8)
    most = max(float(np.nanmax(np.abs(values))), 1e-9)
    shown = ax.imshow(values, cmap="PuOr", norm=TwoSlopeNorm(0, -most, most))
    ax.set_xticks(range(len(names)), [plain(n) for n in names], rotation=90)
    ax.set_yticks(range(len(names)), [plain(n) for n in names])
    ax.grid(visible=False)
    unit = "percentage points" if study.metric == "accuracy" else study.metric
    figure.colorbar(shown, ax=ax, shrink=0.8, label=f"together beyond the sum of both, {unit}")
    return svg(figure, "Interactions of each two techniques")
