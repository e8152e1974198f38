"""What a study will take: limits in words, sizes that fit, and nothing trained."""

import numpy as np
import pytest
import torch
from torch import nn

from make_runs import blobs
from trainsmith import api
from trainsmith.catalogue import Recipe, find
from trainsmith.comparison import Budget, compare, limit, prepare
from trainsmith.comparison.cautions import few_seeds, imbalance, unscaled
from trainsmith.comparison.prepared import SIZES, Limit
from trainsmith.comparison.statistics import sign_flip_p
from trainsmith.comparison.trainings import HEAVIER, SECONDS_A_POPULATION, SECONDS_A_PROCESS, Trainings
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Packing, Training, judged_by

TECHNIQUES = [find("sgd"), find("tanh")]


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90s", 90, "seconds"), ("2min", 120, "seconds"), ("1.5 h", 5400, "seconds"), ("3 Minutes", 180, "seconds"),
        ("1 hour", 3600, "seconds"), ("300runs", 300, "runs"), ("1 run", 1, "runs"),
    ],
)  # fmt: skip
def test_a_limit_in_words(text, amount, unit):
    assert limit(text) == Limit(amount, unit)
    assert limit(str(limit(text))) == limit(text), "what a record says can be read again"


def test_of_columns_that_nothing_scales_it_is_said():
    x = np.random.default_rng(0).normal(size=(100, 5)) * [1, 1, 1, 1, 290] + [0, 0, 0, 0, 1000]
    uneven, y = from_arrays(x, x[:, 0] > 0, "uneven"), x[:, 0] > 0

    def network(input_shape, outputs):
        return nn.Sequential(nn.Linear(*input_shape, 8), nn.GroupNorm(2, 8), nn.ReLU(), nn.Linear(8, outputs))

    (note,) = [n for n in api.plan(network, uneven, techniques=["sgd"], processes=1).notes if "spread" in n]
    assert note.startswith("the widest column has 3")
    assert "nothing is done about it beside the network's normalization, group: scale the columns" in note
    assert unscaled(uneven, Recipe(normalization="none"))
    assert not unscaled(uneven, Recipe(normalization="robust"))
    assert not unscaled(from_arrays(x / x.std(0), y, "even"), Recipe(normalization="none"))
    assert not unscaled(from_arrays(np.ones_like(x), y, "constant"), Recipe(normalization="none"))
    assert not [n for n in api.plan("mlp", uneven, techniques=["sgd"], processes=1).notes if "spread" in n]


