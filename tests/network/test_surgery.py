"""Techniques put into networks that know nothing of them."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from make_runs import RECIPES
from trainsmith.catalogue import Recipe, Trial, find
from trainsmith.errors import InvalidInput
from trainsmith.initialization import glorot_normal
from trainsmith.network import apply, build, mlp, weight_layers
from trainsmith.network.plain import AtEachPosition
from trainsmith.network.rewriting import is_activation

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
        assert b.bias is None or not b.bias.any()


def test_equal_layers_in_different_places_get_different_weights():
    _, second, third, _ = weight_layers(operated(Recipe(), mlp((12,), 3, width=10, depth=3)).module)
    assert second.weight.shape == third.weight.shape
    assert not torch.equal(second.weight, third.weight)


def test_the_default_network_is_a_plain_deep_mlp():
    network = mlp((1, 8, 8), 10)
    assert [m.weight.shape for m in weight_layers(network)] == [(100, 64), *[(100, 100)] * 4, (10, 100)]
    assert network(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


def test_a_sequence_with_names_of_its_own_takes_every_kind_of_normalization():
    for norm, kind in (("standardization", "Standardization"), ("layer", "LayerNorm"), ("weight-norm", "WeightNorm")):
        network = nn.Sequential(OrderedDict(first=nn.Linear(12, 8), act=nn.ReLU(), last=nn.Linear(8, 3)))
        done = operated(Recipe(normalization=norm), network)
        assert any(type(m).__name__ == kind for m in done.module.modules())
        assert done.module(X).shape == (64, 3)


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
            return self.b(self.a(x).clamp(min=0))

    result = operated(Recipe(normalization="layer", activation="tanh"), Functional())
    assert set(result.skipped) == {"tanh", "layer"}
    assert "no activation function that can be" in result.skipped["tanh"]


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


def widths(module):
    return [tuple(m.weight.shape) for m in weight_layers(module)]


@pytest.mark.parametrize("name", ["glu", "swiglu", "geglu", "maxout"])
def test_the_layers_before_a_function_that_joins_two_inputs_get_twice_as_wide(name):
    result = operated(Recipe(activation=name, normalization="layer"))
    assert widths(result.module) == [(20, 12), (20, 10), (3, 10)]
    assert [len(m.weight) for m in result.module if type(m).__name__ == "LayerNorm"] == [20, 20]
    assert result.module(X).shape == (64, 3)
    assert not result.skipped
    for layer in weight_layers(result.module):
        assert layer.weight.shape == (layer.out_features, layer.in_features)
        assert layer.weight.isfinite().all()
        assert layer.bias.shape == (layer.out_features,)
        assert not layer.bias.any()


def test_the_layers_before_a_function_with_two_outputs_are_halved():
    result = operated(Recipe(activation="crelu"))
    assert widths(result.module) == [(5, 12), (5, 10), (3, 10)]
    assert not result.skipped


def test_a_wider_layer_is_initialized_at_its_new_width():
    layer = weight_layers(operated(Recipe("glorot-normal", activation="glu")).module)[0]
    torch.testing.assert_close(layer.weight.detach(), glorot_normal(torch.empty(20, 12), generator=draw(0)))


def test_layers_that_are_made_wider_where_weights_are_kept_are_drawn_each_by_itself():
    recipe = Recipe("glorot-normal", activation="glu")
    network, given = mlp((12,), 12, width=12, depth=2), {"initialization": ""}
    made = apply(network, Trial(recipe), X, draw, given=given).module
    first, second = weight_layers(made)[:2]
    assert first.weight.shape == second.weight.shape == (24, 12)
    torch.testing.assert_close(second.weight.detach(), glorot_normal(torch.empty(24, 12), generator=draw(1)))
    assert not torch.equal(first.weight, second.weight)


class Tokens(nn.Module):
    """Linear layers on the last axis and a convolution over positions."""

    def __init__(self):
        super().__init__()
        self.each, self.act = nn.Linear(4, 6), nn.ReLU()
        self.conv, self.act2 = nn.Conv1d(6, 8, 1), nn.GELU()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        h = self.act(self.each(x.view(-1, 3, 4)))
        return self.head(self.act2(self.conv(h.transpose(1, 2))).mean(2))


def test_features_are_joined_on_the_axis_where_their_layer_has_them():
    network = Tokens()
    result = operated(Recipe(activation="glu"), network)
    assert not result.skipped
    assert (network.act.axis, network.act2.axis) == (-1, 1)
    assert widths(network) == [(12, 4), (16, 6, 1), (3, 8)]
    assert result.module(X).shape == (64, 3)


class Twice(nn.Module):
    """A network in which `how` says where the hidden layer's outputs go."""

    def __init__(self, how):
        super().__init__()
        self.how, self.act = how, nn.ReLU()
        self.hidden, self.more, self.head = nn.Linear(12, 9), nn.Linear(12, 9), nn.Linear(9, 3)

    def forward(self, x):
        h = self.hidden(x)
        if self.how == "sum":
            return self.head(self.act(h + 1))
        if self.how == "around":
            return self.head(self.act(h) + h)
        if self.how == "two layers":
            return self.head(self.act(h) + self.act(self.more(x)))
        if self.how == "two calls":
            return self.head(self.act(h) + self.act(self.hidden(2 * x)))
        return self.head(h if self.how == "never" else self.act(h))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sum", "the layer before the activation module '0.act' is no weight layer to widen"),
        ("around", "the outputs of a layer before an activation module are used elsewhere too, at their old width"),
        ("two calls", "the layer '0.hidden' or its activation module is used in several places"),
        ("never", "the activation module '0.act' is not called in a forward pass"),
    ],
)
def test_where_widths_cannot_be_changed_the_network_stays_and_the_reason_is_said(how, reason):
    network = Twice(how)
    result = operated(Recipe(activation="glu", regularization=("dropout",)), network)
    assert result.skipped == {"glu": reason}
    assert widths(network) == [(9, 12), (9, 12), (3, 9)]
    assert [type(m) for m in network.act] == [nn.ReLU, find("dropout").make]
    assert result.module(X).shape == (64, 3)


