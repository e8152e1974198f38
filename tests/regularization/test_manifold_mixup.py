"""Manifold mixup against its formula, layer by layer."""

import contextlib
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.regularization import ManifoldMixup, Mixup, draws, manifold_mixup


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


X, Y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
ORDER, SHARE = torch.tensor([2, 0, 1, 5, 3, 4]), 0.7


@contextlib.contextmanager
def fixed(draw, b=SHARE):
    """The draws made certain: which layer, which order, which share."""
    with (
        mock.patch.object(manifold_mixup, "one", lambda x: torch.tensor(draw, dtype=x.dtype)),
        mock.patch.object(draws, "partners", return_value=ORDER),
        mock.patch.object(draws, "symmetric_beta", side_effect=lambda a, x: torch.tensor(b, dtype=x.dtype)),
    ):
        yield


def mixed(h):
    return SHARE * h + (1 - SHARE) * h[ORDER]


def mixed_cross_entropy(out):
    return SHARE * functional.cross_entropy(out, Y) + (1 - SHARE) * functional.cross_entropy(out, Y[ORDER])


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


def test_characters_mix_nothing_at_the_embedding_neither_do_losses():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 3))
    tokens = torch.randint(0, 5, (6, 2))
    with fixed(0.0):
        loss = ManifoldMixup(1.0)(net, functional.cross_entropy, tokens, Y)
    torch.testing.assert_close(loss, functional.cross_entropy(net(tokens), Y))
    with fixed(0.5):
        loss = ManifoldMixup(1.0)(net, functional.cross_entropy, tokens, Y)
    torch.testing.assert_close(loss, mixed_cross_entropy(net[2](mixed(net[:2](tokens)))))


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


def test_attention_mixes_queries_keys_and_values_alike():
    """Its output layer is not called as a module: drawn, it mixes nothing."""
    torch.manual_seed(0)
    net, x = Attending(), torch.randn(6, 5, 4)
    for draw, expected in [
        (0.0, mixed_cross_entropy(net(mixed(x)))),
        (0.4, functional.cross_entropy(net(x), Y)),
        (0.9, mixed_cross_entropy(net.head(mixed(net.attention(x, x, x)[0].mean(1))))),
    ]:
        with fixed(draw):
            loss = ManifoldMixup(1.0)(net, functional.cross_entropy, x, Y)
        torch.testing.assert_close(loss, expected)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3).double()

    def forward(self, x):
        return self.layer(self.layer(x).tanh())


def test_a_layer_called_twice_mixes_once():
    net = Twice()
    with fixed(0.0):
        loss = ManifoldMixup(1.0)(net, functional.cross_entropy, X, Y)
    torch.testing.assert_close(loss, mixed_cross_entropy(net(mixed(X))))
