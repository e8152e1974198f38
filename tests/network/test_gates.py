"""Sigmoids that gate or that give a network's outputs are no activation functions of hidden units."""

import pytest
import torch
from torch import nn

from trainsmith.network import change
from trainsmith.network.gates import gates

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


class Squeezes(nn.Module):
    """Squeeze and excitation: channels are weighed by what the whole image says."""

    def __init__(self, gate):
        super().__init__()
        self.conv, self.act, self.fc, self.gate, self.head = (
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 4), gate, nn.Linear(4, 2)
        )  # fmt: skip

    def forward(self, x):
        h = self.act(self.conv(x))
        scale = self.gate(self.fc(h.mean((2, 3))))
        return self.head((h * scale[:, :, None, None]).mean((2, 3)))


@pytest.mark.parametrize("gate", [nn.Sigmoid(), nn.Hardsigmoid()], ids=str)
def test_a_gate_stays_and_is_listed(gate):
    network = Squeezes(gate)
    done = change(network, "elu", "dropout", "batch", x=IMAGES)
    assert done.skipped == {}
    assert done.unchanged == ("a sigmoid that gates other values, left as it is",)
    assert network.gate is gate
    assert [type(m).__name__ for m in network.act] == ["ELU", "Dropout"]
    assert isinstance(network.fc, nn.Linear)


@pytest.mark.parametrize("behind", [nn.Identity(), nn.Flatten(0)], ids=str)
def test_what_gives_the_outputs_stays_and_is_listed(behind):
    last = nn.Sigmoid()
    network = nn.Sequential(nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 1), last, behind)
    done = change(network, "elu", "dropout", "layer", x=X)
    assert done.unchanged == ("a sigmoid that gives the network's outputs, left as it is",)
    kinds = [type(m).__name__ for m in network]
    assert kinds == ["Linear", "LayerNorm", "ELU", "Dropout", "Linear", "Sigmoid", type(behind).__name__]
    assert network[5] is last
    assert ((network(X) > 0) & (network(X) < 1)).all()


class Scaled(nn.Module):
    """Hidden sigmoids whose outputs are multiplied by less than they are: a number, a parameter, their own size."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.act, self.other = nn.Linear(6, 4), nn.Linear(4, 4), nn.Sigmoid(), nn.Sigmoid()
        self.factor, self.head = nn.Parameter(torch.ones(4)), nn.Linear(4, 2)

    def forward(self, x):
        h = self.factor * (2 * self.act(self.a(x)))
        i = self.other(self.b(h))
        return self.head(i * torch.rsqrt((i * i).mean(-1, keepdim=True) + 1e-6))


def test_hidden_units_that_are_scaled_are_no_gates():
    network = Scaled()
    assert gates(network, X) == {}
    assert change(network, "elu", x=X).unchanged == ()
    assert not any(isinstance(m, nn.Sigmoid) for m in network.modules())


def test_where_nothing_else_is_there_to_replace_it_is_said():
    network = nn.Sequential(nn.Linear(6, 1), nn.Sigmoid())
    done = change(network, "elu", x=X)
    assert done.skipped == {"elu": "the network has no activation function that can be replaced"}
    assert [type(m) for m in network] == [nn.Linear, nn.Sigmoid]
