"""Chance of being better, tuning curve and steps to target, against SciPy, every draw written out, and by hand."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from make_study import make_study
from reference import statistics as reference
from trainsmith.catalogue import Recipe, find
from trainsmith.comparison import read_study
from trainsmith.comparison.measures import chance_of_better, pace, tuning_curve, wilson
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.rows import attempts, make_rows
from trainsmith.comparison.study import Attempt
from trainsmith.errors import InvalidInput
from trainsmith.population import Result


def tried(*scores):
    return [Attempt({"adam.lr": 0.1}, score, 1.0) for score in scores]


def run(*curve, score=None):
    """A run with these (step, score) checks."""
    return Result(score=curve[-1][1] if score is None else score, curve=[(s, 0.0, 0.0, v) for s, v in curve])


@pytest.mark.parametrize("n", [1, 2, 8, 33])
def test_wilsons_interval_is_scipys(n):
    for count in range(n + 1):
        ours, theirs = wilson(count, n), binomtest(count, n).proportion_ci(method="wilson")
        assert (ours.mean, ours.low, ours.high) == pytest.approx((count / n, theirs.low, theirs.high), abs=1e-12)
        assert 0 <= ours.low <= ours.mean <= ours.high <= 1


@pytest.mark.parametrize(("count", "n"), [(3, 2), (-1, 2), (0, 0), (math.nan, 2)])
def test_a_share_that_is_none_is_refused(count, n):
    with pytest.raises(InvalidInput, match=f"got {count} of {n}"):
        wilson(count, n)


def test_wilsons_interval_holds_the_true_share_as_often_as_it_says():
    for p in (0.3, 0.5, 0.75):
        held = [wilson(k, 20).low <= p <= wilson(k, 20).high for k in range(21)]
        weights = [math.comb(20, k) * p**k * (1 - p) ** (20 - k) for k in range(21)]
        assert np.dot(held, weights) > 0.92


def test_ties_count_half():
    baseline = np.array([0.5, 0.5, 0.5, 0.5])
    assert chance_of_better(np.array([0.6, 0.5, 0.4, 0.9]), baseline).mean == 0.625
    same = chance_of_better(baseline, baseline)
    assert same.mean == 0.5
    assert same.low + same.high == pytest.approx(1)


def test_swapping_the_two_swaps_the_chance():
    luck = np.random.default_rng(5)
    a, b = luck.integers(0, 4, 9) / 4, luck.integers(0, 4, 9) / 4
    ahead, behind = chance_of_better(a, b), chance_of_better(b, a)
    assert (ahead.mean, ahead.low, ahead.high) == pytest.approx((1 - behind.mean, 1 - behind.high, 1 - behind.low))


def test_the_tuning_curve_knows_planned_trials_only_and_a_constant_for_those_that_diverged():
    got = tuning_curve(tried(0.7, math.nan, 0.9, 0.2, 0.99, 0.99), 4, 0.25)
    assert got == pytest.approx(reference.expected_best([0.7, 0.25, 0.9, 0.2]), rel=1e-12)
    assert len(got) == 4
    assert all(a < b for a, b in itertools.pairwise(got))


def test_steps_to_target_are_the_first_check_that_reached_it():
    quick, slow = run((10, 0.5), (20, 0.8), (30, 0.7)), run((10, 0.1), (20, 0.79), (30, 0.8))
    assert pace([quick, slow, quick], 0.8).steps == 20
    assert pace([quick, slow], 0.8).steps == 25
    assert pace([quick, slow], 0.8).reached == 2


def test_misses_are_infinite_and_so_is_a_run_that_diverged_later():
    quick, never = run((10, 0.9), (20, 0.95)), run((10, 0.1), (20, 0.2))
    burst = run((10, 0.9), (20, math.nan), score=math.nan)
    one_missed = pace([quick, quick, never], 0.8)
    assert (one_missed.steps, one_missed.reached) == (10, 2)
    half_missed = pace([quick, quick, never, burst], 0.8)
    assert (half_missed.steps, half_missed.reached) == (None, 2)


def test_a_row_has_them_and_the_target_is_the_baselines_median():
    chosen = [Candidate((), Recipe()), Candidate((find("sgd"),), Recipe(optimizer="sgd"))]
    tuned = [(0, attempts(c.trials(2), [[run((1, 0.9))], [run((1, 0.5))]], [1.0, 1.0])) for c in chosen]
    base = [run((1, 0.5), (2, s)) for s in (0.6, 0.7, 0.9)]
    fast = [run((1, 0.7), (2, s)) for s in (0.8, 0.6, 0.9)]
    rows = make_rows(chosen, tuned, [base, fast], 0.1, 0.01, 2)
    sgd, adam = (next(r for r in rows if r.technique == name) for name in ("sgd", "adam"))
    assert adam.chance is None
    assert sgd.chance.mean == pytest.approx(1.5 / 3)
    assert (adam.pace.target, adam.pace.steps, adam.pace.reached) == (0.7, 2, 2)
    assert (sgd.pace.target, sgd.pace.steps, sgd.pace.reached) == (0.7, 1, 3)
    assert sgd.tuning_curve == pytest.approx((0.7, 0.8))


def test_they_come_back_from_a_record_and_older_records_have_none():
    study = make_study()
    record = study.to_dict()
    record["rows"][1] |= {
        "chance": {"mean": 0.5, "low": 0.2, "high": 0.8},
        "tuning_curve": [0.7, 0.8],
        "pace": {"target": 0.7, "steps": None, "reached": 1},
    }
    for name in ("chance", "tuning_curve", "pace"):
        del record["rows"][2][name]
    back = read_study(json.dumps(record))
    assert back.to_dict()["rows"][1] == record["rows"][1]
    assert (back.rows[2].chance, back.rows[2].tuning_curve, back.rows[2].pace) == (None, (), None)
