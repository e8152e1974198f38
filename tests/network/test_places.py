"""Regularizers put into their places in a network leave it the function it was, and say what they could not do."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.catalogue import Recipe, Trial, techniques
from trainsmith.network.places import put_in_their_places
from trainsmith.regularization import GaussianDropConnect, StochasticPool2d

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
PAIRS = Trial(Recipe(regularization=("drop-connect-gaussian",)), {"drop-connect-gaussian.rate": 0.3})
POOLING = Trial(Recipe(regularization=("stochastic-pooling",)))


class Called(nn.Module):
    """Two layers and an activation module, called as a function says."""

    def __init__(self, forward):
        super().__init__()
        self.one, self.two, self.act, self.other = nn.Linear(6, 6), nn.Linear(6, 6), nn.Tanh(), nn.Tanh()
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def residual(m, x):
    h = m.one(x)
    return m.two(m.act(h) + h)


def shared_activation(m, x):
    return m.act(m.two(m.act(m.one(x))))


def weight_used_elsewhere(m, x):
    return functional.linear(m.act(m.one(x)), m.one.weight.T)


def not_what_the_layer_gave(m, x):
    return m.two(m.act(m.one(x) * 2))


@pytest.mark.parametrize("forward", [residual, shared_activation, weight_used_elsewhere, not_what_the_layer_gave])
def test_a_layer_and_an_activation_that_are_no_pair_stay_as_they_are(forward):
    root = nn.Sequential(Called(forward))
    before, names = root(X), [name for name, _ in root.named_modules()]
    (reason,) = put_in_their_places(root, PAIRS, X).values()
    assert reason == "no weight layer's outputs go to an activation function of single numbers and nowhere else"
    assert [name for name, _ in root.named_modules()] == names
    assert torch.equal(root(X), before)


def test_a_layer_of_zeros_is_no_pair_with_what_does_not_follow_it():
    root = nn.Sequential(Called(lambda m, x: m.two(m.act(m.one(x) * 2))))
    for p in root[0].one.parameters():
        nn.init.zeros_(p)
    assert put_in_their_places(root, PAIRS, X)


def test_pairs_are_put_where_there_are_some_beside_others():
    root = nn.Sequential(Called(lambda m, x: m.other(m.two(x)) + residual(m, x).detach() * 0 + m.act(m.two(x))))
    assert put_in_their_places(root, PAIRS, X)  # `two` is called twice
    root = nn.Sequential(Called(lambda m, x: m.other(m.two(x)) + x), Called(residual)).eval()
    before = root(X)
    assert put_in_their_places(root, PAIRS, X) == {}
    (pair,) = [m for m in root.modules() if isinstance(m, GaussianDropConnect)]
    assert (pair is root[0].other, pair.rate.item()) == (True, pytest.approx(0.3))
    pair.rate.fill_(0.0)
    torch.testing.assert_close(root(X), before)


def test_a_pool_that_is_swapped_is_not_also_reported():
    images = torch.rand(2, 3, 8, 8)
    root = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert put_in_their_places(root, POOLING, images) == {}
    assert isinstance(root[2], StochasticPool2d)
    root = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, padding=1))
    assert "beyond the image" in put_in_their_places(root, POOLING, images)["stochastic-pooling"]


def test_stochastic_pooling_follows_exactly_the_activations_that_are_never_negative():
    x = torch.linspace(-30, 30, 601)
    single = [t for t in techniques("activation") if getattr(t.make, "widening", 1) == 1]
    never = {t.name for t in single if (t.make().eval()(x) >= 0).all()}
    assert never == set(StochasticPool2d.activations)
