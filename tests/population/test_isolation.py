"""Promises 2 and 4: nothing is silently shared, and members fail alone."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from make_runs import blobs, runs_of
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.errors import InvalidInput
from trainsmith.population import Alone, Chunk, Job, Training, make_member, train, work

TRAINING = Training(steps=20, batch_size=16, checks=5)


def trained(runs, network="mlp", training=TRAINING, **options):
    data = blobs()
    members = [make_member(run, network, data) for run in runs]
    population = Chunk(members, data.x, data.y)
    return train(population, data.x, data.y, training, keep_states=True, **options), population


def of_rates(*rates, recipe=None):
    recipe = recipe or Recipe(normalization="batch", regularization=("dropout",))
    return [Run(Trial(recipe, {"adam.lr": rate}), seed) for seed, rate in enumerate(rates)]


def test_an_exploding_member_leaves_the_others_bit_identical_and_is_called_diverged():
    healthy, _ = trained(of_rates(1e-3, 2e-3, 1e-3, 5e-3))
    beside, _ = trained(of_rates(1e-3, 1e38, 1e-3, 5e-3))
    assert [r.status for r in beside] == ["finished", "diverged", "finished", "finished"]
    assert math.isnan(beside[1].score)
    for i in (0, 2, 3):
        assert beside[i].first_losses == healthy[i].first_losses
        assert beside[i].curve[0] == healthy[i].curve[0]
        np.testing.assert_allclose(beside[i].score, healthy[i].score, atol=0.02)


def test_dropped_members_stop_costing_time_and_the_others_go_on_unchanged():
    steps = []
    results, population = trained(of_rates(1e-3, 1e38, 1e38, 5e-3, 1e38), advance=steps.append)
    alone, _ = trained(of_rates(1e-3, 1e38, 1e38, 5e-3, 1e38)[:1])
    assert len(population.parameters[0]) == 2, "three of five members diverged: their rows are taken out"
    assert sum(steps) == 5 * TRAINING.steps
    np.testing.assert_allclose(results[0].curve, alone[0].curve, rtol=1e-4, atol=1e-5)
    for name, weights in alone[0].state.items():
        np.testing.assert_allclose(results[0].state[name], weights, rtol=1e-3, atol=1e-5)


def test_every_hyper_parameter_acts_on_its_own_member_only():
    recipe = Recipe(regularization=("dropout",))
    runs = [Run(Trial(recipe, {"dropout.rate": rate}), 3) for rate in (0.05, 0.5, 0.05)]
    results, _ = trained(runs)
    assert results[0].first_losses == results[2].first_losses
    assert results[0].first_losses != results[1].first_losses


def test_a_population_of_unequal_structures_is_refused():
    data = blobs()
    runs = [Run(Trial(Recipe(activation=name)), 0) for name in ("relu", "tanh")]
    with pytest.raises(ValueError, match="equal structural signatures"):
        Chunk([make_member(run, "mlp", data) for run in runs], data.x, data.y)


class Slopes(nn.Module):
    """A user's network whose slope is an ordinary attribute, different at each construction."""

    made = 0

    def __init__(self, shape, outputs):
        super().__init__()
        self.slope = 0.1 if Slopes.made % 2 else 0.3
        Slopes.made += 1
        self.first, self.last = nn.Linear(12, 16), nn.Linear(16, outputs)

    def forward(self, x):
        return self.last(nn.functional.leaky_relu(self.first(x), self.slope))


def test_members_that_differ_in_an_attribute_land_in_different_programs():
    Slopes.made = 0
    runs = tuple(runs_of(Recipe(), 4))
    record = work(Job(Slopes, TRAINING, runs, replay=()), blobs())
    assert record.buckets == 2
    assert all(r.status == "finished" for r in record.results)