@pytest.mark.parametrize("text", ["", "2", "min", "-3s", "0s", "0 runs", "2 weeks", "2min3s", "1e3s"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(InvalidInput, match="a budget is a time or a number of runs, such as 90s"):
        limit(text)


def test_of_a_very_common_class_it_is_said_that_accuracy_says_little():
    x = np.random.default_rng(0).normal(size=(100, 3))
    common = from_arrays(x, np.where(np.arange(100) % 10, "no", "yes"), "rare")
    (note,) = imbalance(common)
    assert note.startswith("90.0 % of the examples are of class 'no', and always saying so has that accuracy; ")
    assert not imbalance(judged_by(common, "balanced-accuracy"))
    assert not imbalance(from_arrays(x, np.arange(100) % 5 > 0, "four fifths are not many more"))
    assert not imbalance(from_arrays(x, x[:, 0], "numbers"))
    plan = api.plan("mlp", common, techniques=["sgd"], processes=1)
    assert note in plan.notes


def test_what_takes_no_step_on_so_few_examples_is_left_out_before_anything_is_trained():
    asked = [find(name) for name in ("batch", "ghost-batch", "layer", "vat", "deep-ensemble")]
    for batch_size, kept in ((1, {"layer", "vat", "deep-ensemble"}), (2, {t.name for t in asked})):
        training = Training(steps=4, batch_size=batch_size)
        ready = prepare("mlp", blobs(), techniques=asked, training=training, processes=1)
        assert {c.name for c in ready.candidates[1:]} == kept
        said = [n for n in ready.notes if "left out" in n]
        assert len(said) == len(asked) - len(kept)
        assert all(n.endswith(", in batches of 1.") and "at least 2 values" in n for n in said)
    with pytest.raises(InvalidInput, match="at least 2 values"):
        prepare("mlp", blobs(), techniques=[find("batch")], training=Training(4, 1), processes=1)


def test_of_too_few_seeds_it_is_said_that_they_can_show_nothing():
    (note,) = few_seeds(Budget(fresh_seeds=5))
    assert note.startswith("5 fresh seeds can show no technique to be better or worse")
    assert sign_flip_p([1.0] * 5) == pytest.approx(float(note.split("smallest p is ")[1].split(",")[0]), abs=1e-3)
    assert not few_seeds(Budget(fresh_seeds=6))
    assert sign_flip_p([1.0] * 6) < 0.05
    plan = api.plan("mlp", "wine", techniques=["sgd"], processes=1, seeds=5)
    assert note in plan.notes


def test_a_step_alone_is_measured_on_one_thread_as_runs_are_trained(monkeypatch):
    """On a busy machine a second thread is waited for a hundred times as long as a small step takes."""
    noted, step, before = [], Alone.step, torch.get_num_threads()

    def noting(*given):
        noted.append(torch.get_num_threads())
        return step(*given)

    monkeypatch.setattr(Alone, "step", noting)
    torch.set_num_threads(2)
    try:
        plan = api.plan("mlp", blobs(), techniques=["sgd"], trials=1, seeds=2, steps=5, processes=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert plan.trainer.seconds_alone > 0
    assert noted
    assert set(noted) == {1}


def ready(within=None, seconds=1e-3, monkeypatch=None, evaluated=None):
    if monkeypatch is not None:

        def measured(self, *_):
            self.packing, self.seconds_evaluated = Packing("together", 8, seconds), evaluated
            return "packed"

        monkeypatch.setattr(Trainings, "_measured", measured)
    return prepare("mlp", blobs(), techniques=TECHNIQUES, training=Training(steps=100), within=within, processes=2)


def test_without_a_limit_it_is_what_was_asked_and_nothing_is_trained(monkeypatch):
    plan = ready(monkeypatch=monkeypatch)
    assert plan.runs == 3 * (8 + 3 * 2 + 8)
    assert plan.trainer.runs == plan.trainer.populations == 0
    assert plan.to_dict()["techniques"] == {"activation": ["tanh"], "optimizer": ["sgd"]}
    assert [len(t) for t in plan.trials()] == [8, 8, 8]
    assert f"{plan.runs} runs: 3 recipes x (14 to tune + 8 fresh seeds), 2 more trials" in plan.words


@pytest.mark.parametrize(("evaluated", "example"), [(2e-6, 2e-6), (None, 1e-3 / 48)])
def test_the_time_is_that_of_steps_checks_and_populations(monkeypatch, evaluated, example):
    """An example takes what was measured; where an older store does not say it, a third of its share of a step."""
    plan = ready(seconds=1e-3, monkeypatch=monkeypatch, evaluated=evaluated)
    held = 32  # a fifth of the 160 development examples, seen at 20 checks and at the end
    run = 100 * 1e-3 + (20 * held + held) * example
    expected = (72 * run * HEAVIER + 12 * SECONDS_A_POPULATION) / 2  # 6 runs more if the range is widened
    assert len(plan.dataset.x) == 160
    assert plan.seconds == pytest.approx(expected + SECONDS_A_PROCESS + plan.preparation)
    assert plan.preparation > 0
    assert "about" in plan.words


@pytest.mark.parametrize("amount", [10, 12, 20, 60, 1000])
def test_a_limit_of_time_takes_the_first_size_that_fits(monkeypatch, amount):
    plan = ready(Limit(amount, "seconds"), 2e-3, monkeypatch)
    assert plan.seconds <= amount
    size = plan.budget.trials, plan.budget.fresh_seeds, plan.training.steps / 100
    larger = SIZES[: SIZES.index(size)]
    for trials, seeds, share in larger:
        steps = share * 100 + 21 * 32 / 48
        runs = 3 * (trials + 2 * min(3, trials) + seeds + 2)
        trained = (runs * steps * 2e-3 * HEAVIER + 12 * SECONDS_A_POPULATION) / 2
        assert trained + SECONDS_A_PROCESS + plan.preparation > amount
    assert plan.notes[-1].startswith(f"to use the budget of {amount if amount < 120 else f'{amount / 60:g}'}")


def test_a_limit_of_runs(monkeypatch):
    plan = ready(Limit(66, "runs"), monkeypatch=monkeypatch)
    assert plan.most_runs == 3 * (6 + 6 + 8 + 2) == 66
    assert plan.notes[-1] == "to use the budget of 66 runs: 6 tuning trials instead of 8."


def test_a_limit_in_which_nothing_can_be_shown_is_refused(monkeypatch):
    with pytest.raises(
        InvalidInput, match=r"3 recipes cannot be compared within 2 s: the smallest .* takes about \d+ s"
    ):
        ready(Limit(2, "seconds"), monkeypatch=monkeypatch)
    with pytest.raises(InvalidInput, match="the smallest study that can show anything takes 36 runs"):
        ready(Limit(35, "runs"), monkeypatch=monkeypatch)


def test_a_time_for_a_network_that_was_not_timed_is_refused(monkeypatch):
    with pytest.raises(InvalidInput, match="give a number of runs"):
        ready(Limit(60, "seconds"), None, monkeypatch)
    assert ready(Limit(60, "runs"), None, monkeypatch).seconds is None


def test_a_study_within_a_limit_trains_no_more_than_that_and_goes_on_with_what_it_chose(tmp_path):
    def study(folder):
        return api.compare(
            "mlp", blobs(), techniques=["sgd"], budget="28 runs", steps=8, processes=1, folder=folder
        ).to_dict()

    found = study(tmp_path / "a")
    assert found["plan"]["runs"] in (24, 28)
    assert any("to use the budget of 28 runs" in note for note in found["notes"])
    again = api.resume(tmp_path / "a").to_dict()
    assert again["rows"] == found["rows"]


def test_a_budget_beside_trials_is_refused():
    with pytest.raises(InvalidInput, match="a budget chooses trials and seeds itself"):
        api.compare("mlp", blobs(), budget="2min", trials=3)


def test_the_python_plan_is_the_studys():
    asked = {"techniques": ["sgd"], "trials": 2, "seeds": 2, "steps": 6, "metric": "log-loss"}
    plan = api.plan("mlp", blobs(), processes=1, **asked)
    study = compare(
        "mlp", plan.dataset, techniques=[find("sgd")], budget=plan.budget, training=plan.training, processes=1
    )
    assert (study.plan["runs"] - 2 * study.plan["extension"], study.metric) == (plan.runs, "log loss")
    assert study.plan["words"].split(", in ")[0] == plan.words.split(", in ")[0]


class Notes:
    """A store that only remembers what was noted."""

    def __init__(self):
        self.noted = {}

    def about(self, name, kind=object):
        return self.noted.get(name)

    def note(self, name, value):
        self.noted[name] = value


def test_a_study_that_goes_on_keeps_the_size_that_was_chosen_at_its_begin(monkeypatch):
    store, sizes = Notes(), []
    for seconds in (1e-3, 1e-2):  # the machine is slower the second time
        packing = Packing("together", 8, seconds)
        monkeypatch.setattr(Trainings, "prepare", lambda self, *_, p=packing: setattr(self, "packing", p) or "packed")
        plan = prepare("mlp", blobs(), techniques=TECHNIQUES, within=Limit(30, "seconds"), processes=2, store=store)
        sizes.append((plan.budget, plan.training))
    assert sizes[0] == sizes[1]
    assert sizes[0] != (Budget(), Training())
