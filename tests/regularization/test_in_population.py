"""Regularizers inside a training: on the right tensors, refused where they have no meaning."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Training, make_member, train
from uniform_draws import drawing

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
        "max-norm": "ScheduleFreeSGD evaluates other weights than it trains, which it would not reach"
    }
    assert "max-norm.limit" not in member.numbers


def member_of(*regularization, data=None, optimizer="sgd", **numbers):
    recipe = Recipe(optimizer=optimizer, regularization=regularization)
    return make_member(Run(Trial(recipe, numbers), 3), "mlp", data or blobs())


def loss_of(member, x, y, *draws):
    with drawing(*draws):
        return member.objective(x, y)


def test_an_augmentation_is_fitted_on_the_training_examples_and_changes_what_the_network_sees():
    data = blobs()
    member = member_of("input-noise", **{"input-noise.std": 0.5})
    spread = data.x[member.train].std(0, correction=0)
    x, y = data.x[:8], data.y[:8]
    noise = 0.5 * math.sqrt(-2 * math.log(1 - 0.3)) * math.cos(2 * math.pi * 0.9)
    expected = functional.cross_entropy(member.objective.network(x + noise * spread), y)
    torch.testing.assert_close(loss_of(member, x, y, 0.3, 0.9), expected)


def test_a_mixing_mixes_the_losses_by_the_same_share():
    data, member = blobs(), member_of("mixup", **{"mixup.alpha": 0.7})
    x, y = data.x[:4], data.y[:4]
    draws = ([0.4, 0.1, 0.9, 0.2], 0.2, 0.1, 0.3, 0.6)
    with drawing(*draws):
        mixed, other, share = member.objective.mixing(x, y)
    outputs = member.objective.network(mixed)
    expected = share * functional.cross_entropy(outputs, y) + (1 - share) * functional.cross_entropy(outputs, other)
    assert 0.5 < share < 0.95
    assert not torch.equal(y, other)
    torch.testing.assert_close(loss_of(member, x, y, *draws), expected)


def test_a_perturbation_changes_the_weights_for_the_pass_and_no_longer():
    data, member = blobs(), member_of("weight-noise", **{"weight-noise.std": 0.5})
    before = {name: p.detach().clone() for name, p in member.objective.network.named_parameters()}
    noise = 0.5 * math.sqrt(-2 * math.log(1 - 0.3)) * math.cos(2 * math.pi * 0.9)
    noisy = {name: p + noise for name, p in before.items() if p.ndim >= 2}
    x, y = data.x[:8], data.y[:8]
    expected = functional.cross_entropy(torch.func.functional_call(member.objective.network, noisy, (x,)), y)
    torch.testing.assert_close(loss_of(member, x, y, *[0.3, 0.9] * len(noisy)), expected)
    assert all(torch.equal(p, before[name]) for name, p in member.objective.network.named_parameters())


def test_gradient_noise_reaches_every_parameter():
    data = blobs()
    plain, noisy = member_of(), member_of("gradient-noise", **{"gradient-noise.eta": 1.0})
    for member in (plain, noisy):
        member.objective(data.x[:8], data.y[:8]).backward()
    pairs = zip(plain.objective.network.parameters(), noisy.objective.network.parameters(), strict=True)
    assert all(not torch.equal(a.grad, b.grad) for a, b in pairs)


def test_augmentations_for_another_kind_of_data_are_left_out_with_the_reason():
    member = member_of("flip", "swap-noise")
    assert member.skipped == {"flip": "it is for images, and these data are tables"}
    assert [type(m).__name__ for m in member.objective.augmentations] == ["SwapNoise"]


@pytest.mark.parametrize(
    ("names", "role"), [(("confidence-penalty", "label-smoothing"), "loss"), (("mixup", "cutmix"), "mixing")]
)
def test_two_that_want_the_same_place_are_refused(names, role):
    images = from_arrays(torch.rand(60, 1, 4, 4).numpy(), (torch.arange(60) % 3).numpy(), "images")
    with pytest.raises(
        InvalidInput, match=f"cannot act together: a recipe has at most one {role}; choose one of them."
    ):
        member_of(*names, data=images)
