"""The exported script as a whole: run to its end it scores as the study's own loop does."""

import re

import numpy as np
import pytest
import torch
from scipy import stats

from trainsmith import compare
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.comparison.measured import Estimate
from trainsmith.comparison.statistics import t_interval
from trainsmith.data import load, with_class_weights
from trainsmith.data.arrays import from_arrays
from trainsmith.data.text import from_text
from trainsmith.export.check import imported
from trainsmith.export.data_source import write_data
from trainsmith.export.winner import make_export, one_more
from trainsmith.network import default_network
from trainsmith.population import Alone, Training, judged_by, make_member, train

DRAW = np.random.default_rng(5)
X = DRAW.normal(size=(150, 4)).astype(np.float32)
CASES = {
    "early stopping": ("wine", Recipe(normalization="standardization", regularization=("early-stopping",)), 60),
    "an average": (
        from_arrays(X, np.sin(2 * X[:, 0]) + X[:, 1]),
        Recipe(normalization="robust", optimizer="schedule-free-adamw"),
        40,
    ),
    "average and stopping": (
        from_arrays(X, (X[:, 0] > X[:, 1]).astype(int)),
        Recipe(normalization="batch", optimizer="schedule-free-sgd", regularization=("early-stopping",)),
        40,
    ),
    "numbers": (from_arrays(X, X[:, :2] * [1, 40] + 7), Recipe(regularization=("l2", "max-norm")), 60),
    "first weights read": (from_arrays(X, X[:, 0] * 3 + 100), Recipe("lsuv", "weight-norm"), 40),
    "balanced": (from_arrays(X, (X[:, 0] > 0.8).astype(int), task="balanced"), Recipe(clipping="clip-by-value"), 40),
    "class weights": (
        judged_by(with_class_weights(from_arrays(X, (X[:, 0] > 0.8).astype(int)), "1=4"), "balanced-accuracy"),
        Recipe(regularization=("early-stopping",)),
        40,
    ),
    "a text": (from_text("to be, or not to be: that is the question. " * 40, context=8), Recipe(), 30),
}

SLOW = {"schedule-free-sgd": {"schedule-free-sgd.lr": 0.1}}
"""Where the default learning rate makes rounding grow too fast to compare."""


def by_itself(python, files, folder):
    """What train.py prints in a process of its own that has no trainsmith."""
    for name, text in files.items():
        (folder / name).write_text(text)
    alone = "import sys, runpy; sys.modules['trainsmith'] = None; sys.path[0] = '.'; "
    done = python.run(f"{alone}runpy.run_path('train.py', run_name='__main__')", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES)
def test_run_to_its_end_it_scores_as_the_study_does(case, tmp_path, capsys, python):
    given, recipe, steps = CASES[case]
    data = load(given) if isinstance(given, str) else given
    training, run = (
        Training(steps=steps, batch_size=16, checks=10),
        Run(Trial(recipe, SLOW.get(recipe.optimizer, {})), 1002),
    )
    chosen = default_network(data.kind)
    export = make_export(run, chosen, data, training)
    write_data(data, tmp_path)
    if not export.replay.draws_weights:
        from safetensors.torch import save_file

        save_file(export.first, tmp_path / "initial.safetensors")
    files = {**export.files, "data.py": (tmp_path / "data.py").read_text()}
    with imported(files, tmp_path) as script:
        script.main()
    printed = capsys.readouterr().out
    member = make_member(run, chosen, data)
    (result,) = train(Alone(member), data.x, data.y, training, keep_states=True)
    first = [float(n) for n in printed.splitlines()[0].removeprefix("first losses ").split()]
    assert first == pytest.approx(result.first_losses, rel=1e-5)
    if data.kind == "text":
        assert by_itself(python, {**export.files, "data.py": files["data.py"]}, tmp_path) == printed
    found = dict(re.findall(r"^(validation|test) .* (-?\d+\.\d{6})$", printed, re.MULTILINE))
    assert float(found["validation"]) == pytest.approx(result.score, abs=2e-3)
    network = make_member(run, chosen, data).objective.network
    network.load_state_dict({name: torch.from_numpy(t) for name, t in result.state.items()})
    x, y = data.test.open()
    with torch.no_grad():
        wanted = member.rules.score(network.eval()(x), member.targets(y))[1]
    assert float(found["test"]) == pytest.approx(wanted, abs=2e-3)


READ = Recipe(normalization="weight-norm")
"""Its gains start from data, which the script's own drawing does not see."""


@pytest.mark.parametrize(
    "recipe", [Recipe("orthogonal", "zca-whitening", "prelu"), Recipe("lsuv"), Recipe("rezero"), READ]
)
def test_the_first_weights_are_drawn_where_they_can_be_and_else_read(recipe):
    data = from_arrays(X, np.arange(150) % 3)
    run = Run(Trial(recipe), 1002)
    export = make_export(run, "residual", data, Training(steps=2))
    assert export.replay.draws_weights == (recipe.initialization == "orthogonal")
    assert ("initial.safetensors" in export.files["train.py"]) != export.replay.draws_weights
    if export.replay.draws_weights:
        member = make_member(run, "residual", data)
        with imported(export.files) as script:
            drawn = script.initialized(data.x[member.train], data.y[member.train]).state_dict()
        assert all(torch.equal(drawn[name], t) for name, t in export.first.items())


def test_the_readme_promises_no_score_that_there_is_not(tmp_path):
    """Of two seeds an interval is so wide that it would hold log losses below 0."""
    data = from_arrays(X, (X[:, 0] > 0.2).astype(int))
    options = {"trials": 1, "seeds": 2, "steps": 4, "processes": 1, "techniques": ["sgd"], "metric": "log-loss"}
    folder = compare("mlp", data, **options).export(tmp_path / "winner")
    said = re.findall(r"(-?[\d.]+) (?:to|and)\s(-?\d+\.\d+)", (folder / "README.md").read_text())
    assert len(said) == 2
    assert all(float(low) < float(high) <= 0 for low, high in said)


def test_where_one_training_more_lies_is_students_interval_for_one_value():
    scores = DRAW.normal(0.8, 0.1, 7)
    half = stats.t.ppf(0.975, 6) * scores.std(ddof=1) * (1 + 1 / 7) ** 0.5
    found = one_more(Estimate.of(t_interval(scores)), 7)
    assert found == pytest.approx((scores.mean() - half, scores.mean() + half))


def test_source_that_cannot_be_read_says_why():
    """Not that what would have come after it is not there."""
    with pytest.raises(NameError, match="nothing_there"), imported({"model.py": "nothing_there", "train.py": ""}):
        pass
