"""Laws over the whole catalogue: what is exported trains as the study did, in plain PyTorch."""

import ast
import math
import re
import subprocess

import numpy as np
import pytest
import torch
from ruff import find_ruff_bin
from torch import nn

from each_technique import name_of
from placing import IMAGES, TABLE, dense, placed, residual
from trainsmith.catalogue import Recipe, Run, Trial, techniques
from trainsmith.data import as_dataset, split, with_labels
from trainsmith.data.arrays import from_arrays
from trainsmith.export.check import imported
from trainsmith.export.data_source import write_data
from trainsmith.export.winner import make_export
from trainsmith.optimizer import SCHEDULES
from trainsmith.population import Alone, Training, judged_by, make_member, rules_of, train

MOST_LINES = 150
DRAW = np.random.default_rng(1)
TRAINING = Training(steps=10, batch_size=8)


def exported(technique):
    """The export of a recipe with the technique, on the first of the networks and data that it can be put into."""
    numbers = {f"{technique.name}.{h.name}": h.at(0.35) for h in technique.hyperparameters}
    place = placed(technique)
    return make_export(Run(Trial(place.recipe, numbers), 1003), place.network, place.data, TRAINING)


@pytest.mark.parametrize("technique", [t for t in techniques() if t.role != "nothing"], ids=name_of)
def test_it_trains_as_the_study_did_in_a_short_script_without_trainsmith(technique):
    """The first ten losses are the study's, with the study's noise, at numbers that are no technique's defaults."""
    export = exported(technique)
    assert export.replay.deviation < 1e-5
    assert len(export.files["train.py"].splitlines()) <= MOST_LINES
    for name, text in export.files.items():
        assert "trainsmith" not in text
        assert ast.get_docstring(ast.parse(text)), name
    written = {float(n) for text in export.files.values() for n in re.findall(r"\d+\.?\d*(?:e[+-]?\d+)?", text)}
    for number in technique.hyperparameters if technique.role != "network" else ():
        value = number.at(0.35)
        assert any(math.isclose(value, n, rel_tol=1e-6) for n in written), f"{number.name} is nowhere"


@pytest.mark.parametrize("schedule", [*SCHEDULES, "plateau"])
def test_every_schedule_is_exported(schedule):
    training = Training(steps=20, batch_size=8, schedule=schedule, warmup=0.25)
    recipe = Recipe(optimizer="sgd")
    export = make_export(Run(Trial(recipe, {"sgd.lr": 0.5}), 7), dense, TABLE, training)
    assert export.replay.deviation < 1e-5


@pytest.mark.parametrize(
    "recipe", [("weight-ema",), ("swa", "bagging"), ("polyak-averaging", "early-stopping"), ()], ids=str
)
def test_the_script_ends_with_the_averages_and_statistics_of_the_study(recipe):
    """Without an average, those of a rule that averages."""
    run = Run(Trial(Recipe("he", "batch", "relu", "adam" if recipe else "schedule-free-adamw", recipe)), 5)
    training = Training(steps=10, batch_size=8, checks=5)
    export = make_export(run, dense, TABLE, training)
    member = make_member(run, dense, TABLE)
    x, y = TABLE.x[member.train], TABLE.y[member.train]
    with imported(export.files) as script:
        network = script.build()
        network.load_state_dict(export.first)
        watched = (TABLE.x[member.watch], TABLE.y[member.watch]) if "early-stopping" in recipe else ()
        script.train(network, x, y, *watched)
    (result,) = train(Alone(member), TABLE.x, TABLE.y, training, keep_states=True)
    study = make_member(run, dense, TABLE).objective.network
    study.load_state_dict({n: torch.from_numpy(t) for n, t in result.state.items()})
    torch.testing.assert_close(network.eval()(TABLE.x), study.eval()(TABLE.x), rtol=1e-3, atol=1e-4)


def targets(task):
    if task in ("regression", "autoencoding"):
        return DRAW.normal(size=120) * 7 + 100
    if task == "numbers":
        return DRAW.normal(size=(120, 2)) * [1, 30] + 5
    if task == "multilabel":
        return (DRAW.normal(size=(120, 4)) > 0.5).astype(int)
    return (np.arange(120) % 8 == 0).astype(int)


@pytest.mark.parametrize("task", ["regression", "numbers", "autoencoding", "multilabel", "balanced"])
def test_every_task_has_its_loss_and_its_score(task):
    given = "regression" if task == "numbers" else task
    data = from_arrays(DRAW.normal(size=(120, 5)), targets(task), "table", given)
    run = Run(Trial(Recipe(normalization="standardization")), 11)
    export = make_export(run, dense, data, TRAINING)
    assert export.replay.deviation < 1e-5
    member = make_member(run, dense, data)
    y = member.targets(data.y[member.validation])
    outputs = torch.randn(len(y), data.outputs, generator=torch.Generator().manual_seed(1))
    with imported(export.files) as script:
        assert script.score(outputs, y) == pytest.approx(rules_of(data).score(outputs, y), rel=1e-6)
        if task != "balanced" and task != "multilabel":
            torch.testing.assert_close((data.y[:3] - script.CENTRE) / script.SCALE, member.targets(data.y[:3]))


