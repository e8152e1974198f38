"""A network's fingerprint: equal in another process, other for another network."""

import functools
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith.errors import InvalidInput
from trainsmith.network import fingerprint

X = torch.zeros(2, 4)


class Scale(nn.Module):
    def __init__(self, by, times=1):
        super().__init__()
        self.by, self.times = by, times

    def forward(self, x):
        for _ in range(self.times):
            x = self.by * x
        return x


class Behind(nn.Module):
    """Looks the same from outside whatever it does."""

    def forward(self, x):
        return WHAT(x)


WHAT = torch.relu


def scaled(by):
    return lambda shape, outputs: nn.Sequential(Scale(by), nn.Linear(4, outputs))


def layered(width=5, bias=0.0, activation=nn.ReLU):
    def make(shape, outputs):
        network = nn.Sequential(nn.Linear(shape[0], width), activation(), nn.Linear(width, outputs))
        nn.init.constant_(network[0].bias, bias)
        return network

    return make


def masked(*mask):
    def make(shape, outputs):
        network = nn.Linear(4, outputs)
        network.register_buffer("mask", torch.tensor(mask))
        return network

    return make


def of(make):
    return fingerprint(make, X, 3)


def test_the_same_factory_has_the_same_fingerprint_whatever_luck_it_meets():
    torch.manual_seed(1)
    first = of(layered())
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert of(layered()) == first == of(layered(5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (scaled(1.0), scaled(0.0)),
        (layered(5), layered(6)),
        (layered(), layered(activation=nn.GELU)),
        (layered(), layered(bias=0.5)),
        (
            layered(activation=functools.partial(nn.Dropout, 0.1)),
            layered(activation=functools.partial(nn.Dropout, 0.2)),
        ),
        (masked(1.0, 0.0, 1.0), masked(1.0, 1.0, 0.0)),
        (masked(1, 0, 1), masked(1, 1, 0)),
    ],
)
def test_other_structure_numbers_or_initial_weights_are_another_network(one, other):
    assert of(one) != of(other)


def test_another_forward_pass_is_another_network_in_training_and_in_evaluation(monkeypatch):
    def make(shape, outputs):
        return nn.Sequential(nn.Linear(4, outputs), Behind())

    first = of(make)
    monkeypatch.setitem(globals(), "WHAT", torch.tanh)
    assert of(make) != first
    for train in (True, False):
        monkeypatch.setattr(
            Behind, "forward", lambda m, x, train=train: x * 2 if m.training is train else torch.relu(x)
        )
        assert of(make) != first


def test_what_differs_from_one_network_of_a_factory_to_the_next_does_not_count():
    def make(shape, outputs):
        network = nn.Linear(4, outputs)
        network.made, network.luck, network.closed = time.perf_counter(), np.random.default_rng(), iter(())
        network.own = random.Random()
        return network

    assert of(make) == of(make) != of(lambda shape, outputs: nn.Linear(4, outputs))


def test_a_network_that_does_not_take_the_data_is_told_so_later():
    assert of(lambda: nn.Linear(7, 3)) == of(lambda: nn.Linear(7, 3)) != of(lambda: nn.Linear(8, 3))
    with pytest.raises(InvalidInput, match=r"must return an nn.Module"):
        of(lambda: 3)


def test_a_name_of_a_reference_network_says_all():
    assert fingerprint("mlp", X, 3) is None


OTHER = """
import collections
import torch
from torch import nn

QUEUE, SPARSE = collections.deque([1]), torch.eye(3).to_sparse()  # one for all that are made here


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.names, self.queue, self.act = {"a", "b", "c", "d"}, QUEUE, lambda x: x.relu()
        self.sparse, self.weight = SPARSE, nn.Parameter(torch.randn(4))

    def forward(self, x):
        return self.act(x * self.weight)


def build(shape, outputs):
    return nn.Sequential(Own(), nn.Linear(4, outputs))
"""


def test_another_process_finds_the_same(tmp_path):
    (tmp_path / "made_elsewhere.py").write_text(OTHER)
    program = (
        "import torch; from trainsmith.network import fingerprint; junk = [object() for _ in range(10**5)]; "
        "print(fingerprint('made_elsewhere.py:build', torch.zeros(2, 4), 3))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": "3"},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert said == fingerprint(f"{tmp_path}/made_elsewhere.py:build", X, 3)
    assert len(said) == 32
