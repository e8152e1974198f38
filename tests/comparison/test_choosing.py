"""Which setting is taken: tables against the formulas, what is common, what stands apart, what cannot be told."""

import math

import numpy as np
import pytest

from trainsmith.comparison.choosing import choose
from trainsmith.population import Result


def results(scores, losses=None):
    """Of scores (candidates, positions, seeds)."""
    losses = np.zeros_like(scores) if losses is None else losses
    return [
        [[Result(score=s, loss=v) for s, v in zip(*cell, strict=True)] for cell in zip(*of_one, strict=True)]
        for of_one in zip(np.asarray(scores).tolist(), np.asarray(losses).tolist(), strict=True)
    ]


def everywhere(scores):
    return [range(len(of_one)) for of_one in scores]


def reference(x):
    """For a complete table x (C, Q, N) of scores, in double precision, from the formulas."""
    c, q, n = x.shape
    m = x.mean(2)
    r = m - m.mean(1, keepdims=True) - m.mean(0, keepdims=True) + m.mean()
    rest = x - x.mean(1, keepdims=True) - x.mean(2, keepdims=True) + x.mean((1, 2), keepdims=True)
    variance = (rest**2).sum() / (c * (q - 1) * (n - 1)) / n
    noise = min(1.0, variance / ((r**2).sum() / ((c - 1) * (q - 1))))
    return (m - np.clip(noise * r, -math.sqrt(variance), math.sqrt(variance))).argmax(1).tolist()


@pytest.mark.parametrize("apart", [0.0, 0.01, 0.03, 0.1])
def test_complete_tables_are_chosen_from_as_the_formulas_say(apart):
    draws = np.random.default_rng(3)
    own = 0
    for _ in range(60):
        x = (
            draws.normal(0, 0.03, (5, 3, 3))
            + draws.normal(0, apart, (5, 3, 1))
            + [[[0.0]], [[0.9]], [[2]], [[0]], [[1]]]
        )
        x = x + draws.normal(0, 0.2, (5, 1, 3))
        assert choose(results(x), everywhere(x)) == reference(x)
        own += reference(x) == x.mean(2).argmax(1).tolist()
    assert own < 60


def test_twins_get_the_setting_that_is_best_for_all_more_often_than_each_finds_it():
    draws = np.random.default_rng(5)
    truth = np.array([0.0, 0.02, -0.05])[None, :, None]
    found = own = 0
    for _ in range(100):
        x = truth + draws.normal(0, 0.04, (5, 3, 3))
        found += choose(results(x), everywhere(x)).count(1)
        own += int((x.mean(2).argmax(1) == 1).sum())
    assert found > own + 50, "of 500"


def test_one_that_stands_apart_by_more_than_noise_keeps_its_own_best():
    draws = np.random.default_rng(7)
    x = np.array([0.0, 0.02, -0.05])[None, :, None] + draws.normal(0, 0.02, (9, 3, 3))
    x[8, 2] += 0.2
    assert choose(results(x), everywhere(x))[8] == 2
    assert choose(results(x), everywhere(x))[:8] == [1] * 8


def test_a_tie_of_scores_goes_to_the_smaller_loss():
    x = np.ones((2, 3, 2))
    losses = np.array([[[3, 3], [1, 1], [2, 2]], [[1, 1], [3, 3], [2, 2]]], dtype=float)
    assert choose(results(x, losses), everywhere(x)) == [1, 0]


def test_one_seed_tells_no_noise_and_the_best_score_wins():
    x = np.array([[[0.1], [0.3], [0.2]], [[0.5], [0.1], [0.2]], [[0.1], [0.2], [0.9]]])
    assert choose(results(x), everywhere(x)) == [1, 0, 2]


def test_only_standing_positions_count_and_tables_may_have_holes():
    draws = np.random.default_rng(9)
    x = np.array([0.0, 0.05, 0.1, 0.3])[None, :, None] + draws.normal(0, 0.01, (3, 4, 3))
    standing = [[0, 1], [1, 2], [0, 2]]
    assert choose(results(x), standing) == [1, 2, 2]
    assert choose(results(x), [[0], [3], [2]]) == [0, 3, 2]


def test_a_diverged_trial_is_taken_only_where_all_diverged():
    draws = np.random.default_rng(11)
    x = np.array([0.0, 0.05, 0.1])[None, :, None] + draws.normal(0, 0.01, (3, 3, 3))
    x[0, 2, 1] = math.nan
    x[1] = math.nan
    assert choose(results(x), everywhere(x)) == [1, 0, 2]


def test_a_diverged_trial_changes_no_others_choice():
    draws = np.random.default_rng(6)
    x = np.array([0.0, 0.02, -0.05])[None, :, None] + draws.normal(0, 0.04, (5, 3, 3))
    x[0, 0, 1] = math.nan
    without = choose(results(x), [[1, 2], *everywhere(x)[1:]])
    assert without != np.nanmean(x, 2).argmax(1).tolist(), "noise was taken from these"
    assert choose(results(x), everywhere(x)) == without


def test_the_order_of_candidates_does_not_matter():
    draws = np.random.default_rng(13)
    x = draws.normal(0, 0.03, (5, 3, 3)) + draws.normal(0, 0.02, (5, 3, 1))
    turned = [4, 2, 0, 1, 3]
    found = choose(results(x), everywhere(x))
    assert choose(results(x[turned]), everywhere(x)) == [found[i] for i in turned]
