"""What holds for every policy on when to stop."""

import math
import pickle

import pytest
import torch

from each_technique import each, settings


@each("stopping")
def test_a_loss_that_stands_still_is_stopped_and_one_that_falls_is_not(technique):
    for numbers in settings(technique):
        still, falling = technique.make(**numbers), technique.make(**numbers)
        for check in range(1000):
            still.update(1.0)
            assert falling.update(-float(check))
            assert not falling.stop
        assert still.stop


@each("stopping")
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_never_the_best(technique, loss):
    policy = technique.make()
    assert not policy.update(loss)
    assert policy.update(2.0)
    assert not policy.update(loss)
    assert (policy.best, policy.best_check) == (2.0, 2)


@each("stopping")
def test_it_goes_on_after_it_was_stored(technique):
    policy = technique.make()
    policy.update(1.0)
    again, other = pickle.loads(pickle.dumps(policy)), technique.make(9)
    other.load_state_dict(policy.state_dict())
    for loss in (1.5, 0.5, math.nan, *[0.6] * 100):
        assert again.update(loss) == other.update(loss) == policy.update(loss)
        assert again.stop == other.stop == policy.stop
    assert again.best_check == other.best_check == policy.best_check


@each("stopping")
def test_a_loss_may_be_a_tensor_of_which_no_graph_is_kept(technique):
    policy = technique.make()
    assert policy.update(torch.ones((), requires_grad=True) * 2)
    assert type(policy.best) is float