def test_one_activation_module_may_serve_several_layers():
    network = Twice("two layers")
    result = operated(Recipe(activation="glu"), network)
    assert not result.skipped
    assert widths(network) == [(18, 12), (18, 12), (3, 9)]
    assert result.module(X).shape == (64, 3)


def test_a_layer_that_cannot_be_halved_is_said():
    result = operated(Recipe(activation="crelu"), Twice("plain"))
    assert result.skipped == {"crelu": "the 9 outputs of layer '0.hidden' cannot be halved"}


@pytest.mark.parametrize("name", ["weight-norm", "weight-standardization", "spectral-norm"])
def test_a_normalization_of_weights_goes_around_the_layers_before_activations(name):
    result = operated(Recipe(normalization=name))
    kind = find(name).make.__name__
    assert kinds(result.module) == ["Flatten", kind, "ReLU", kind, "ReLU", "Linear"]
    assert not result.skipped
    plain = operated(Recipe()).module
    for a, b in zip(weight_layers(plain), weight_layers(result.module), strict=True):
        assert torch.equal(a.weight, b.weight), "drawn as without it"


def test_weight_normalization_starts_from_the_training_data_layer_by_layer():
    module = operated(Recipe(normalization="weight-norm", activation="tanh", regularization=("dropout",))).module.eval()
    h = X
    for layer in module:
        h = layer(h)
        if type(layer).__name__ == "WeightNorm":
            torch.testing.assert_close(h.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
            torch.testing.assert_close(h.std(0, correction=0), torch.ones(10), rtol=1e-4, atol=0)
    assert not any(m._forward_pre_hooks for m in module.modules())


def test_a_normalization_over_positions_is_left_out_where_there_are_none_and_said():
    result = operated(Recipe(normalization="instance"))
    assert result.skipped == {"instance": "it needs positions, and the outputs of 2 layers have none"}
    assert kinds(result.module) == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    network = Own()
    assert not operated(Recipe(normalization="instance"), network, torch.randn(6, 1, 5, 5)).skipped
    assert find("instance").make in {type(m) for m in network.modules()}
    assert network.conv.bias is None, "it would be subtracted again"


def test_where_nothing_can_be_normalized_it_is_said_of_weights_too():
    assert "no weight layer" in operated(Recipe(normalization="weight-norm"), Twice("never")).skipped["weight-norm"]


@pytest.mark.parametrize("name", ["batch", "ghost-batch", "batch-renorm", "layer", "group", "rms", "none"])
def test_a_bias_that_would_be_subtracted_again_is_left_out(name):
    biases = [m.bias is None for m in weight_layers(operated(Recipe(normalization=name)).module)]
    assert biases == [name in ("batch", "ghost-batch", "batch-renorm")] * 2 + [False]


def test_an_initialization_from_data_sees_the_network_as_it_will_be_trained():
    recipe = Recipe("lsuv", "standardization", "tanh", regularization=("dropout",))
    module = operated(recipe, x=5 + 3 * X).module.eval()
    h = 5 + 3 * X
    for layer in module:
        h = layer(h)
        if isinstance(layer, nn.Linear):
            assert h.var(correction=0).item() == pytest.approx(1, abs=0.11)


def test_the_class_prior_is_that_of_the_training_targets():
    targets = torch.tensor([0] * 47 + [1] * 15 + [2] * 2)
    module = apply(mlp((12,), 3), Trial(Recipe("class-prior")), X, draw, targets).module
    torch.testing.assert_close(module[-1].bias.softmax(0), torch.tensor([48, 16, 3]) / 67)
    assert torch.equal(module[1].weight, operated(Recipe(), mlp((12,), 3)).module[1].weight), "drawn as he draws it"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rezero", "it is for residual blocks, modules that add a branch to their input; none was found"),
        ("class-prior", "it needs targets that are classes, (n,) whole numbers from 0; there are none"),
    ],
)
def test_an_initialization_that_does_not_fit_the_network_is_said(name, reason):
    result = operated(Recipe(name))
    assert result.skipped == {name: reason}
    assert all(layer.weight.isfinite().all() for layer in weight_layers(result.module))


