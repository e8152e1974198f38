"""Techniques put into networks that know nothing of them."""

import pytest
import torch
from torch import nn

from make_runs import RECIPES
from trainsmith.catalogue import Recipe, Trial, find
from trainsmith.errors import InvalidInput
from trainsmith.network import apply, build, mlp, weight_layers
from trainsmith.network.surgery import is_activation

X = torch.randn(64, 12, generator=torch.Generator().manual_seed(0))


def draw(place):
    return torch.Generator().manual_seed(place)


def operated(recipe, network=None, x=X):
    return apply(network or mlp((12,), 3, width=10, depth=2), Trial(recipe), x, draw)


def kinds(module):
    return [type(m).__name__ for m in module]


def test_every_technique_goes_where_it_belongs():
    recipe = Recipe(normalization="batch", activation="tanh", regularization=("dropout",))
    assert kinds(operated(recipe).module) == [
        "Flatten", "Linear", "BatchNorm", "Tanh", "Dropout", "Linear", "BatchNorm", "Tanh", "Dropout", "Linear",
    ]  # fmt: skip
    assert kinds(operated(Recipe(normalization="standardization")).module)[0] == "Standardization"


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_every_recipe_gives_a_network_that_runs(recipe):
    module = operated(recipe).module
    assert module(X).shape == (64, 3)


def test_initial_weights_hang_on_the_place_of_the_layer_not_on_what_was_inserted():
    plain, normalized = operated(Recipe()).module, operated(Recipe(normalization="batch")).module
    for a, b in zip(weight_layers(plain), weight_layers(normalized), strict=True):
        assert torch.equal(a.weight, b.weight)
        assert not a.bias.any()


def test_equal_layers_in_different_places_get_different_weights():
    _, second, third, _ = weight_layers(operated(Recipe(), mlp((12,), 3, width=10, depth=3)).module)
    assert second.weight.shape == third.weight.shape
    assert not torch.equal(second.weight, third.weight)


def test_the_default_network_is_a_plain_deep_mlp():
    network = mlp((1, 8, 8), 10)
    assert [m.weight.shape for m in weight_layers(network)] == [(100, 64), *[(100, 100)] * 4, (10, 100)]
    assert network(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


class Own(nn.Module):
    """A user's network: a branch, a shared activation, its own normalization, a convolution."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.act, self.head = nn.GELU(), nn.Linear(4, 3)

    def forward(self, x):
        h = self.act(self.norm(self.conv(x)))
        return self.head(self.act(h + 1).mean((2, 3)))


def test_a_users_own_network_is_changed_inside_and_its_normalization_replaced():
    x = torch.randn(6, 1, 5, 5)
    result = operated(Recipe(normalization="batch", activation="elu", regularization=("dropout",)), Own(), x)
    assert isinstance(result.module[0], Own)
    inside = [type(m) for m in result.module.modules()]
    assert nn.GELU not in inside
    assert nn.BatchNorm2d not in inside
    assert find("batch", "normalization").make in inside
    assert result.module(x).shape == (6, 3)
    assert not result.skipped


def test_what_cannot_be_changed_is_said():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(12, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.b(torch.relu(self.a(x)))

    result = operated(Recipe(normalization="layer", activation="tanh"), Functional())
    assert set(result.skipped) == {"tanh", "layer"}
    assert "functional calls" in result.skipped["tanh"]


def test_softmax_is_no_activation_function_to_replace():
    assert not is_activation(nn.Softmax(1))
    assert is_activation(nn.SiLU())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("mpl", "unknown network 'mpl': did you mean mlp"),
        ("no_such_module:build", "cannot import the network factory 'no_such_module:build'"),
        ("torch:nothing_here", "cannot import the network factory"),
        (nn.Linear(2, 2), "every run needs its own weights"),
        (lambda: 3, "must return an nn.Module; it returned int"),
    ],
)
def test_a_network_that_cannot_be_built_is_said_clearly(network, message):
    with pytest.raises(InvalidInput, match=message):
        build(network, (12,), 3)


def test_a_factory_may_take_the_shape_or_nothing():
    assert build(lambda shape, outputs: nn.Linear(shape[0], outputs), (12,), 3).out_features == 3
    assert build(lambda: nn.Linear(12, 3), (12,), 3).in_features == 12
