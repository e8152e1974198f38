"""Early stopping, against the algorithm run on losses that are known beforehand."""

import itertools
import math

import pytest

from reference import regularization as paper
from trainsmith.errors import InvalidInput
from trainsmith.regularization import EarlyStopping

CURVES = [
    [1.0, 0.8, 0.9, 0.7, 0.75, 0.74, 0.71, 0.6],
    [1.0, 1.0, 1.0, 1.0],
    [3.0, 2.0, 1.0],
    [math.nan, 2.0, math.nan, 3.0, 1.0],
    [math.nan] * 5,
    [1.0, 2.0, math.inf, 0.5],
]


def driven(policy, losses):
    """(checks made, index of the best) when `policy` watches a training with these losses."""
    for n, loss in enumerate(losses, 1):
        policy.update(loss)
        if policy.stop:
            return n, policy.best_check - 1
    return len(losses), policy.best_check - 1


@pytest.mark.parametrize(("losses", "patience"), list(itertools.product(CURVES, (1, 2, 3, 10))))
def test_it_stops_when_the_textbook_does_and_keeps_the_same_check(losses, patience):
    assert driven(EarlyStopping(float(patience)), losses) == paper.stopped_after(losses, patience)


def test_update_says_whether_the_loss_is_the_best_so_far():
    policy = EarlyStopping()
    assert [policy.update(loss) for loss in (2.0, 2.0, 1.5, math.nan, 1.6)] == [True, False, True, False, False]
    assert (policy.best, policy.best_check) == (1.5, 3)


def test_before_the_first_check_there_is_nothing_to_stop_for():
    policy = EarlyStopping()
    assert not policy.stop
    assert policy.best == math.inf


def test_a_patience_between_two_numbers_counts_as_the_larger():
    assert driven(EarlyStopping(2.5), CURVES[0]) == driven(EarlyStopping(3.0), CURVES[0])


def test_defaults():
    policy = EarlyStopping()
    assert (policy.patience, policy.fraction) == (5, 0.1)


@pytest.mark.parametrize(("numbers", "message"), [
    ({"patience": 0.0}, r"early-stopping: patience must be a number in \[1, inf\]; got 0.0."),
    ({"fraction": 0.0}, r"early-stopping: fraction must be a number in \(0, 1\); got 0.0."),
])  # fmt: skip
def test_numbers_without_meaning_are_refused(numbers, message):
    with pytest.raises(InvalidInput, match=message):
        EarlyStopping(**numbers)
