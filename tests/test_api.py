"""The same from Python in five lines, and what comes out of it."""

import functools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import trainsmith
from fresh import Program, Server
from make_runs import blobs, line
from trainsmith.question import Question

SMALL = {"trials": 2, "seeds": 3, "steps": 25, "batch_size": 16, "processes": 1}


@pytest.fixture(scope="module")
def comparison():
    return trainsmith.compare("mlp", "wine", techniques=["sgd", "batch", "dropout"], **SMALL)


def test_a_comparison_has_a_table_a_best_recipe_and_a_report(comparison, tmp_path):
    text = str(comparison.table())
    assert "wine" in text
    assert "sgd" in text
    assert comparison.best().recipe in {row.recipe for row in comparison.study.rows}
    assert comparison.report(tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert "&lt;!doctype html&gt;" in comparison._repr_html_()
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_own_data_and_an_own_network_can_be_compared():
    data = blobs()

    def network(shape, outputs):
        return nn.Sequential(nn.Linear(shape[0], 20), nn.ReLU(), nn.Linear(20, outputs))

    compared = trainsmith.compare(
        network, (data.x.numpy(), data.y.numpy()), techniques=["tanh"], baseline={"optimizer": "sgd"}, **SMALL
    )
    assert compared.study.baseline.optimizer == "sgd"
    assert {row.technique for row in compared.study.rows} == {"relu", "tanh"}
    assert not compared.study.receipt.loops


def test_a_function_defined_in_a_script_can_be_trained_in_other_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import trainsmith\nfrom torch import nn\n"
        "factory = lambda shape, outputs: nn.Sequential(nn.Linear(shape[0], 9), nn.ReLU(), nn.Linear(9, outputs))\n"
        "study = trainsmith.compare(factory, 'wine', techniques=['sgd', 'momentum'], trials=2, seeds=2, steps=5,\n"
        "                           processes=2)\n"
        "print('best', study.best().technique)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "best" in done.stdout


def test_inspect_takes_any_module_and_draws(tmp_path):
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 3))
    inspection = trainsmith.inspect(module, (torch.randn(8, 1, 8, 8), torch.randint(0, 3, (8,))))
    assert len(inspection.layers) == 4
    assert "Conv2d" in str(inspection.table())
    assert inspection.figure(tmp_path / "layers.png").read_bytes()[:4] == b"\x89PNG"
    for write in (inspection.figure, inspection.report):
        with pytest.raises(trainsmith.InvalidInput, match="give a name that ends in"):
            write(tmp_path / "layers.pdf")
    json.dumps(inspection.to_dict(), allow_nan=False)


def test_what_is_exported_runs_without_trainsmith_and_prints_the_score_in_its_readme(comparison, tmp_path, python):
    folder = comparison.export(tmp_path / "won")
    lines = (folder / "README.md").read_text()
    done = _evaluate(python, folder)
    printed = done.stdout.split()[1]
    assert f"accuracy {printed}." in lines
    assert "trainsmith" not in "".join(p.read_text() for p in folder.glob("*.py"))
    (folder / "train.py").write_text("mine")
    with pytest.raises(trainsmith.InvalidInput, match="won' exists already; choose another folder"):
        comparison.export(folder)
    assert (folder / "train.py").read_text() == "mine"


def test_what_is_exported_trains_anew_to_the_reported_score(comparison, tmp_path, python):
    folder = comparison.export(tmp_path / "won")
    trained = _evaluate(python, folder, "train.py").stdout.splitlines()
    score = float(next(line for line in trained if line.startswith("test")).split()[2])
    test, readme = comparison.study.test.score, " ".join((folder / "README.md").read_text().split())
    low, high = re.search(r"lies with 95 % between (-?\d\.\d+) and (-?\d\.\d+)", readme).groups()
    assert float(low) <= score <= float(high)
    spread = (test.high - test.low) / 2 * math.sqrt(len(comparison.study.plan["seeds"]) + 1)  # of one, not of a mean
    assert float(low) == pytest.approx(test.mean - spread, abs=1e-4)
    assert float(high) == pytest.approx(min(1, test.mean + spread), abs=1e-4)
    assert re.search(r"agreed with the study's to \d\.\de-0[78] of their size", readme)


