"""Equal cost, time and memory, and what the test part says of two networks."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from make_runs import blobs
from make_study import make_study
from trainsmith import api
from trainsmith.catalogue import Recipe, Run, Trial, find
from trainsmith.comparison import Budget, compare, costs
from trainsmith.comparison.costs import at_equal_cost, cost_notes, equal_shares, gradients, measured_costs
from trainsmith.comparison.example_errors import difference_error
from trainsmith.comparison.plan import candidates
from trainsmith.comparison.statistics import mcnemar_p
from trainsmith.comparison.study import Cost, EqualCost, Estimate, Pace
from trainsmith.comparison.tested import mcnemar, median_seed
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import as_dataset
from trainsmith.errors import InvalidInput
from trainsmith.population import Result, Training, cost_alone, make_member
from trainsmith.regularization import FixMatch
from trainsmith.report import family_tables, report_html, words
from trainsmith.report.terminal import Printable


def chosen(*names, baseline=None):
    return candidates(baseline or Recipe(), blobs(), None, [find(n) for n in names])[0]


def test_a_recipe_costs_what_its_techniques_cost_together():
    assert gradients(Recipe()) == 1
    assert gradients(Recipe(regularization=("sam",))) == 2
    assert gradients(Recipe(regularization=("sam", "fgsm-training"))) == 6


def test_the_share_of_the_steps_that_costs_as_much_as_the_baseline():
    found = chosen("dropout", "fgsm-training", "sam")
    shares = {found[i].name: share for i, share in equal_shares(found).items()}
    assert shares == {"fgsm-training": pytest.approx(1 / 3), "sam": 1 / 2}
    costly = chosen("fgsm-training", "tanh", baseline=Recipe(regularization=("sam",)))
    assert costly[-1].recipe.regularization == ("fgsm-training",), "in the baseline's place"
    assert {costly[i].name: s for i, s in equal_shares(costly).items()} == {"fgsm-training": pytest.approx(2 / 3)}
    assert not equal_shares(chosen("sgd", "tanh"))


def test_a_note_says_what_costs_more_than_the_baseline_and_by_how_much():
    found = chosen("dropout", "fgsm-training", "sam")
    assert cost_notes(found, False) == [
        f"{name} costs about {n} gradients a step where the baseline costs 1; all train the same number of steps, and "
        "it is held against the baseline at equal cost too."
        for name, n in (("fgsm-training", 3), ("sam", 2))
    ]
    assert all("at equal cost too, if it is not cut after tuning." in note for note in cost_notes(found, True))
    costly = chosen("fgsm-training", "dropout", baseline=Recipe(regularization=("sam",)))
    (note,) = cost_notes(costly, False)
    assert note.startswith("fgsm-training costs about 3 gradients a step where the baseline costs 2; ")
    assert not cost_notes(chosen("dropout", "tanh", baseline=Recipe(regularization=("sam",))), False)
    plan = api.plan("mlp", blobs(), techniques=["sam", "tanh"], fast=True, trials=2, seeds=2, processes=1)
    assert [note for note in plan.notes if "gradients a step" in note] == cost_notes(plan.candidates, True)


class Made:
    """Trains nothing: a run's score is what `score` makes of its recipe, seed and share."""

    def __init__(self, score):
        self.training, self.score, self.asked = Training(steps=60), score, []

    def __call__(self, what, runs, *, share):
        self.asked.append((share, [(r.trial.recipe.regularization, r.seed) for r in runs]))
        return [Result(score=self.score(r, share)) for r in runs]


def test_at_equal_cost_the_same_setting_and_seeds_train_fewer_steps_against_the_whole_baseline():
    found = chosen("sam", "fgsm-training", "tanh")
    fresh = [[Run(Trial(c.recipe), 1000 + i) for i in range(8)] for c in found]
    baseline = 0.9 + 0.001 * np.arange(8)
    bonus = {("sam",): 0.05, ("fgsm-training",): -0.05}
    trainer = Made(lambda r, share: baseline[r.seed - 1000] + bonus[r.trial.recipe.regularization])
    equal = {found[i].name: e for i, e in at_equal_cost(trainer, found, fresh, baseline, 0.1, 0.01).items()}
    assert {e: (equal[e].steps, equal[e].verdict) for e in equal} == {
        "sam": (30, "better"), "fgsm-training": (20, "worse"),
    }  # fmt: skip
    assert equal["sam"].difference.mean == pytest.approx(0.05)
    assert equal["sam"].p == pytest.approx(2 / 256)
    assert sorted(len(runs) for _, runs in trainer.asked) == [8, 8]
    assert sorted(share for share, _ in trainer.asked) == pytest.approx([1 / 3, 1 / 2])


def test_a_run_that_diverges_at_equal_cost_counts_as_the_constant():
    found = chosen("sam")
    fresh = [[Run(Trial(c.recipe), 1000 + i) for i in range(3)] for c in found]
    trainer = Made(lambda r, share: math.nan if r.seed == 1001 else 0.9)
    (equal,) = at_equal_cost(trainer, found, fresh, np.full(3, 0.9), 0.25, 0.01).values()
    assert equal.difference.mean == pytest.approx((0.25 - 0.9) / 3)


def test_a_step_is_measured_on_the_batch_that_it_has_in_training(monkeypatch):
    data = as_dataset({"train": (blobs().x, blobs().y), "unlabelled": blobs(40, seed=1).x})
    sizes = []
    monkeypatch.setattr(costs, "cost_alone", lambda member, x, y: sizes.append((len(x), len(y))) or (1.0, 0))
    trainer = Trainings("mlp", data, Training(batch_size=6), 1, lambda *_: None)
    found = candidates(Recipe(), data, None, [find("deep-ensemble"), find("fixmatch")])[0]
    measured_costs(trainer, found, [Run(Trial(c.recipe), 1000) for c in found])
    assert dict(zip([c.name for c in found], sizes, strict=True)) == {
        "baseline": (6, 6), "deep-ensemble": (24, 24), "fixmatch": (6 + 6 * FixMatch().unlabelled, 6),
    }  # fmt: skip


