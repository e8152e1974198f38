"""A network that cannot run as one program is found out before it trains, and a sentence says why."""

import random
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from make_runs import blobs, runs_of
from trainsmith.catalogue import Recipe
from trainsmith.optimizer import SGD
from trainsmith.population import Alone, Chunk, Job, Learner, Training, Unbatchable, work
from trainsmith.population.members.objective import CrossEntropy, Objective
from trainsmith.population.program.reasons import hazard

X, Y = torch.linspace(-1, 1, 48).view(4, 12), torch.tensor([0, 1, 2, 0])


class Network(nn.Module):
    """Its middle part does something that may stand in the way."""

    def __init__(self, does, **parts):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(12, 12), Middle(does), nn.Linear(12, 3)
        for name, part in parts.items():
            setattr(self.middle, name, part)

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


class Middle(nn.Module):
    def __init__(self, does):
        super().__init__()
        self.does, self.calls, self.weights = does, 0, []
        self.scale = nn.Parameter(torch.ones(12))
        self.register_buffer("mean", torch.zeros(12))

    def forward(self, x):
        return self.does(self, x)


def writes_into_new(m, x):
    y = torch.zeros(x.shape)
    y[:, :6] = x[:, :6]
    return y


class Old(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class New(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


LOUD = {
    "function": (
        lambda m, x: Old.apply(x),
        {},
        r"has a gradient of its own \(autograd\.Function\) without setup_context",
    ),
    "function without rule": (lambda m, x: New.apply(x), {}, r"a gradient of its own .* without a rule for vmap"),
    "gru": (lambda m, x: m.gru(x)[0], {"gru": nn.GRU(12, 12)}, r"middle\.gru \(GRU\) is recurrent"),
    "lstm": (lambda m, x: m.lstm(x)[0], {"lstm": nn.LSTM(12, 12)}, r"middle\.lstm \(LSTM\) is recurrent"),
    "rnn": (lambda m, x: m.rnn(x)[0], {"rnn": nn.RNN(12, 12)}, r"middle\.rnn \(RNN\) is recurrent"),
    "item": (lambda m, x: x * x.mean().item(), {}, r"middle \(Middle\) turns a tensor into a Python number"),
    "branch": (lambda m, x: x if x.mean() > 5 else -x, {}, r"decides by the value of a tensor"),
    "cumulative batch norm": (
        lambda m, x: m.norm(x),
        {"norm": nn.BatchNorm1d(12, momentum=None)},
        r"middle\.norm \(BatchNorm1d\) turns a tensor into a Python number",
    ),
    "numpy": (
        lambda m, x: x * torch.from_numpy(np.sign(x.detach().numpy())),
        {},
        r"leaves torch for NumPy or a Python list",
    ),
    "list": (lambda m, x: x * x.tolist()[0][0], {}, r"leaves torch for NumPy or a Python list"),
    "mask": (lambda m, x: x + x[x > 0].sum(), {}, r"makes a tensor whose size depends on numbers"),
    "new tensor": (writes_into_new, {}, r"writes into a tensor that it makes anew"),
    "sum into a new tensor": (lambda m, x: torch.zeros(4, 12)[: len(x)].add_(x), {}, r"in place into a tensor that it"),
    "checkpoint": (
        lambda m, x: checkpoint(torch.tanh, x, use_reentrant=False),
        {},
        r"keeps or recomputes tensors beyond its forward pass",
    ),
    "spectral norm": (
        lambda m, x: m.layer(x),
        {"layer": nn.utils.parametrizations.spectral_norm(nn.Linear(12, 12))},
        r"calls an operation that torch cannot batch over weights \(aten::div\.out\)",
    ),
}


def counts(m, x):
    m.calls += 1
    return x * m.calls


def caches(m, x):
    m.cache = x.mean()
    return x


def reassigns(m, x):
    m.mean = 0.9 * m.mean + 0.1 * x.detach().mean(0)
    return x - m.mean


def registers(m, x):
    m.register_buffer("late", x.detach().mean(0))
    return x - m.late


def lists(m, x):
    return x * m.weights[0]


SILENT = {
    "counter": (counts, r"middle \(Middle\) changes its own attribute `calls` as it runs"),
    "cache": (caches, r"changes its own attribute `cache`"),
    "another buffer": (reassigns, r"puts another tensor into `mean` instead of changing it in place"),
    "late buffer": (registers, r"changes its own attribute `buffers or layers`"),
    "python noise": (lambda m, x: x * random.random(), r"the network \(Network\) draws from Python's `random`"),
    "numpy noise": (lambda m, x: x * float(np.random.rand()), r"draws from Python's `random` or from `numpy\.random`"),
    "unseeded noise": (lambda m, x: x * np.random.default_rng().random(), r"gives another result each time"),
    "weights in a list": (lists, r"reaches `middle\.(scale)` by another way than its attributes"),
}


def built(does, seed=0, **parts):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(does, **parts)
    network.middle.weights.append(network.middle.scale)
    with torch.no_grad():
        network.middle.scale.fill_(1.0 + seed)
    return network


def learner(network, seed=0):
    return Learner(seed, Objective(network, CrossEntropy()), SGD, {"lr": 0.1})


def reason(*networks):
    with pytest.raises(Unbatchable) as caught:
        Chunk([learner(network, k) for k, network in enumerate(networks)], X, Y)
    return str(caught.value)


@pytest.mark.parametrize("name", LOUD)
def test_what_vmap_refuses_is_said_of_the_module_that_does_it(name):
    does, parts, said = LOUD[name]
    sentence = reason(built(does, 0, **parts), built(does, 0, **parts))
    assert re.search(said, sentence), sentence
    assert sentence.endswith("; the loop trains each member by itself, with the same results")
    assert "\n" not in sentence


@pytest.mark.parametrize("name", SILENT)
def test_what_would_silently_be_shared_is_found_out(name):
    does, said = SILENT[name]
    sentence = reason(built(does))
    assert re.search(said, sentence), sentence


def test_a_function_that_closes_over_its_network_is_found_out():
    def closing(seed):
        network = built(None, seed)
        network.middle.does = lambda m, x: x * network.middle.scale
        return network

    assert "reaches weights by another way" in reason(closing(0), closing(1))


def test_looking_for_hazards_changes_nothing():
    network = built(lambda m, x: m.norm(x), norm=nn.BatchNorm1d(12))
    before = {n: t.clone() for n, t in network.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
    assert hazard(Objective(network, CrossEntropy()), X, Y) is None
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tobytes() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_the_loop_gives_python_and_numpy_noise_of_the_seed_and_step(draw):
    def losses(seed):
        loop = Alone(learner(built(lambda m, x: x * float(draw())), seed))
        return [float(loop.step(step, 1e-9, X[None], Y[None])) for step in (1, 2)]

    first, again, other = losses(1), losses(1), losses(2)
    assert first == again
    assert len({*first, *other}) == 4, "another step and another seed draw another number"


def test_a_counter_counts_for_each_member_of_a_study():
    runs = tuple(runs_of(Recipe(), 2))
    record = work(Job(lambda: Network(counts), Training(steps=4, batch_size=8, checks=1), runs, replay=(0, 1)), blobs())
    assert len(record.loops) == 1
    assert "`calls`" in record.loops[0]
    assert record.deviations == [0.0, 0.0]