def test_an_exported_regression_predicts_in_the_targets_own_units(tmp_path, python):
    data = line()
    compared = trainsmith.compare("mlp", data, techniques=["batch", "standardization"], **{**SMALL, "steps": 150})
    folder = compared.export(tmp_path / "won")
    done = _evaluate(python, folder)
    assert done.stdout.startswith("R2 ")
    assert f"R2 {done.stdout.split()[1]}." in (folder / "README.md").read_text()
    with np.load(folder / "data.npz") as stored:
        assert abs(float(stored["y_test"].mean()) - 50) < 20


def _evaluate(python: Server, folder: Path, script: str = "evaluate.py") -> Program:
    code = "import sys, runpy; sys.modules['trainsmith'] = None; sys.path[0] = '.'; sys.argv = ['x']; "
    done = python.run(f"{code}runpy.run_path('{script}', run_name='__main__')", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def test_a_convolutional_network_is_exported_with_layers_for_images(tmp_path, python):
    def network(shape, outputs):
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, outputs))

    compared = trainsmith.compare(network, "digits", baseline={"normalization": "batch"}, techniques=["layer"], **SMALL)
    folder = compared.export(tmp_path / "won")
    source = (folder / "model.py").read_text()
    assert re.search(r"nn.BatchNorm2d\(\s*3", source) or re.search(r"nn.GroupNorm\(\s*1, 3", source)
    assert f"accuracy {_evaluate(python, folder).stdout.split()[1]}." in (folder / "README.md").read_text()


