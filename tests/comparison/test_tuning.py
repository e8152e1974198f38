"""Trials, the wider range where a best value lies at its end, finalists: on made-up scores."""

import math

import pytest

from trainsmith.catalogue import Recipe, Trial, find
from trainsmith.comparison.budget import Budget
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.tuning import beyond, tune
from trainsmith.population import Result

SGD = Recipe(optimizer="sgd")


def trials(recipe, count=6):
    return Candidate((), recipe).trials(count)


def best_at(peaks):
    """A trainer whose score falls with the distance, in decades, of the learning rate from the optimizer's peak."""

    def train(what, runs, *, share):
        stages.append((what, len(runs)))
        return [Result(score=-abs(math.log10(rate(r) / peaks[r.trial.recipe.optimizer])), loss=1.0) for r in runs]

    stages = []
    return train, stages


def rate(run):
    return run.trial.values[f"{run.trial.recipe.optimizer}.lr"]


BUDGET = Budget(trials=6, finalists=2, final_seeds=2, extension=2)


def test_a_best_rate_inside_what_was_tried_needs_no_further_trials():
    train, stages = best_at({"adam": 1e-3})
    told = []
    (tuned,) = tune(train, [trials(Recipe())], BUDGET, lambda *more: told.append(more))
    assert len(tuned.trials) == 6
    assert stages == [("tuning", 6), ("tuning the finalists", 4)]
    assert told == []


def test_a_best_rate_at_an_end_widens_the_range_and_all_get_as_many_trials():
    low = min(rate_of(t) for t in trials(SGD))
    train, stages = best_at({"adam": 1e-3, "sgd": low / 8})
    told = []
    adam, sgd = tune(train, [trials(Recipe()), trials(SGD)], BUDGET, lambda *more: told.append(more))
    assert (len(adam.trials), len(sgd.trials)) == (8, 8)
    assert told == [(4, 4)]
    assert stages == [("tuning", 12), ("widening the range", 4), ("tuning the finalists", 8)]
    assert [rate_of(t) for t in sgd.trials[6:]] == pytest.approx([low / math.sqrt(10), low / 10])
    assert sgd.best == 7, "the peak lies beyond, and it is found there"
    low = min(rate_of(t) for t in trials(Recipe()))
    assert [rate_of(t) for t in adam.trials[6:]] == pytest.approx([low / math.sqrt(10), low / 10]), "the same for all"
    assert [a.seeds for a in sgd.attempts].count(3) == 2, "finalists are chosen among all eight"


def rate_of(trial):
    return trial.values[f"{trial.recipe.optimizer}.lr"]


def test_twins_whose_best_trials_differ_by_luck_are_offered_the_same_rates_in_the_end():
    """One twin's best trial is the upper end, another's is inside: a peak beyond the end can be found by both."""
    low, *_, high = sorted(rate_of(t) for t in trials(SGD))
    stages = []

    def train(what, runs, *, share):
        stages.append(what)
        unlucky = range(len(runs) // 2, len(runs)) if what == "tuning" else ()
        peaks = [math.sqrt(low * high) if n in unlucky else high * 8 for n in range(len(runs))]
        return [Result(score=-abs(math.log10(rate(r) / peak)), loss=1.0) for r, peak in zip(runs, peaks, strict=True)]

    one, other = tune(train, [trials(SGD), trials(SGD)], BUDGET)
    assert [rate_of(t) for t in one.trials] == pytest.approx([rate_of(t) for t in other.trials])
    assert one.best == other.best == 7
    assert stages == ["tuning", "widening the range", "tuning the finalists"]


def test_between_two_ends_a_rate_inside_goes_on_at_the_nearer_one():
    edges = {n: sorted(rate_of(t) for t in trials(Recipe(optimizer=n))) for n in ("adam", "sgd", "momentum")}
    for inside, side in ((1, -1), (4, 1)):
        train, _ = best_at(
            {"adam": edges["adam"][-1] * 3, "sgd": edges["sgd"][0] / 3, "momentum": edges["momentum"][inside]}
        )
        tuned = tune(train, [trials(Recipe(optimizer=n)) for n in edges], BUDGET)
        for t, n, way in zip(tuned, edges, (1, -1, side), strict=True):
            found = [math.log10(rate_of(trial) / edges[n][-1 if way > 0 else 0]) for trial in t.trials[6:]]
            assert found == pytest.approx([way / 2, way]), n


@pytest.mark.parametrize(("which", "side"), [(min, -1), (max, 1)])
def test_beyond_an_end_the_rate_goes_on_for_a_decade_and_other_numbers_stay(which, side):
    tried = trials(Recipe(optimizer="momentum"))
    best = tried.index(which(tried, key=rate_of))
    for count in (1, 2, 4):
        for of in (best, (best + 1) % len(tried)):
            found = beyond(tried, of, side, count)
            steps = [side * math.log10(rate_of(t) / rate_of(tried[best])) for t in found]
            assert steps == pytest.approx([(i + 1) / count for i in range(count)])
            assert all({**t.values, "momentum.lr": 0} == {**tried[of].values, "momentum.lr": 0} for t in found)


def test_without_extension_the_range_stays():
    train, stages = best_at({"adam": 1e9})
    (tuned,) = tune(train, [trials(Recipe())], Budget(trials=6, finalists=2, final_seeds=2, extension=0))
    assert len(tuned.trials) == 6
    assert [what for what, _ in stages] == ["tuning", "tuning the finalists"]


@pytest.mark.parametrize(
    ("count", "runs", "further"), [(1, 1, 0), (2, 2 + 2 * 2, 0), (3, 3 + 3 * 2, 2), (8, 8 + 3 * 2, 2)]
)
def test_what_cannot_be_chosen_among_or_extended_is_neither_planned_nor_trained(count, runs, further):
    """Twice: by the budget's own count, and by what is trained where the highest rate is the best."""
    budget, trained = Budget(trials=count), []

    def train(what, asked, *, share):
        trained.extend(asked)
        return [Result(score=run.trial.values["adam.lr"], loss=1.0) for run in asked]

    candidate = Candidate((), Recipe())
    tune(train, [candidate.trials(count)], budget)
    assert (budget.tuning_runs, budget.extended_runs(1)) == (runs, (further, further))
    assert len(trained) == runs + further
    assert budget.stages == 1 + (count > 1) + (further > 0) + 1


def test_one_default_trial_has_no_end_to_go_beyond():
    train, _ = best_at({"adam": 1e9})
    (tuned,) = tune(train, [[Trial(Recipe())]], Budget(trials=1, finalists=1, final_seeds=0))
    assert (len(tuned.trials), tuned.best) == (1, 0)


def test_a_rate_is_not_led_out_of_where_the_technique_is_defined():
    name, h = next((t, h) for t in ("sgd", "adam") for h in find(t).hyperparameters if h.name == "lr")
    tried = [Trial(Recipe(optimizer=name), {f"{name}.lr": r}) for r in (1e-3, 1e-2, 1e-1)]
    assert all(rate_of(t) in h.domain for t in beyond(tried, 2, 1, 3))
