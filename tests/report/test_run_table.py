"""The runs of a study in the terminal: scores by their metric's name and in its direction."""

import math

import pandas as pd
import pytest
from rich.console import Group

from trainsmith.report.run_table import one_run, run_table
from trainsmith.report.terminal import Printable

RECIPE = '{"initialization": "he", "regularization": ["dropout"], "clipping": "none"}'
RUNS = pd.DataFrame(
    {
        "stage": ["tuning", "fresh"], "job": "j", "place": [0, 1], "recipe": RECIPE,
        "hyperparameters": '{"adam.lr": 0.5}',
        "seed": [0, 1000], "status": ["diverged", "finished"], "step": [3, 5], "score": [math.nan, -0.25],
        "loss": [math.nan, 0.75], "weights": [None, "j-1.safetensors"],
    }
)  # fmt: skip
CURVES = pd.DataFrame(
    {
        "job": "j", "place": [0, 1, 1], "step": [1, 1, 5], "training_loss": 1.0, "validation_loss": 2.0,
        "validation_score": [-9.5, -0.5, -0.25],
    }
)  # fmt: skip


def printed(*tables):
    return str(Printable(Group(*tables)))


@pytest.mark.parametrize(("metric", "sign"), [("log loss", ""), ("R²", "-"), ("score", "-")])
def test_scores_have_their_metrics_name_and_direction(metric, sign):
    text = printed(run_table(RUNS, metric), run_table(CURVES, metric))
    assert metric in text
    assert f"validation {metric}" in text
    assert f"│ {sign}0.25" in text
    assert f"│ {sign}9.5" in text
    alone = printed(one_run(RUNS, CURVES, 1, metric=metric)).splitlines()
    rows = dict(line.strip().split(maxsplit=2)[-2:] for line in alone if line.strip().startswith((metric, "weights")))
    assert rows[metric.rpartition(" ")[2]] == f"{sign}0.25"
    assert rows["weights"] == "j-1.safetensors"
    assert "9.5" not in "".join(alone), "of another run"


def test_a_run_whose_weights_are_not_kept_has_no_line_for_them():
    assert "weights" not in printed(one_run(RUNS, CURVES, 0))
    assert RUNS.score[1] == -0.25, "the table is left as it was"