def test_a_study_of_a_costly_technique_says_both_and_what_each_step_takes():
    study = compare(
        "mlp", blobs(examples=120), techniques=[find("sam"), find("momentum")],
        budget=Budget(trials=2, finalists=1, final_seeds=0, fresh_seeds=2, extension=0), training=Training(steps=12),
        processes=1,
    )  # fmt: skip
    rows = {r.technique: r for r in study.rows}
    assert rows["sam"].equal_cost.steps == 6
    assert rows["momentum"].equal_cost is None
    assert study.plan["runs"] == 3 * (2 + 2) + 2
    assert study.plan["member_steps"] == 3 * 4 * 12 + 2 * 6
    costs = {c.technique: c for c in study.costs}
    assert {name: c.gradients for name, c in costs.items()} == {"baseline": 1, "sam": 2, "momentum": 1}
    assert all(c.seconds > 0 for c in study.costs)
    assert costs["momentum"].megabytes < costs["baseline"].megabytes, "one moment against two"


@pytest.mark.parametrize(("optimizer", "moments"), [("sgd", 0), ("momentum", 1), ("adam", 2)])
def test_memory_is_weights_gradients_and_moments(optimizer, moments):
    data = blobs()
    member = make_member(Run(Trial(Recipe(optimizer=optimizer)), 0), "mlp", data)
    weights = sum(p.numel() for p in member.objective.parameters())
    numbers = sum(b.numel() for b in member.objective.buffers())
    _, held = cost_alone(member, data.x[:8], data.y[:8])
    assert held == pytest.approx(4 * (weights * (2 + moments) + numbers), abs=200)


@pytest.mark.parametrize("average", ["swa", "polyak-averaging", "weight-ema"])
def test_an_average_of_the_weights_is_timed_before_its_length_is_known_and_its_memory_counts(average):
    data = blobs()
    found = {}
    for names in ((), (average,)):
        member = make_member(Run(Trial(Recipe(optimizer="sgd", regularization=names)), 0), "mlp", data)
        seconds, found[names] = cost_alone(member, data.x[:8], data.y[:8])
        assert seconds > 0
        assert member.length is None
    weights = sum(p.numel() for p in member.objective.parameters())
    assert found[average,] - found[()] == 4 * weights


@pytest.mark.parametrize(("ahead", "behind"), [(0, 0), (5, 0), (0, 5), (12, 5), (40, 41), (1, 1)])
def test_mcnemars_test_is_the_exact_binomial(ahead, behind):
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    assert mcnemar_p(ahead, behind) == pytest.approx(expected, rel=1e-12)


def test_examples_are_not_counted_below_none():
    with pytest.raises(InvalidInput, match="counted from 0"):
        mcnemar_p(-1, 3)


def test_two_networks_differ_on_the_examples_one_alone_has_right():
    won = {7: np.array([1, 1, 1, 0, 0, 1], bool), 8: np.array([1, 1, 1, 1, 1, 1], bool)}
    base = {7: np.array([1, 0, 0, 0, 1, 0], bool), 8: np.array([1, 1, 0, 1, 1, 1], bool)}
    found = mcnemar(7, won, base)
    assert (found.seed, found.winner, found.baseline) == (7, 3, 1)
    assert found.p == pytest.approx(binomtest(3, 4).pvalue)
    each = np.mean([won[s].astype(float) - base[s] for s in (7, 8)], axis=0)
    assert difference_error(won, base) == pytest.approx(each.std(ddof=1) / math.sqrt(6))
    assert median_seed({1: 0.5, 2: 0.9, 3: 0.7, 4: 0.6}) == 4


def test_a_winner_that_is_not_the_baseline_is_held_against_it_on_the_test_part():
    data = blobs(examples=400, shift=0.0)
    study = compare(
        "mlp", data, baseline=Recipe(initialization="zeros"), techniques=[find("he")],
        budget=Budget(trials=2, finalists=1, final_seeds=0, fresh_seeds=6, extension=0), training=Training(steps=25),
        processes=1,
    )  # fmt: skip
    assert study.best().technique == "he"
    m = study.test.mcnemar
    assert m.winner > m.baseline
    assert m.p == pytest.approx(binomtest(m.winner, m.winner + m.baseline).pvalue)
    assert 0 < study.test.difference_error < 0.1
    assert "McNemar, exact p = " in words.test_line(study)


def test_tables_and_page_say_the_verdict_at_equal_cost_and_seconds_to_the_target():
    import dataclasses

    study = make_study()
    equal = EqualCost(300, Estimate(0.9, 0.8, 1.0), Estimate(-0.02, -0.03, -0.01), 0.01, "worse", "worse", 1)
    rows = tuple(
        dataclasses.replace(r, equal_cost=equal, pace=Pace(0.9, 120.0, 8)) if r.technique == "sam" else r
        for r in study.rows
    )
    costs = (Cost("regularization", "sam", 2, 0.01, 1.5),)
    study = dataclasses.replace(study, rows=rows, costs=costs)
    said = "".join(str(Printable(t)) for t in family_tables(study))
    assert "at equal cost" in said
    assert "300 of 600" in said
    page = report_html(study)
    assert "worse; 1 of 8 diverged" in page
    assert "120 (8 of 8 seeds), 1.2 s alone" in page
