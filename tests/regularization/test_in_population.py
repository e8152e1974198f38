"""Regularizers inside a training: on the right tensors, refused where they have no meaning."""

import numpy as np
import torch

from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.population import Alone, Training, make_member, train

TRAINING = Training(steps=6, batch_size=16, checks=2)


def weights_after(recipe, data=None, **numbers):
    """(result, state) of one member trained alone."""
    data = data or blobs()
    member = make_member(Run(Trial(recipe, numbers), 3), "mlp", data)
    (result,) = train(Alone(member), data.x, data.y, TRAINING, keep_states=True)
    return result, {name: torch.from_numpy(np.array(t)) for name, t in result.state.items()}


def test_a_constraint_bounds_weights_and_not_biases():
    numbers = {"max-norm.limit": 1e-3, "sgd.lr": 1.0}
    _, state = weights_after(Recipe(optimizer="sgd", regularization=("max-norm",)), **numbers)
    biases = [t for name, t in state.items() if name.endswith("bias")]
    assert all(t.flatten(1).norm(dim=1).max() < 1.001e-3 for t in state.values() if t.ndim >= 2)
    assert max(b.norm() for b in biases) > 0.01


def test_a_constraint_is_left_out_with_the_reason_where_the_optimizer_evaluates_other_weights():
    recipe = Recipe(optimizer="schedule-free-sgd", regularization=("max-norm", "l2"))
    member = make_member(Run(Trial(recipe), 0), "mlp", blobs())
    assert member.skipped == {
        "max-norm": "ScheduleFreeSGD evaluates other weights than it trains, which the constraint would not reach"
    }
    assert "max-norm.limit" not in member.numbers
