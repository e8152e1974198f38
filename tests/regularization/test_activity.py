"""Sparse representations: what activations cost, and winners that take all."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from make_runs import blobs
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.errors import InvalidInput
from trainsmith.population import make_member
from trainsmith.regularization import ActivityKL, ActivityL1, ActivityPenalty, KWinners, activity_cost


def activations(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cost_of(layer, x):
    assert layer(x) is x
    (cost,) = activity_cost(layer)
    return cost.item()


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 2)], ids=str)
def test_the_l1_cost_is_a_mean_over_examples_of_a_sum_over_units(shape):
    x = activations(*shape) - 0.5
    expected = 0.25 * sum(math.fsum(abs(v) for v in np.ravel(row)) for row in x.numpy()) / len(x)
    assert cost_of(ActivityL1(0.25), x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("layer", [ActivityL1(0.25), ActivityKL(0.25)])
def test_activations_in_half_precision_cost_what_they_cost_in_single(layer):
    x = torch.ones(2, 70_000)
    assert cost_of(layer, x.half()) == pytest.approx(cost_of(layer, x), rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 2)], ids=str)
def test_the_kl_cost_is_the_sum_of_the_units_divergences(shape):
    x, rho = activations(*shape), 0.25
    means = [np.mean(x.numpy()[:, unit]) for unit in range(3)]
    expected = 2 * math.fsum(rho * math.log(rho / m) + (1 - rho) * math.log((1 - rho) / (1 - m)) for m in means)
    assert cost_of(ActivityKL(2.0, rho), x) == pytest.approx(expected, rel=1e-6)


def test_the_kl_cost_is_0_at_the_target_and_grows_to_both_sides():
    costs = [cost_of(ActivityKL(1.0, 0.25), torch.full((4, 1), m).double()) for m in (0.1, 0.2, 0.25, 0.3, 0.4)]
    assert costs[2] == pytest.approx(0, abs=1e-12)
    assert costs[0] > costs[1] > costs[2] < costs[3] < costs[4]


def test_the_kl_cost_is_finite_for_units_that_never_or_always_fire():
    x = torch.tensor([[0.0, 1.0]], requires_grad=True)
    layer = ActivityKL(1.0)
    layer(x)
    (cost,) = activity_cost(layer)
    assert cost.isfinite()
    assert torch.autograd.grad(cost, x)[0].isfinite().all()


def test_the_cost_is_that_of_the_last_pass_in_training_and_is_given_once():
    network = nn.Sequential(nn.Linear(2, 3), ActivityL1(1.0), nn.Linear(3, 3), ActivityL1(2.0))
    hidden = network[0](torch.ones(4, 2))
    network(torch.zeros(4, 2))
    network(torch.ones(4, 2))
    first, second = activity_cost(network)
    torch.testing.assert_close(first, hidden.abs().sum(1).mean())
    torch.testing.assert_close(second, 2 * network[2](hidden).abs().sum(1).mean())
    assert activity_cost(network) == []
    network.eval()(torch.ones(4, 2))
    assert activity_cost(network) == []


@pytest.mark.parametrize("kind", [ActivityL1, ActivityKL])
def test_a_layer_that_a_pass_calls_several_times_costs_what_its_calls_cost(kind):
    layer, twice = kind(0.5), kind(0.5, calls=2)
    passes = [activations(4, 3) * share for share in (0.3, 0.9, 0.6)]
    each_call = [cost_of(layer, x) for x in passes]
    for x in passes:
        twice(x)
    (cost,) = activity_cost(twice)
    assert cost.item() == pytest.approx(each_call[1] + each_call[2])
    assert activity_cost(twice) == []
    with pytest.raises(InvalidInput, match="calls must be a whole number of at least 1; got 0"):
        kind(calls=0)


def test_a_network_can_be_copied_between_pass_and_cost():
    network = nn.Sequential(nn.Linear(2, 3), ActivityL1(1.0))
    network(torch.ones(4, 2))
    assert activity_cost(copy.deepcopy(network)) == []
    assert len(activity_cost(network)) == 1


def test_in_a_training_the_cost_is_part_of_what_is_minimized():
    data = blobs()
    run = Run(Trial(Recipe(regularization=("activity-l1",)), {"activity-l1.strength": 0.5}), 0)
    member = make_member(run, "mlp", data)
    x, y, hidden = data.x[:8], data.y[:8], []
    found = member.objective(x, y)
    h = x
    for layer in member.objective.network:
        h = layer(h)
        if isinstance(layer, ActivityPenalty):
            hidden.append(0.5 * h.abs().sum(1).mean())
    assert len(hidden) == 5
    torch.testing.assert_close(found, functional.cross_entropy(h, y) + sum(hidden))


def test_kl_sparsity_is_left_out_behind_activations_that_are_not_between_0_and_1():
    recipe = Recipe(regularization=("activity-kl",))
    member = make_member(Run(Trial(recipe), 0), "mlp", blobs())
    assert member.skipped == {
        "activity-kl": "it needs activations between 0 and 1, as sigmoid or hard-sigmoid gives, not relu"
    }
    assert not any(isinstance(m, ActivityPenalty) for m in member.objective.modules())
    recipe = Recipe(activation="sigmoid", regularization=("activity-kl",))
    member = make_member(Run(Trial(recipe), 0), "mlp", blobs())
    assert not member.skipped
    assert sum(isinstance(m, ActivityPenalty) for m in member.objective.modules()) == 5


@pytest.mark.parametrize(("share", "k"), [(0.1, 1), (0.3, 3), (0.31, 4), (0.75, 8), (1.0, 10)])
@pytest.mark.parametrize("shape", [(6, 10), (6, 5, 1, 2)], ids=str)
def test_the_k_largest_units_of_each_example_win(share, k, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    y = KWinners(share)(x)
    for row, given in zip(y.flatten(1), x.flatten(1), strict=True):
        winners = set(given.argsort(descending=True)[:k].tolist())
        assert {i for i in range(10) if row[i] != 0} == winners
        assert all(row[i] == given[i] for i in winners)
    assert torch.equal(KWinners(share).eval()(x), y)


def test_the_gradient_reaches_winners_only():
    x = torch.tensor([[1.0, 3.0, -1.0, 2.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(KWinners(0.5)(x).sum(), x)
    assert gradient.tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_defaults():
    numbers = [ActivityL1().strength, ActivityKL().strength, ActivityKL().target, KWinners().share]
    assert [round(n.item(), 6) for n in numbers] == [1e-4, 1e-2, 0.05, 0.5]
