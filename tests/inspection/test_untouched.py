"""The law: what was inspected is bit for bit what it was, and so is everybody's luck."""

import copy
import random
import sys

import numpy as np
import pytest
import sklearn.ensemble
import torch
from torch import nn

from inspection.make_network import draws
from trainsmith.errors import InvalidInput
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.held_back import trees


def awkward():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.4),
        nn.BatchNorm1d(8, affine=False), nn.Linear(8, 4),
    )  # fmt: skip


def state(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("training", [True, False])
def test_weights_statistics_flags_gradients_and_luck_stay(training):
    network = awkward().train(training)
    network[3].train(not training)
    network[0].weight.grad = torch.ones(8, 10)
    before, grad = state(network), network[0].weight.grad
    flags, luck = [m.training for m in network.modules()], torch.get_rng_state()
    inspect(network, (draws(30, 10), torch.arange(30) % 4))
    assert same(before, state(network))
    assert [m.training for m in network.modules()] == flags
    assert torch.equal(torch.get_rng_state(), luck)
    assert network[0].weight.grad is grad
    assert torch.equal(grad, torch.ones(8, 10))
    assert all(p.grad is None for n, p in network.named_parameters() if n != "0.weight")


def test_no_hook_stays():
    network = awkward()
    inspect(network, draws(30, 10))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_no_gradient_reaches_the_users_tensors():
    x, y, scale = draws(30, 10).requires_grad_(), draws(30, 4).requires_grad_(), nn.Parameter(torch.ones(()))
    inspect(awkward(), (x, y), lambda out, target: (out * scale - target).square().mean())
    assert x.grad is y.grad is scale.grad is None


def test_training_goes_on_as_if_nothing_had_happened():
    def train(looking):
        network, x, y = awkward(), draws(30, 10), torch.arange(30) % 4
        optimizer = torch.optim.Adam(network.parameters())
        torch.manual_seed(5)
        for _ in range(3):
            if looking:
                inspect(network, (x, y))
            loss = nn.functional.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return state(network)

    assert same(train(looking=False), train(looking=True))


class Rewrites(nn.Linear):
    """Clips its weights in every forward pass, and puts a new tensor in place of a buffer."""

    def __init__(self):
        super().__init__(10, 4)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count = self.count + 1
        with torch.no_grad():
            self.weight.clamp_(-0.01, 0.01)
        return super().forward(x)


def test_weights_and_buffers_that_the_forward_pass_writes_are_put_back():
    network = nn.Sequential(Rewrites())
    before, held = state(network), network[0].count
    inspect(network, draws(30, 10))
    assert same(before, state(network))
    assert network[0].count is held


def test_a_failed_inspection_leaves_no_trace_either():
    network = awkward()
    before, luck = state(network), torch.get_rng_state()
    with pytest.raises(InvalidInput):
        inspect(network, (draws(30, 10), torch.arange(30)))
    assert same(before, state(network))
    assert torch.equal(torch.get_rng_state(), luck)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_graph_that_holds_the_weights_can_still_be_used():
    network, x = awkward().eval(), draws(30, 10)
    loss = network(x).sum()
    inspect(copy.deepcopy(network), x)
    inspect(network, x)
    loss.backward()


def test_under_no_grad_it_is_the_same():
    network, data = awkward(), (draws(30, 10), torch.arange(30) % 4)
    torch.manual_seed(0)
    expected = inspect(network, data)
    with torch.no_grad():
        assert inspect(network, data) == expected


class Drawing:
    """A module whose import draws random numbers, as scikit-learn's does."""

    __path__ = ()

    def __getattr__(self, name):
        random.random()
        np.random.random()
        return getattr(sklearn.ensemble, name)


def test_what_is_imported_on_the_way_leaves_the_luck_of_python_and_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", Drawing())
    x, y = draws(200, 10), torch.randint(4, (200,), generator=torch.Generator().manual_seed(0))
    luck = random.getstate(), np.random.get_state()[1].tolist()
    assert trees(x, y, draws(40, 10)).shape == (40, 4)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == luck


class Remembers(nn.Module):
    """It counts its passes, keeps an average that is no buffer, and draws from Python's and NumPy's generators."""

    def __init__(self):
        super().__init__()
        self.layer, self.passes, self.mean = nn.Linear(10, 4), 0, torch.zeros(10)

    def forward(self, x):
        self.passes += 1
        self.late = x.detach().sum()
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.layer(x) * (1 + random.random() + np.random.rand())


@pytest.mark.parametrize("optimizer", [False, True])
def test_attributes_and_the_luck_of_python_and_numpy_stay(optimizer):
    network = Remembers()
    more = {"optimizer": torch.optim.Adam(network.parameters()), "steps": 3} if optimizer else {}
    data = draws(30, 10), torch.arange(30) % 4
    inspect(network, data, **more)  # which imports what draws by itself
    mean, luck = network.mean, (random.getstate(), np.random.get_state()[1].tobytes())
    inspect(network, data, **more)
    assert network.passes == 0
    assert network.mean is mean
    assert not hasattr(network, "late")
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == luck