class Recurrent(nn.Module):
    """A network that cannot run under vmap."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.cell, self.last = nn.GRU(12, 8, batch_first=True), nn.Linear(8, outputs)

    def forward(self, x):
        scale = 1.0 if x.abs().mean().item() > 1e-9 else 0.5
        return self.last(self.cell(x[:, None, :])[0][:, 0] * scale)


def test_a_network_that_cannot_be_batched_is_trained_by_the_loop_and_that_is_said():
    record = work(Job(Recurrent, TRAINING, tuple(runs_of(Recipe(), 2)), replay=(0,)), blobs())
    assert len(record.loops) == 1
    assert [r.status for r in record.results] == ["finished", "finished"]
    assert record.deviations == [0.0]


class Noisy(nn.Module):
    def __init__(self, draw, also_in_evaluation):
        super().__init__()
        self.last, self.draw, self.always = nn.Linear(12, 3), draw, also_in_evaluation

    def forward(self, x):
        return self.last(x + self.draw(x) if self.training or self.always else x)


def test_noise_of_the_network_is_its_members_own():
    runs = tuple(runs_of(Recipe(), 3))
    record = work(Job(lambda: Noisy(torch.randn_like, False), TRAINING, runs, replay=(0, 1, 2)), blobs())
    assert not record.loops
    assert max(record.deviations) < 1e-5


def of_counts():
    return Noisy(lambda x: torch.poisson(x.abs()), False)


def test_noise_that_members_would_share_is_refused():
    with pytest.raises(InvalidInput, match=r"poisson.*cannot be drawn per member"):
        work(
            Job(lambda: Noisy(lambda x: torch.poisson(x.abs()), False), TRAINING, tuple(runs_of(Recipe(), 2))), blobs()
        )


@pytest.mark.parametrize("draw", [torch.randn_like, lambda x: torch.poisson(x.abs())])
def test_noise_in_evaluation_is_refused(draw):
    member = make_member(runs_of(Recipe(), 1)[0], lambda: Noisy(draw, True), blobs())
    with pytest.raises(InvalidInput, match=r"in evaluation mode too.*self\.training|cannot be drawn per member"):
        Alone(member).outputs(torch.ones(1, 2, 12))


def test_numpy_noise_in_evaluation_is_the_same_each_time():
    member = make_member(runs_of(Recipe(), 1)[0], lambda: Noisy(lambda x: np.random.rand(), True), blobs())
    first, second = (Alone(member).outputs(torch.ones(1, 2, 12)) for _ in range(2))
    assert torch.equal(first, second)


class Frozen(nn.Module):
    """A user's network in double precision whose first layer is not to be trained."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.first, self.act, self.last = nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, outputs)
        self.first.requires_grad_(False)
        self.double()

    def forward(self, x):
        return self.last(self.act(self.first(x.double())))


def test_frozen_parameters_stay_as_they_are_and_the_precision_is_kept():
    runs = runs_of(Recipe(optimizer="momentum", regularization=("l2",)), 3)
    results, population = trained(runs, Frozen)
    assert {p.dtype for p in population.parameters} == {torch.float64}
    record = work(Job(Frozen, TRAINING, tuple(runs), replay=(0, 1, 2)), blobs())
    assert max(record.deviations) < 1e-12
    for run, result in zip(runs, results, strict=True):
        start = make_member(run, Frozen, blobs()).objective.network.state_dict()
        changed = {name for name, t in start.items() if not np.array_equal(t.numpy(), result.state[name])}
        assert {name.split(".")[-2] for name in changed} == {"last"}


class Native(nn.Module):
    """torch's own dropout and batch normalization, as a user would write them."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Linear(16, outputs)

    def forward(self, x):
        return self.last(nn.functional.dropout(torch.relu(self.norm(self.first(x))), 0.4, self.training))


def test_a_users_functional_dropout_is_keyed_per_member():
    runs = tuple(runs_of(Recipe(), 3))
    record = work(Job(Native, TRAINING, runs, replay=(0, 1, 2)), blobs())
    assert not record.loops
    assert max(record.deviations) < 1e-5