def test_an_own_network_cannot_be_written_as_source_and_the_study_says_so(tmp_path):
    class Own(nn.Module):
        def __init__(self, shape, outputs):
            super().__init__()
            self.a, self.act, self.b = nn.Linear(shape[0], 8), nn.ReLU(), nn.Linear(8, outputs)

        def forward(self, x):
            return self.b(self.act(self.a(x)))

    compared = trainsmith.compare(Own, blobs(), techniques=["tanh"], **SMALL)
    compared.save(tmp_path / "study")
    assert not (tmp_path / "study" / "winner").exists()
    assert "was not exported" in (tmp_path / "study" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mlp", "digitz"), "did you mean digits"),
        (("mlp", "wine", {"techniques": ["adamm"]}), "did you mean adam"),
        (("mlp", "wine", {"baseline": {"optimiser": "sgd"}}), "did you mean optimizer"),
        (("mlp", "wine", {"processes": 0}), "processes must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input_raises_one_clear_error(arguments, message):
    network, data, *options = arguments
    with pytest.raises(trainsmith.InvalidInput, match=message):
        trainsmith.compare(network, data, **(options[0] if options else {}))


def test_a_misspelt_argument_is_named_with_the_nearest():
    for call in (trainsmith.compare, trainsmith.plan):
        with pytest.raises(
            trainsmith.InvalidInput, match=f"unknown argument of {call.__name__} 'trails': .*mean trials"
        ):
            call("mlp", blobs(), trails=3)
    with pytest.raises(trainsmith.InvalidInput, match=r"unknown argument of plan '_': choose one of: .* seeds, .*"):
        trainsmith.plan("mlp", blobs(), _=0)


def test_whole_numbers_of_every_kind_are_taken_and_noted_as_pythons():
    kinds = (int, np.int64, np.uint8, lambda number: np.array(number, np.int32), torch.tensor)
    records = []
    for kind in kinds:
        numbers = {"trials": 2, "seeds": 3, "steps": 7, "batch_size": 8, "labels": 20}
        asked = {name: kind(value) for name, value in numbers.items()}
        planned = trainsmith.plan("mlp", blobs(), processes=kind(1), techniques=["tanh"], **asked)
        records.append(json.dumps(planned.to_dict()["budget"] | planned.to_dict()["training"]))
        question = Question(techniques=["tanh"], **asked)
        records.append(json.dumps(question.record("mlp", question.dataset(blobs()))))
    assert len(set(records)) == 2
    lists = ([3], (3,), np.array([3]), torch.tensor([3]), torch.tensor([[3]]))
    for refused in (True, np.True_, torch.tensor(True), 3.0, np.float32(3), torch.tensor(3.0), "3", None, *lists):
        with pytest.raises(trainsmith.InvalidInput, match="trials must be a whole number of at least 1; got"):
            trainsmith.plan("mlp", blobs(), trials=refused)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'kompare'"):
        _ = trainsmith.kompare
    assert {"compare", "inspect"} <= set(dir(trainsmith))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"regularization": "dropout+l2"}, {"regularization": ("dropout", "l2")}),
        ({"regularization": "none"}, {"regularization": ()}),
        ({"optimizer": "sgd+clip-by-norm"}, {"optimizer": "sgd", "clipping": "clip-by-norm"}),
        (
            {"schedule": "one-cycle", "clipping": "clip-by-value"},
            {"schedule": "one-cycle", "clipping": "clip-by-value"},
        ),
        ({"optimizer": "sgd+one-cycle", "clipping": "none"}, {"schedule": "one-cycle", "clipping": "none"}),
    ],
)
def test_a_baseline_has_everything_that_is_named(given, found):
    baseline = trainsmith.plan("mlp", blobs(), baseline=given, techniques=["tanh"], trials=1, steps=5).baseline
    assert {name: getattr(baseline, name) for name in found} == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 60}, "a budget is a time or a number of runs, such as 90s.*got '60'"),
        ({"baseline": "optimizer=sgd"}, r"a baseline is a Recipe, or .*\{'optimizer': 'sgd'\}; got 'optimizer=sgd'\."),
        ({"baseline": {"optimizer": None}}, "a baseline is a Recipe, or .*got {'optimizer': None}"),
        ({"techniques": "adam"}, r"techniques must be a list of names, such as \['adam'\]; got 'adam'\."),
        ({"techniques": [3]}, r"techniques must be a list of names, such as \['adam'\]; got \[3\]\."),
        ({"techniques": []}, r"techniques must be a list of names, such as \['adam'\]; got \[\]\."),
        ({"vary": "optimizer"}, r"vary must be a list of names, such as \['optimizer'\]; got 'optimizer'\."),
        ({"design": None}, "unknown design 'None': choose one of: grid, one-at-a-time, pairs"),
        ({"design": ["grids"]}, r"unknown design '\['grids'\]': did you mean grid"),
        ({"baseline": {1: "sgd"}}, "unknown family '1': choose one of: activation, clipping, init"),
        ({"baseline": {"schedule": "one-cycl"}}, "unknown schedule 'one-cycl': did you mean one-cycle"),
        ({"baseline": {"schedule": "adam"}}, "unknown schedule 'adam': choose one of: .*none, one-cycle"),
        (
            {"baseline": {"schedule": "one-cycle+wsd"}},
            "a recipe has one schedule; the baseline names one-cycle and stable-decay",
        ),
        (
            {"baseline": {"optimizer": "sgd+one-cycle", "schedule": "wsd"}},
            "a recipe has one schedule; the baseline names one-cycle and stable-decay",
        ),
        ({"baseline": {"optimizer": "sgd+wsd", "schedule": "none"}}, "names stable-decay and none"),
        ({"fast": "no"}, "fast must be True or False; got 'no'"),
        ({"metric": 3}, "a metric is a name, such as 'log loss'; got 3"),
        ({"processes": "2"}, "processes must be a whole number of at least 1; got '2'"),
        (
            {"vary": ["optimizer"], "techniques": ["sgd", "dropout"]},
            r"dropout is of the family regularization, which is not",
        ),
    ],
)
def test_an_argument_of_another_kind_is_said_in_one_sentence(arguments, message):
    with pytest.raises(trainsmith.InvalidInput, match=message):
        trainsmith.compare("mlp", blobs(), **arguments)


def test_what_is_inspected_is_a_module():
    with pytest.raises(
        trainsmith.InvalidInput, match=r"what is inspected must be an nn.Module; got 'mlp'.*trainsmith.network"
    ):
        trainsmith.inspect("mlp", torch.zeros(3, 4))


def test_a_network_of_a_partial_that_cannot_be_written_is_said():
    class Own(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layer = nn.Linear(width, width)

    from trainsmith.export.own_network import recorder

    made = recorder(functools.partial(Own, 4))
    with pytest.raises(
        trainsmith.InvalidInput, match=r"made by a partial cannot be written as source; give a function"
    ):
        made.source(made(), torch.zeros(2, 4), blobs(), False)
