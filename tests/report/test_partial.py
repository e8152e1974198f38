"""The page and the table of an unfinished study say its scores as the finished one will."""

import json
import math
from dataclasses import asdict

import pandas as pd
import pytest

from trainsmith.catalogue import Recipe
from trainsmith.report.partial import FRESH, Progress, progress_table, write_partial
from trainsmith.report.terminal import Printable

RECIPE = json.loads(json.dumps(asdict(Recipe())))


def unfinished(metric, scores):
    """Two tuning runs and two on fresh seeds of the baseline, the third of which diverged."""
    stages = ["tuning", "tuning", FRESH, FRESH]
    runs = pd.DataFrame({"stage": stages, "recipe": json.dumps(RECIPE), "score": scores})
    return Progress("<b>", "<script>", "mlp", RECIPE, 9, runs, "2026-01-01", None, metric=metric)


@pytest.mark.parametrize(
    ("metric", "scores", "said"),
    [
        ("accuracy", [0.5, 0.75, 0.5, 0.875], ["75.0 %", "68.8 %"]),
        ("log loss", [-0.5, -0.25, -0.125, -0.375], ["0.25", "0.25"]),
        ("bits per character", [-2.5, -3.0, math.nan, -2.25], ["2.5", "2.25 (1 diverged)"]),
        ("R²", [0.5, 0.25, math.nan, math.nan], ["0.5", " (2 diverged)"]),
    ],
)
def test_scores_are_said_in_the_metrics_own_direction(tmp_path, metric, scores, said):
    progress = unfinished(metric, scores)
    assert progress.rows() == [("baseline", "2", said[0], "2", said[1])]
    page = write_partial(progress, tmp_path / "report.html").read_text()
    text = str(Printable(progress_table(progress)))
    for words in (*said, f"best tuning {metric}", f"their mean {metric}"):
        assert words in page
        assert words in text
    assert "<script>" not in page