def test_the_residual_network_is_shortcuts_around_branches_of_two_layers():
    network = build("residual", (1, 8, 8), 10)
    assert [tuple(m.weight.shape) for m in weight_layers(network)] == [(100, 64), *[(100, 100)] * 8, (10, 100)]
    h = torch.randn(5, 100, generator=torch.Generator().manual_seed(0))
    block = network[2]
    first, second = weight_layers(block)
    torch.testing.assert_close(block(h), h + second(torch.relu(first(torch.relu(h)))))
    assert network(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


@pytest.mark.parametrize("name", ["zero-residual", "rezero", "fixup"])
def test_initializations_of_residual_blocks_find_those_of_the_residual_network(name):
    result = operated(Recipe(name, activation="elu"), build("residual", (12,), 3))
    assert not result.skipped
    h = torch.randn(5, 100, generator=torch.Generator().manual_seed(0))
    for block in result.module[2:6]:
        torch.testing.assert_close(block.eval()(h), h)
    assert operated(Recipe("he"), build("residual", (12,), 3)).module[2](h).sub(h).abs().max() > 0.1


class Mixed(nn.Module):
    """Normalizations of several kinds: after a convolution, before a linear layer, over the last axis of positions."""

    def __init__(self):
        super().__init__()
        self.conv, self.after = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.act, self.before = nn.GELU(), nn.LayerNorm(6)
        self.head, self.unused = nn.Linear(6, 3), nn.BatchNorm1d(6)

    def forward(self, x):
        h = self.act(self.after(self.conv(x))).flatten(2)
        return self.head(self.before(h[..., :6])).mean(1)


@pytest.mark.parametrize("name", ["batch", "layer", "rms", "group", "instance"])
def test_a_normalization_takes_the_places_of_those_the_network_has(name):
    network, x = Mixed(), torch.randn(6, 1, 5, 5)
    result = operated(Recipe(normalization=name, activation="gelu"), network, x)
    made = find(name, "normalization").make
    if name == "instance":  # of the second place each position is an example, which has no positions
        assert result.skipped == {"instance": "it needs positions, and the inputs of 1 of its places have none"}
        assert not any(isinstance(m, made) for m in network.modules())
        return
    assert not result.skipped
    assert type(network.after) is made
    assert type(network.before) is AtEachPosition
    assert type(network.before.layer) is made
    assert (len(network.after.weight), len(network.before.layer.weight)) == (4, 6)
    assert type(network.unused) is nn.Identity
    assert (network.conv.bias is None) == (name == "batch")
    assert sum(isinstance(m, made) for m in network.modules()) == 2, "and nowhere else"
    assert result.module(x).shape == (6, 3)


def test_without_normalization_the_networks_own_is_taken_out():
    network = Mixed()
    operated(Recipe(), network, torch.randn(6, 1, 5, 5))
    assert all(type(m) is nn.Identity for m in (network.after, network.before, network.unused))


def test_a_place_behind_a_widened_layer_gets_a_layer_of_the_new_width():
    network = nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))
    result = operated(Recipe(normalization="layer", activation="glu"), network, torch.randn(6, 5))
    assert not result.skipped
    assert [len(m.weight) for m in result.module if hasattr(m, "weight")] == [16, 16, 3]
    assert result.module(torch.randn(4, 5)).shape == (4, 3)


