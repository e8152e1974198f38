"""What a network keeps or writes beside its parameters: each member has its own, as in a plain loop."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import trainsmith
from trainsmith import luck

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(1))
Y = (X.sum(1) > 0).long()
STEPS, RATES = 6, [1e-2, 3e-2, 1e-1]


class Base(nn.Module):
    """A linear layer, behind a recurrent one where the members are to be trained by the loop."""

    def __init__(self, loop=False):
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.before = nn.GRU(6, 6, batch_first=True) if loop else None

    def head(self, x):
        return self.layer(x if self.before is None else self.before(x[:, None])[0][:, 0])


class Unsaved(Base):
    """Buffers that move in training and that no state_dict has."""

    def __init__(self, loop=False):
        super().__init__(loop)
        self.register_buffer("mean", torch.zeros(6), persistent=False)
        self.register_buffer("steps", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.steps.add_(1)
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
        return self.head(x - self.mean) * (1 + 0.1 * self.steps)


class Writes(Base):
    """It works on its inputs in place."""

    def forward(self, x):
        x -= 0.3
        return self.head(x.mul_(2))


class Counts(Base):
    """A number of Python's that changes from step to step."""

    def __init__(self, loop=False):
        super().__init__(loop)
        self.steps, self.held = 0, [self.layer.weight]

    def forward(self, x):
        self.steps += self.training
        return self.head(x) * (1 + 0.1 * self.steps)


class Extra(Base):
    """A state_dict that holds more than tensors."""

    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        assert state == {"version": 2}

    def forward(self, x):
        return self.head(x)


def plain(module, seed, lr):
    """What anybody would write, on the batches the seed draws."""
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=lr), []
    for chosen in luck.batches(seed, np.arange(len(X)), 16, STEPS):
        loss = nn.functional.cross_entropy(module(X[chosen]), Y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("seeds", [None, 3], ids=["own batches", "the same batches"])
@pytest.mark.parametrize("loop", [False, True], ids=["batched", "by the loop"])
@pytest.mark.parametrize("network", [Unsaved, Writes, Counts, Extra])
def test_members_are_those_of_a_plain_loop_and_come_out_whole(network, loop, seeds):
    x = X.clone()
    population = trainsmith.Population(network, lr=RATES, loop=loop, seeds=seeds)
    alone = [population.member(k) for k in range(3)]
    expected = [plain(m, population.seeds[k], RATES[k]) for k, m in enumerate(alone)]
    fit = population.fit(x, Y, steps=STEPS, batch_size=16)
    assert ("by the loop" in population.plan) == (loop or network is Counts)
    assert np.allclose(fit.losses.T, expected, rtol=1e-4)
    assert fit.deviation <= fit.tolerance
    outputs = population.outputs(x)
    assert torch.equal(x, X), "the user's examples stay as they are"
    for k, module in enumerate(alone):
        with torch.no_grad():
            assert torch.allclose(outputs[k], module.eval()(X.clone()), rtol=1e-3, atol=1e-4)
            assert torch.allclose(outputs[k], population.member(k).eval()(X.clone()), rtol=1e-4, atol=1e-5)


def test_a_member_that_was_taken_out_has_its_own_attributes_and_what_they_point_at():
    population = trainsmith.Population(Counts, lr=RATES)
    population.fit(X, Y, steps=STEPS, batch_size=16)
    population.keep([0])
    population.fit(X, Y, steps=STEPS, batch_size=16)
    for k, steps in ((0, 2 * STEPS), (1, STEPS)):
        member = population.member(k)
        assert member.steps == steps
        assert member.held[0] is member.layer.weight
        assert member.training
    assert copy.deepcopy(population.member(0)).steps == 2 * STEPS


class EvaluatedOtherwise(nn.Module):
    """In evaluation it asks for a number, which vmap refuses."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, x):
        found = self.layer(x)
        return found if self.training else found / found.abs().max().item()


def test_a_network_that_evaluates_otherwise_than_it_trains_is_evaluated_one_by_one():
    population = trainsmith.Population(EvaluatedOtherwise, lr=RATES)
    population.fit(X, Y, steps=STEPS, batch_size=16)
    assert "by the loop" not in population.plan
    outputs = population.outputs(X)
    for k in range(3):
        with torch.no_grad():
            assert torch.allclose(outputs[k], population.member(k).eval()(X), rtol=1e-4, atol=1e-6)


def numpy_made():
    layer = nn.Linear(6, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.random.randn(2, 6)))
    return layer


def test_weights_that_a_factory_draws_with_numpy_are_the_seeds():
    state = np.random.get_state()[1].tobytes()
    first, second = (trainsmith.Population(numpy_made, 2, seeds=seeds) for seeds in ([5, 6], [6, 5]))
    assert torch.equal(first.member(0).weight, second.member(1).weight)
    assert not torch.equal(first.member(0).weight, first.member(1).weight)
    assert np.random.get_state()[1].tobytes() == state
