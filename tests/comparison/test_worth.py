"""The smallest difference worth having: analytic of accuracies, of other scores from two seeds of the baseline."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.comparison import worth
from trainsmith.comparison.trainings import Trainings
from trainsmith.comparison.worth import luck_error, smallest_worth
from trainsmith.data import from_arrays
from trainsmith.population import Result, Training, trained_member

RUNS = [Run(Trial(Recipe()), seed) for seed in (1000, 1001)]


def worth_of(data, *scores):
    trainer = SimpleNamespace(dataset=data, network="mlp")
    return smallest_worth(trainer, RUNS[: len(scores)], [Result(score=s) for s in scores], 0.5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, math.sqrt(0.8 * 0.2 / 200)),
        ({"metric": "robust accuracy"}, math.sqrt(0.8 * 0.2 / 200)),
        ({"metric": "balanced accuracy"}, math.sqrt(0.8 * 0.2 * (1 / 150 + 1 / 50)) / 2),
        ({"metric": "log loss"}, 0.01),
    ],
)
def test_shares_of_test_examples_differ_worth_having_by_their_own_error(changes, expected):
    y = np.repeat([0, 1], [750, 250])
    data = from_arrays(np.random.default_rng(0).normal(size=(1000, 3)), y, "two", "classification")
    data = replace(data, **changes)
    assert data.test.size == 200
    assert worth_of(data, 0.75, 0.85) == pytest.approx(expected, rel=2e-2)


def test_of_a_large_test_part_a_thousand_examples_are_attacked_and_give_the_error():
    data = from_arrays(np.random.default_rng(0).normal(size=(10_000, 2)), np.arange(10_000) % 2, "two")
    attacked = replace(data, metric="robust accuracy")
    assert data.test.size == 2000
    assert worth_of(data, 0.8) == pytest.approx(math.sqrt(0.8 * 0.2 / 2000))
    assert worth_of(attacked, 0.8) == pytest.approx(math.sqrt(0.8 * 0.2 / 1000))


def test_the_error_of_luck_is_that_of_another_test_part():
    """Three seeds' scores on 20,000 examples, of which each held out half; against differences on 100 of them."""
    luck = np.random.default_rng(0)
    hard, own = luck.exponential(3.0, 20_000), luck.normal(size=(3, 20_000))
    held = [(np.sort(luck.permutation(20_000)[:10_000]),) for _ in own]
    held = [(places, (hard + o)[places]) for (places,), o in zip(held, own, strict=True)]
    drawn = [luck.choice(20_000, 100) for _ in range(2000)]
    apart = [(own[0] - own[1])[chosen].mean() for chosen in drawn]
    assert luck_error(held, 100) == pytest.approx(np.std(apart), rel=0.05)
    assert luck_error(held, 100) == pytest.approx(math.sqrt(2 / 100), rel=0.05), "that both find them hard is no error"
    assert luck_error(held[:1], 100) == luck_error([(held[0][0], held[0][1]), (-1 - held[1][0], held[1][1])], 100) == 0


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    data = from_arrays(x, x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=300), "numbers", "regression")
    trainer = Trainings("mlp", data, Training(steps=60), 1, lambda *told: None)
    return trainer, trainer("here", RUNS, keep_states=True)


def test_two_seeds_tell_by_what_r2_differs_on_examples_that_neither_trained_on(trained):
    trainer, results = trained
    members = [trained_member(r, "mlp", trainer.dataset, f.state) for r, f in zip(RUNS, results, strict=True)]
    both = sorted(set(members[0].validation.tolist()) & set(members[1].validation.tolist()))
    assert len(both) > 5
    parts = []
    for m in members:
        y = m.targets(trainer.dataset.y[m.validation]).double()
        m.objective.network.eval()
        errors = (m.objective.network(trainer.dataset.x[m.validation]).detach().squeeze() - y).square()
        d = (y - y.mean()).square()
        r2 = 1 - errors.mean() / d.mean()
        each = dict(zip(m.validation.tolist(), (r2 - (errors - (1 - r2) * d) / d.mean()).tolist(), strict=True))
        parts.append(np.array([each[i] for i in both]))
    expected = (parts[0] - parts[1]).std(ddof=1) / math.sqrt(60)
    assert expected > 0.01
    assert smallest_worth(trainer, RUNS, results, 0.0) == pytest.approx(expected, rel=1e-4)
    lost = [results[0], Result(status="diverged", score=math.nan)]
    assert smallest_worth(trainer, RUNS, lost, 0.0) == 0.01


def test_of_many_validation_examples_a_part_is_looked_at_that_seeds_share(trained, monkeypatch):
    trainer, results = trained
    whole = worth._held_out(trainer, RUNS, results)
    monkeypatch.setattr(worth, "MOST_LOOKED_AT", 24)
    some = worth._held_out(trainer, RUNS, results)
    for (places, _), (fewer, _) in zip(whole, some, strict=True):
        assert len(places) == 48
        assert 10 < len(fewer) < 40
        assert set(fewer.tolist()) < set(places.tolist())
    (one, other), (first, second) = ([{*places.tolist()} for places, _ in held] for held in (whole, some))
    assert first & other == first & second == one & second != set(), "what one looks at the other does too"