@pytest.mark.parametrize("metric", ["log loss", "calibration error"])
def test_another_metric_is_the_scripts_score_too(metric):
    data = judged_by(TABLE, metric)
    export = make_export(Run(Trial(Recipe()), 5), dense, data, TRAINING)
    y = data.y[:60]
    outputs = 3 * torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
    with imported(export.files) as script:
        assert script.score(outputs, y) == pytest.approx(rules_of(data).score(outputs, y), rel=1e-6)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("lsuv", "batch", "prelu", "muon", ("dropout", "mixup", "max-norm", "l2", "early-stopping"), "agc"),
        Recipe("normal", "spectral-norm", "glu", "schedule-free-adamw", ("activity-l1", "weight-noise")),
        Recipe("rezero", "zca-whitening", "gelu", "adamw", ("weight-decay", "gradient-noise", "input-noise")),
    ],
    ids=["many", "others", "whole-network"],
)  # fmt: skip
def test_techniques_are_exported_together_and_ruff_has_nothing_to_say(recipe, tmp_path):
    network = residual if recipe.initialization == "rezero" else dense
    export = make_export(Run(Trial(recipe), 1000), network, IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    assert len(export.files["train.py"].splitlines()) <= MOST_LINES
    write_data(IMAGES, tmp_path)
    for name, text in export.files.items():
        (tmp_path / name).write_text(text)
    for action in (("check",), ("format", "--check")):
        command = [find_ruff_bin(), *action, "--isolated", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def grouped(shape, outputs):
    convolutions = [nn.Conv2d(shape[0], 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(8 * (shape[1] - 4) * (shape[2] - 4), outputs))


@pytest.mark.parametrize("initialization", ["he-uniform-fan-out", "orthogonal"])
def test_the_script_draws_a_grouped_convolution_group_by_group_and_muon_moves_it_alone(initialization):
    recipe = Recipe(initialization, optimizer="muon")
    export = make_export(Run(Trial(recipe), 3), grouped, IMAGES, TRAINING)
    assert export.replay.deviation < 1e-5
    assert 'map(network.get_submodule, ["0", "5"])' in export.files["train.py"]
    plain = make_export(Run(Trial(Recipe(initialization)), 3), dense, IMAGES, TRAINING)
    assert "chunk(" in export.files["train.py"]
    assert "chunk(" not in plain.files["train.py"]


def test_the_script_draws_the_same_split_and_watch():
    recipe = Recipe(regularization=("early-stopping",))
    run = Run(Trial(recipe), 5)
    member = make_member(run, dense, TABLE)
    export = make_export(run, dense, TABLE, TRAINING)
    with imported(export.files) as script:
        rest, _ = split(TABLE, 5)
        order = np.random.Generator(np.random.Philox(key=script.luck("watch"))).permutation(rest)
        count = max(1, round(len(rest) * script.WATCHED))
    assert np.array_equal(order[:count], member.watch)
    assert np.array_equal(order[count:], member.train)


@pytest.mark.parametrize("others", [(), ("early-stopping",)], ids=["to-the-end", "stopped"])
@pytest.mark.parametrize("technique", ["mean-teacher", "pseudo-label"])
def test_the_script_draws_the_same_labels_and_the_same_unlabelled_examples(technique, others, tmp_path):
    data = as_dataset({"train": (TABLE.x, TABLE.y), "unlabelled": DRAW.normal(size=(40, 5)).astype(np.float32)})
    data = with_labels(data, 30)
    run = Run(Trial(Recipe(regularization=(technique, *others))), 5)
    member = make_member(run, dense, data)
    export = make_export(run, dense, data, TRAINING)
    assert export.replay.deviation < 1e-5
    write_data(data, tmp_path)
    with imported({**export.files, "data.py": (tmp_path / "data.py").read_text()}, tmp_path) as script:
        rest, _ = split(data, 5)
        kept = script.few(data.y, rest)
        assert set(kept) == {*member.train, *member.watch}
        pool = torch.cat([data.x[rest], script.load_unlabelled()])
    assert torch.equal(pool, data.inputs[member.unlabelled])


def test_the_script_ends_with_the_teachers_weights():
    run = Run(Trial(Recipe(optimizer="sgd", regularization=("mean-teacher",)), {"mean-teacher.noise": 0.0}), 5)
    export, member = make_export(run, dense, TABLE, TRAINING), make_member(run, dense, TABLE)
    (result,) = train(Alone(member), TABLE.x, TABLE.y, TRAINING, keep_states=True)
    with imported(export.files) as script:
        network = script.build()
        network.load_state_dict(export.first)
        script.train(network, TABLE.x[member.train], TABLE.y[member.train], TABLE.x[member.unlabelled])
        for mine, wanted in zip(network.state_dict().values(), result.state.values(), strict=True):
            torch.testing.assert_close(mine, torch.from_numpy(wanted), rtol=1e-4, atol=1e-6)