def test_a_frozen_layer_keeps_its_weights_and_what_would_change_them_is_left_out():
    def frozen():
        network = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3))
        network[0].requires_grad_(False)
        return network

    for recipe in (Recipe("lsuv"), Recipe("fixup"), Recipe(activation="glu"), Recipe(normalization="weight-norm")):
        network = frozen()
        was = network[0].weight.clone(), network[0].bias.clone()
        made = apply(network, Trial(recipe), X, lambda place: torch.Generator().manual_seed(place))
        linear = next(m for m in made.module.modules() if isinstance(m, nn.Linear))
        assert torch.equal(linear.weight, was[0])
        assert torch.equal(linear.bias, was[1])
        assert made.unchanged[0] == "a frozen layer (requires_grad=False), whose weights stay as they are"
        assert ("glu" in made.skipped, "weight-norm" in made.skipped) == (
            recipe.activation == "glu",
            recipe.normalization == "weight-norm",
        )


def shared():
    """One activation module and one block, each in several places."""
    act, block = nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    return nn.Sequential(nn.Linear(12, 8), act, nn.Linear(8, 8), act, nn.Sequential(block, block), nn.Linear(8, 3))


class TwoNames(nn.Module):
    """One activation module under two names."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.first = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 3), nn.ReLU()
        self.second = self.first

    def forward(self, x):
        return self.c(self.second(self.b(self.first(self.a(x)))))


@pytest.mark.parametrize("make", [shared, TwoNames])
def test_a_module_in_several_places_stays_in_each(make):
    network = make()
    count = len(list(network.named_modules(remove_duplicate=False)))
    module = operated(Recipe(), network).module
    inside = list(module.named_modules(remove_duplicate=False))
    assert len(inside) == count + (make is TwoNames)  # a network that is no sequence is put into one
    assert sum(isinstance(m, nn.Linear) for _, m in inside) == 5 if make is shared else 3


@pytest.mark.parametrize("make", [shared, TwoNames])
def test_every_place_of_a_module_gets_the_technique_of_its_own(make):
    module = operated(Recipe(activation="prelu", normalization="batch"), make()).module
    places = [m for _, m in module.named_modules(remove_duplicate=False)]
    slopes = [m for m in places if type(m).__name__ == "PReLU"]
    norms = [m for m in places if type(m).__name__ == "BatchNorm"]
    assert not any(is_activation(m) and type(m).__name__ != "PReLU" for m in places)
    assert len(slopes) == len(norms) == (4 if make is shared else 2)
    assert len(set(slopes)) == len(set(norms)) == (3 if make is shared else 2)  # the block is one block
    assert module(X).shape == (64, 3)


def test_an_activation_function_that_halves_goes_into_every_place_of_a_module():
    act = nn.ReLU()
    network = nn.Sequential(nn.Linear(12, 8), act, nn.Linear(8, 8), act, nn.Linear(8, 3))
    surgery = operated(Recipe(activation="maxout"), network)
    assert kinds(surgery.module) == ["Linear", "Maxout", "Linear", "Maxout", "Linear"]
    assert not surgery.skipped


def test_a_weight_layer_whose_output_is_added_to_before_the_activation_is_not_normalized():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.act, self.c = nn.Linear(12, 8), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)

        def forward(self, x):
            return self.c(self.act(self.a(x) + self.b(x)))

    surgery = operated(Recipe(normalization="batch"), Sum())
    assert not any(type(m).__name__ == "BatchNorm" for m in surgery.module.modules())
    assert surgery.skipped == {"batch": "no weight layer is followed at once by an activation module"}
