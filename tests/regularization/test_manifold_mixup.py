"""Manifold mixup against its formula, layer by layer."""

from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.regularization import ManifoldMixup, Mixup, manifold_mixup


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


X, Y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
ORDER, SHARE = torch.tensor([2, 0, 1, 5, 3, 4]), 0.7


def fixed(draw, b=SHARE):
    """The draws made certain: which layer, which order, which share."""
    return mock.patch.multiple(
        manifold_mixup,
        one=lambda x: torch.tensor(draw, dtype=x.dtype),
        partners=lambda x: ORDER,
        symmetric_beta=lambda a, x: torch.tensor(b, dtype=x.dtype),
    )


@pytest.mark.parametrize(("draw", "place"), [(0.0, 0), (0.34, 2), (0.99, 4)])
@pytest.mark.parametrize("b", [SHARE, 1 - SHARE])
def test_it_mixes_what_enters_the_drawn_layer_and_the_losses(draw, place, b):
    net = network()
    with fixed(draw, b):
        loss = ManifoldMixup(1.0)(net, functional.cross_entropy, X, Y)
    h = net[:place](X)
    out = net[place:](SHARE * h + (1 - SHARE) * h[ORDER])
    expected = SHARE * functional.cross_entropy(out, Y) + (1 - SHARE) * functional.cross_entropy(out, Y[ORDER])
    torch.testing.assert_close(loss, expected)
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_at_the_first_layer_it_is_mixup():
    net = nn.Sequential(nn.Linear(3, 3)).double()
    torch.manual_seed(4)
    x, other, share = Mixup(0.5)(X, Y)
    expected = share * functional.cross_entropy(net(x), Y) + (1 - share) * functional.cross_entropy(net(x), other)
    torch.manual_seed(4)
    torch.testing.assert_close(ManifoldMixup(0.5)(net, functional.cross_entropy, X, Y), expected)


def test_characters_mix_nothing_at_the_embedding():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 3))
    tokens = torch.randint(0, 5, (6, 2))
    with fixed(0.0):
        loss = ManifoldMixup(1.0)(net, functional.cross_entropy, tokens, Y)
    out = net(tokens)
    mixed = SHARE * functional.cross_entropy(out, Y) + (1 - SHARE) * functional.cross_entropy(out, Y[ORDER])
    torch.testing.assert_close(loss, mixed)
