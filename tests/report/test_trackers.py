"""A study's runs for MLflow and TensorBoard: every run once, with its settings, its curve and its end."""

import json
import math
import os
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from trainsmith.cli import main
from trainsmith.errors import InvalidInput
from trainsmith.report.trackers import RUN_TAG, to_mlflow, to_tensorboard, tracked

RECIPE = json.dumps({"initialization": "he", "normalization": "none", "activation": "relu", "optimizer": "adam",
                     "regularization": ["dropout", "flip"]})  # fmt: skip


@pytest.fixture
def runs():
    first = {"stage": "tuning", "job": "a", "place": 0, "recipe": RECIPE, "hyperparameters": '{"adam.lr": 0.01}',
             "seed": 7, "status": "done", "step": 20, "score": 0.75, "loss": 0.5, "weights": None}  # fmt: skip
    second = {**first, "place": 1, "seed": 8, "status": "diverged", "step": 10, "score": None, "loss": math.nan}
    return pd.DataFrame([first, second])


@pytest.fixture
def curves():
    columns = ["job", "place", "step", "training_loss", "validation_loss", "validation_score"]
    points = [("a", 0, 10, 1.5, 1.25, 0.5), ("a", 0, 20, 1.0, 0.5, 0.75), ("a", 1, 10, math.inf, math.nan, None)]
    return pd.DataFrame(points, columns=columns)


def test_every_run_has_its_settings_its_end_and_its_curve(runs, curves):
    first, second = tracked(runs, curves)
    assert first.settings == {
        "stage": "tuning", "seed": 7, "initialization": "he", "normalization": "none", "activation": "relu",
        "optimizer": "adam", "regularization": "dropout+flip", "adam.lr": 0.01,
    }  # fmt: skip
    assert first.ends == {"score": 0.75, "loss": 0.5, "steps": 20}
    assert [step for step, _ in first.points] == [10, 20]
    assert first.points[1][1] == {"training_loss": 1.0, "validation_loss": 0.5, "validation_score": 0.75}
    assert first.name == "0 he + relu + adam + dropout+flip, seed 7"
    assert second.status == "diverged"
    assert second.ends == {"steps": 10}, "what is no finite number is left out"
    assert second.points == ((10, {}),)
    assert first.id != second.id


@pytest.mark.parametrize(
    ("module", "write", "words"),
    [
        ("mlflow", lambda runs: to_mlflow("mine", runs, "sqlite:///x.db"), r"trainsmith\[mlflow\]"),
        ("tensorboard", lambda runs: to_tensorboard(runs, "x"), r"trainsmith\[tensorboard\]"),
    ],
)
def test_where_a_package_is_missing_the_extra_is_named(monkeypatch, module, write, words, runs, curves):
    for name in [n for n in sys.modules if n.split(".")[0] == module or n == "torch.utils.tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidInput, match=words):
        write(tracked(runs, curves))


def test_the_command_writes_nothing_but_the_page_unless_it_is_asked(tmp_path):
    done = CliRunner().invoke(main, ["report", "--help"])
    assert "--mlflow URI" in done.output
    assert "--tensorboard PATH" in done.output


@pytest.mark.filterwarnings("ignore")  # what mlflow's own packages warn of is theirs
def test_mlflow_gets_every_run_once(tmp_path, runs, curves, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy, which mlflow's own database needs, is not installed")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert to_mlflow("mine", tracked(runs.iloc[:1], curves), uri) == 1
    assert to_mlflow("mine", tracked(runs, curves), uri) == 1, "the first is there already"
    assert to_mlflow("mine", tracked(runs, curves), uri) == 0
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("mine")
    found = {r.data.tags[RUN_TAG]: r for r in client.search_runs([experiment.experiment_id])}
    assert len(found) == 2
    first = found["a-0"]
    assert first.data.params["adam.lr"] == "0.01"
    assert first.data.params["regularization"] == "dropout+flip"
    assert first.data.metrics["score"] == 0.75
    history = client.get_metric_history(first.info.run_id, "training_loss")
    assert sorted((m.step, m.value) for m in history) == [(10, 1.5), (20, 1.0)]
    assert (first.info.status, found["a-1"].info.status) == ("FINISHED", "FAILED")


@pytest.mark.filterwarnings("ignore")
def test_an_mlflow_that_cannot_be_used_is_one_sentence(runs, curves, tmp_path):
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    with pytest.raises(InvalidInput, match="cannot be used") as refused:
        to_mlflow("mine", tracked(runs, curves), "nonsense://x")
    assert len(str(refused.value).splitlines()) == 1


def test_tensorboard_gets_every_run_and_replaces_it_the_second_time(tmp_path, runs, curves):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        assert to_tensorboard(tracked(runs, curves), tmp_path) == 2
    assert sorted(os.listdir(tmp_path)) == ["a-0", "a-1"]
    read = EventAccumulator(str(tmp_path / "a-0"))
    read.Reload()
    points = [(e.step, e.value) for e in read.Scalars("validation_score")]
    assert points == [(10, 0.5), (20, 0.75)]
    assert [e.value for e in read.Scalars("end/score")] == [0.75]
    told = read.PluginTagToContent("hparams")
    assert any(b"adam.lr" in content for content in told.values())
