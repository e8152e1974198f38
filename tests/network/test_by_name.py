"""Techniques put by their names into networks at hand: what changes, what stays, what is said."""

import copy
import hashlib
import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional

from each_technique import name_of
from trainsmith.catalogue import find, techniques
from trainsmith.errors import InvalidInput
from trainsmith.initialization import weight_layers
from trainsmith.network import build, change
from trainsmith.network.by_name import INSIDE
from trainsmith.regularization import ActivityL1, activity_cost

DRAW = torch.Generator().manual_seed(0)
ROWS, IMAGES = torch.randn(24, 6, generator=DRAW), torch.rand(24, 1, 8, 8, generator=DRAW)
Y = torch.arange(24) % 3


class Calls(nn.Module):
    """A user's network: activation functions that are called, and a gate that is none."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = functional.relu(self.first(x))
        gated = torch.sigmoid(h) * h
        return self.head(functional.relu(self.second(gated)))


def rows():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def saturating():
    return nn.Sequential(nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 6))


def images():
    layers = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3))


def residual():
    return build("residual", (1, 8, 8), 3)


NETWORKS = [(rows, ROWS), (Calls, ROWS), (saturating, ROWS), (images, IMAGES), (residual, IMAGES)]


def made(network):
    torch.manual_seed(1)
    return network()


def weights_of(module):
    return [layer.weight for layer in weight_layers(module)]


@pytest.mark.parametrize("technique", [t for t in techniques() if t.role in INSIDE and t.name != "none"], ids=name_of)
def test_it_is_put_in_or_why_not_is_said_and_nothing_else_changes(technique):
    if hasattr(technique.make, "around"):
        with pytest.raises(InvalidInput, match="needs a class around the whole network"):
            change(rows(), technique, x=ROWS)
        return
    went_in = []
    for network, x in NETWORKS:
        module = made(network).eval()
        before, shown = copy.deepcopy(module), repr(module)
        done = change(module, technique, x=x, y=Y)
        alike = zip(weights_of(before), weights_of(done.module), strict=technique.role != "tying")
        kept = [torch.equal(a, b) for a, b in alike if a.shape == b.shape]
        assert done.module(x).isfinite().all()
        assert not any(m.training for m in done.module.modules())
        if technique.family == "initialization":
            assert repr(done.module) == shown or technique.role == "network"
            assert technique.name in done.skipped or not all(kept)
        else:
            assert all(kept)
            has_it = technique.family == "activation" and technique.make.__name__ in shown
            assert technique.name in done.skipped or has_it or repr(done.module) != shown
            went_in.append(technique.name not in done.skipped)
        if technique.name in done.skipped:
            torch.testing.assert_close(done.module(x), before(x))
    assert any(went_in) or technique.family == "initialization"


def test_an_activation_is_the_one_of_torch_in_every_place():
    wanted = made(rows)
    module = change(made(rows), "gelu", x=ROWS).module
    wanted[1] = wanted[3] = nn.GELU()
    torch.testing.assert_close(module(ROWS), wanted(ROWS))


def test_calls_are_replaced_and_what_is_left_is_listed():
    done, plain = change(made(Calls), "elu", x=ROWS, numbers={"elu.alpha": 0.5}), made(Calls)
    h = functional.elu(plain.first(ROWS), 0.5)
    expected = plain.head(functional.elu(plain.second(torch.sigmoid(h) * h), 0.5))
    torch.testing.assert_close(done.module(ROWS), expected)
    assert isinstance(done.module, Calls)
    assert any("sigmoid" in line for line in done.unchanged)


def test_dropout_finds_its_place_behind_calls_and_behind_modules():
    for network in (Calls, rows):
        module = change(made(network), "dropout", x=ROWS, numbers={"dropout.rate": 0.5}).module
        assert sum("Dropout" in type(m).__name__ for m in module.modules()) == 2
        torch.testing.assert_close(module.eval()(ROWS), made(network)(ROWS))
        assert not torch.allclose(module.train()(ROWS), made(network)(ROWS))


def test_a_normalization_replaces_that_of_the_network_and_none_takes_it_out():
    (norm,) = (m for m in change(made(images), "group", x=IMAGES).module if "Norm" in type(m).__name__)
    assert type(norm) is find("group").make
    module = change(made(images), "normalization/none", x=IMAGES).module
    assert not any("Norm" in type(m).__name__ for m in module.modules())


def test_an_initialization_draws_all_weights_of_the_seed_and_biases_are_zero():
    first, again, other = (change(made(rows), "he", x=ROWS, seed=s).module for s in (5, 5, 6))
    for a, b, c, old in zip(*map(weights_of, (first, again, other, made(rows))), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert not torch.equal(a, old)
    assert not any(layer.bias.any() for layer in weight_layers(first))
    spread = weights_of(change(nn.Sequential(nn.Linear(400, 300)), "he", x=torch.rand(4, 400)).module)[0].std()
    assert spread.item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)


def test_what_is_drawn_is_the_seeds_and_the_places_alone_in_every_process():
    """Not of Python's hash, for which -1 and -2 are alike, and which its version may change."""
    bits = hashlib.blake2b(b"5/1", digest_size=8).digest()
    wanted = find("he").make(torch.empty(8, 8), generator=torch.Generator().manual_seed(int.from_bytes(bits, "little")))
    assert torch.equal(weights_of(change(made(rows), "he", x=ROWS, seed=5).module)[1], wanted)
    first, second = (weights_of(change(made(rows), "he", x=ROWS, seed=s).module)[0] for s in (-1, -2))
    assert not torch.equal(first, second)


def test_a_normalization_of_inputs_that_are_characters_is_refused():
    network, x = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3)), torch.randint(0, 9, (6, 3))
    done = change(network, "standardization", "lsuv", x=x)
    assert done.skipped == {"standardization": "it is for inputs that are numbers, and these are characters"}
    assert done.module is network


def test_a_normalization_that_does_not_fit_leaves_the_networks_own():
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    own, before = network[1], copy.deepcopy(network)
    done = change(network, "instance", x=ROWS)
    assert "positions" in done.skipped["instance"]
    assert network[1] is own
    torch.testing.assert_close(done.module(ROWS), before(ROWS))


class InTraining(nn.Module):
    """Has a normalization that a pass in evaluation does not reach."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.act = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU()
        self.other, self.head = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.act(self.norm(self.first(x)))
        return self.head(self.other(h) if self.training else h)


def test_a_normalization_that_no_pass_in_evaluation_reaches_is_listed():
    network = InTraining()
    done = change(network, "layer", x=ROWS)
    assert type(network.norm) is find("layer").make
    line = "a normalization layer that no pass in evaluation reaches, taken out without layer in the place"
    assert done.unchanged == (line,)


def test_a_normalization_of_the_old_width_does_not_come_back_behind_a_wider_layer():
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    done = change(network, "instance", "glu", x=ROWS)
    assert list(done.skipped) == ["instance"]
    assert [type(m).__name__ for m in network] == ["Linear", "GLU", "Linear"]
    assert done.module(ROWS).shape == (24, 3)


class Pools(nn.Module):
    """Pooling of three kinds, one of them called as a function."""

    def __init__(self):
        super().__init__()
        self.conv, self.act, self.first = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.wide, self.head = nn.MaxPool2d(3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        h = self.wide(functional.max_pool2d(self.first(self.act(self.conv(x))), 2))
        return self.head(h.flatten(1))


def test_pooling_that_is_left_beside_what_could_be_swapped_is_listed():
    done = change(Pools(), "stochastic-pooling", x=IMAGES)
    assert not done.skipped
    assert done.unchanged == (
        "pooling in wide without stochastic-pooling: its regions reach beyond the image",
        "a call of max_pool2d as a function, left as in the network",
    )


class Apart(nn.Module):
    """A convolution that its activation function follows, and one with pooling between."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.pool = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2)
        self.acts, self.head = nn.ModuleList([nn.ReLU(), nn.ReLU()]), nn.Linear(16, 3)

    def forward(self, x):
        h = self.acts[0](self.first(x))
        return self.head(self.acts[1](self.pool(self.second(h))).flatten(1))


@pytest.mark.parametrize("name", ["batch", "spectral-norm", "drop-connect-gaussian"])
def test_activation_functions_that_no_weight_layer_feeds_at_once_are_listed(name):
    done = change(Apart(), name, x=IMAGES)
    assert not done.skipped
    line = f"an activation function without {name}, since no weight layer that takes it feeds it at once"
    assert done.unchanged == (line,)
    assert change(made(rows), name, x=ROWS).unchanged == ()


class Twice(nn.Module):
    """One activation function, called twice, and in two places of a sequence."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.act = nn.Linear(6, 8), nn.Linear(8, 8), nn.ReLU()
        self.last = nn.Sequential(nn.Linear(8, 8), self.act, nn.Linear(8, 3))

    def forward(self, x):
        return self.last(self.act(self.second(self.act(self.first(x)))))


def test_a_penalty_behind_an_activation_function_that_is_called_twice_counts_both_calls():
    done = change(Twice(), "activity-l1", x=ROWS, numbers={"activity-l1.strength": 0.5})
    assert done.unchanged == ()
    assert [m.calls for m in done.module.modules() if isinstance(m, ActivityL1)] == [2, 1]
    network = done.module.train()
    for x in (ROWS[:3], ROWS):  # of the first pass nothing is asked
        network(x)
    h = network.first(ROWS).relu()
    i = network.second(h).relu()
    hidden = [h, i, network.last[0](i).relu()]
    torch.testing.assert_close(sum(activity_cost(network)), sum(0.5 * v.abs().sum(1).mean() for v in hidden))
    assert activity_cost(network) == []
    assert change(Twice(), "dropout", x=ROWS).unchanged == ()


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(2, 2))

    def forward(self, x):
        return x + self.tokens


def test_weights_that_no_initialization_draws_are_listed_by_name():
    network = nn.Sequential(nn.Embedding(9, 6), nn.Flatten(), nn.Linear(12, 3))
    before = network[0].weight.detach().clone()
    words = torch.randint(9, (8, 2))
    (line,) = change(network, "he", x=words).unchanged
    assert line == "weights that no initialization draws, 0.weight: they stay as they are"
    assert torch.equal(network[0].weight, before)
    five = nn.Sequential(*(Tokens() for _ in range(5)), nn.Flatten(), nn.Linear(4, 3))
    (line,) = change(five, "he", x=torch.rand(4, 2, 2)).unchanged
    assert line.startswith("weights that no initialization draws, 0.tokens, 1.tokens, 2.tokens and 2 more")
    assert change(nn.Sequential(*five), "elu", x=torch.rand(4, 2, 2)).unchanged == ()


def test_attention_recurrent_layers_and_transposed_convolutions_are_drawn():
    network = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
    before = network.self_attn.in_proj_weight.detach().clone()
    assert change(network, "he", x=ROWS.view(8, 3, 6)).unchanged == ()
    assert not torch.equal(network.self_attn.in_proj_weight, before)
    up = nn.Sequential(nn.ConvTranspose1d(2, 2, 3), nn.ReLU())
    done = change(up, "orthogonal", x=torch.rand(4, 2, 2))
    assert (done.skipped, done.unchanged) == ({}, ())
    w = up[0].weight.detach().transpose(0, 1).flatten(1)
    torch.testing.assert_close(w @ w.T, 2 * torch.eye(2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.orthogonal])
def test_a_weight_that_torch_parametrizes_is_drawn_through_its_parametrization(wrap):
    network = nn.Sequential(wrap(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 3))
    plain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    x, numbers = torch.rand(9, 8), {"orthogonal.gain": 1.0}
    done, wanted = (change(net, "orthogonal", x=x, numbers=numbers) for net in (network, plain))
    torch.testing.assert_close(network[0].weight, plain[0].weight)
    assert done.unchanged == wanted.unchanged == ()


def test_a_weight_that_is_made_of_others_and_cannot_be_set_is_listed():
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    parametrized = nn.utils.parametrize.register_parametrization(nn.Linear(6, 8), "weight", Doubled())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        hooked = nn.utils.weight_norm(nn.Linear(6, 8))
    for layer, name in ((parametrized, "parametrizations.weight.original"), (hooked, "weight_v")):
        network = nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 3))
        before = network[0](ROWS).detach()
        done = change(network, "he", x=ROWS)
        assert torch.equal(network[0](ROWS), before)
        assert done.unchanged[0].startswith("weights that no initialization draws")
        assert f"0.{name}" in done.unchanged[0]
        for technique in ("spectral-norm", "glu"):
            assert technique in change(network, technique, x=ROWS).skipped
            assert torch.equal(network[0](ROWS), before)


def test_a_layer_that_is_made_wider_has_new_weights_and_the_others_their_own():
    module, plain = change(made(rows), "glu", x=ROWS).module, made(rows)
    assert weights_of(module)[0].shape == (16, 6)
    assert all(w.isfinite().all() for w in module.parameters())
    assert torch.equal(weights_of(module)[2], weights_of(plain)[2])


def test_double_precision_stays_and_a_normalization_of_inputs_goes_in_front():
    x = ROWS.double() * 3 + 1
    module = change(made(Calls).double(), "standardization", "layer", x=x).module
    assert module(x).dtype == torch.float64
    assert any(type(m) is find("layer").make for m in module.modules())
    assert {p.dtype for p in module.parameters()} == {torch.float64}
    assert type(module[0]) is find("standardization").make
    torch.testing.assert_close(module[0](x).mean(0), torch.zeros(6).double())
    module = change(module, "min-max", x=x).module
    assert any(type(m) is find("layer").make for m in module.modules())
    assert torch.get_default_dtype() == torch.float32


def test_what_changes_weights_does_so_on_every_layers_weight_in_training_alone():
    module = change(made(rows), "drop-connect", x=ROWS, numbers={"drop-connect.rate": 0.5}).module
    plain, x = made(rows), ROWS
    torch.testing.assert_close(module.eval()(ROWS), plain(ROWS))
    torch.manual_seed(7)
    found = module.train()(ROWS)
    torch.manual_seed(7)
    for layer in plain:
        if isinstance(layer, nn.Linear):
            kept = (torch.rand_like(layer.weight) >= 0.5) / 0.5
            x = functional.linear(x, layer.weight * kept, layer.bias)
        else:
            x = layer(x)
    torch.testing.assert_close(found, x)


def test_a_weight_that_others_look_at_is_perturbed_all_the_same():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0])

    done = change(change(made(rows), "weight-norm", x=ROWS).module, "weight-noise", x=ROWS)
    assert done.unchanged == ("the weights that another technique makes, without weight-noise",)
    for network in (done.module, change(made(Attends), "drop-connect", x=ROWS).module):
        first, second = network.train()(ROWS), network(ROWS)
        assert not torch.equal(first, second)
        assert torch.equal(network.eval()(ROWS), network(ROWS))


def test_a_sequence_with_names_of_its_own_keeps_them_behind_a_normalization_of_inputs():
    network = nn.Sequential(OrderedDict(first=nn.Linear(6, 8), act=nn.ReLU(), last=nn.Linear(8, 3)))
    before = copy.deepcopy(network)
    module = change(network, "standardization", x=ROWS).module
    assert module[1] is network
    torch.testing.assert_close(module(ROWS), before((ROWS - ROWS.mean(0)) / ROWS.std(0, correction=0)))


def test_weights_come_back_where_an_initialization_finds_nothing_beside_wider_layers():
    done = change(made(rows), "rezero", "glu", "layer", x=ROWS)
    assert "rezero" in done.skipped
    assert torch.equal(weights_of(done.module)[2], weights_of(made(rows))[2])
    assert done.module(ROWS).isfinite().all()


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        ((), {}, "name at least one technique"),
        (("adam",), {}, r"adam \(optimizer\) is no part of a network: use trainsmith.optimizer"),
        (("l2",), {}, r"l2 \(penalty\) is no part of a network"),
        (("elu", "gelu"), {}, "elu and gelu: a network has one activation"),
        (("min-max", "robust"), {}, "a network has one normalization of inputs"),
        (("elu",), {"numbers": {"elu.alfa": 1.0}}, "unknown hyper-parameter of elu 'elu.alfa': did you mean elu.alpha"),
        (("elu",), {"numbers": {"dropout.rate": 0.1}}, "unknown hyper-parameter of elu"),
        (("dropout",), {"numbers": {"dropout.rate": 2.0}}, "dropout: rate must be a number in"),
        (("eluu",), {}, "did you mean"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_changes(names, more, told):
    module = made(rows)
    with pytest.raises(InvalidInput, match=told):
        change(module, *names, x=ROWS, **more)
    assert repr(module) == repr(made(rows))


class Indexed(nn.Module):
    """A sequence whose layers are called by their places, and one that is called in slices."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8))
        self.two = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        for i in range(4):
            x = self.one[i](x)
        return self.two[2:](self.two[:2](x))


@pytest.mark.parametrize("names", [("normalization/none", "dropout"), ("layer", "elu"), ("weight-norm",)], ids=str)
def test_places_by_which_a_forward_calls_layers_stay(names):
    network = Indexed().eval()
    done = change(network, *names, x=ROWS)
    assert done.skipped == {}
    assert (len(network.one), len(network.two)) == (4, 3)
    assert done.module(ROWS).shape == (24, 3)
    if "layer" in names:
        norm, h = find("layer").make, ROWS
        for m in (network.one[0], norm(8).eval(), nn.ELU(), network.one[3], network.two[0], nn.ELU(), network.two[2]):
            h = m(h)
        torch.testing.assert_close(done.module(ROWS), h)


def test_what_is_put_in_has_the_mode_of_what_it_stands_for():
    """A part that its owner froze in evaluation stays so."""
    network = nn.Sequential(images(), nn.ReLU()).train()
    network[0].eval()
    change(network, "elu", "dropout", "group", "drop-connect", "stochastic-pooling", x=IMAGES)
    change(network, "relu", x=IMAGES)
    change(network, "stochastic-pooling", x=IMAGES)
    assert not any(m.training for m in network[0].modules())
    assert all(m.training for m in network[1:].modules())
    network = saturating().train()
    network[2].eval()
    change(network, "tied-weights", x=ROWS)
    assert not network[2].training
    block = residual().eval()
    change(block, "rezero", x=IMAGES)
    assert not any(m.training for m in block.modules())


def test_hooks_on_what_is_replaced_are_said_to_be_gone_and_others_stay():
    network, seen = made(rows), []
    network[0].register_forward_hook(lambda *_: seen.append("linear"))
    network[1].register_forward_hook(lambda *_: seen.append("relu"))
    done = change(network, "elu", "layer", x=ROWS)
    assert done.unchanged == ("forward hooks on modules that were replaced, 1: they are gone with these",)
    seen.clear()
    done.module(ROWS)
    assert seen == ["linear"]


@pytest.mark.parametrize("name", ["glu", "weight-norm", "spectral-norm"])
def test_a_weight_that_two_layers_share_stays_one(name):
    network = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    network[2].weight = network[0].weight
    done = change(network, name, x=ROWS)
    assert network[0].weight is network[2].weight
    assert list(done.skipped) == [name]
    words = nn.Sequential(nn.Embedding(5, 6), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 5))
    words[4].weight = words[0].weight
    assert name not in change(words, name, x=torch.randint(5, (4, 2))).skipped
    assert words[4].weight is words[0].weight


class ChannelsFirst(nn.LayerNorm):
    """As ConvNeXt has it: over the channels of images."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Double(nn.LayerNorm):
    """As language models have it: over the last axis, in double precision."""

    def forward(self, x):
        return super().forward(x.double().to(x.dtype))


@pytest.mark.parametrize("side", [5, 8])
def test_a_layer_norm_with_a_forward_of_its_own_is_replaced_over_the_axis_that_it_has(side):
    x = torch.rand(4, 1, side + 2, side + 2)
    network = nn.Sequential(nn.Conv2d(1, 5, 3), ChannelsFirst(5), nn.ReLU()).eval()
    change(network, "rms", x=x)
    assert type(network[1]) is find("rms").make
    assert len(network[1].weight) == 5
    words = nn.Sequential(nn.Linear(6, side), Double(side), nn.ReLU())
    change(words, "rms", x=torch.rand(4, 5, 6))
    assert type(words[1]).__name__ == "AtEachPosition"
    assert len(words[1].layer.weight) == side


class ScaleNorm(nn.Module):
    def forward(self, x):
        return x / x.norm(dim=-1, keepdim=True)


def test_a_normalization_of_a_kind_that_is_not_known_is_listed():
    network = nn.Sequential(nn.Linear(6, 8), ScaleNorm(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    (line,) = change(network, "layer", x=ROWS).unchanged
    assert line == "normalizations of a kind that is not known, ScaleNorm, left as they are"
    assert change(network, "elu", x=ROWS).unchanged == ()


@pytest.mark.parametrize("first", ["weight-norm", "weight-standardization", "spectral-norm"])
@pytest.mark.parametrize("then", ["normalization/none", "weight-norm", "weight-standardization", "layer"])
def test_a_normalization_of_weights_is_taken_off_with_the_weight_that_it_made(first, then):
    network = change(made(rows), first, x=ROWS).module.eval()
    weight, before = network[0].effective().detach().clone(), network(ROWS)
    done = change(network, then, x=ROWS)
    assert done.skipped == {}
    layer = next(m for m in network.modules() if isinstance(m, nn.Linear))
    assert torch.equal(layer.weight, weight)
    if then == "normalization/none":
        torch.testing.assert_close(network(ROWS), before)
        assert [type(m) for m in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert done.module(ROWS).isfinite().all()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.lstm(x[:, None])[0][:, -1])


def test_weights_that_are_not_perturbed_and_pairs_that_are_not_tied_are_listed():
    (line,) = change(Recurrent(), "drop-connect", x=ROWS).unchanged
    assert line == "weights without drop-connect, lstm.weight_ih_l0, lstm.weight_hh_l0"
    sizes = [(6, 5), (5, 3), (3, 4), (4, 5), (5, 6)]
    network = nn.Sequential(*(m for s in sizes for m in (nn.Linear(*s), nn.Tanh())))
    (line,) = change(network, "tied-weights", x=ROWS).unchanged
    assert line == "1 of 2 pairs of linear layers that do not mirror each other in shape, left untied"


def test_activation_functions_inside_recurrent_layers_are_listed():
    network = Recurrent()
    network.more = nn.ModuleList([nn.GRUCell(2, 2), nn.LSTM(2, 2)])
    (line,) = change(network, "elu", x=ROWS).unchanged
    assert line == "activation functions inside GRUCell, LSTM, left as in the network"
    assert change(Recurrent(), "he", x=ROWS).unchanged == ()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_network_is_refused():
    with pytest.raises(InvalidInput, match="a scripted network is compiled and cannot be changed: change it before"):
        change(torch.jit.trace(rows(), ROWS), "elu", x=ROWS)


class Looks(nn.Module):
    """Uses a layer, and its weight besides."""

    def __init__(self):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)

    def forward(self, x):
        return self.b(self.act(self.a(x)) @ self.a.weight)


def test_a_forward_that_looks_into_a_layer_that_a_technique_is_around_is_told_of():
    assert change(Looks(), "elu", "drop-connect", "spectral-norm", x=ROWS).skipped == {}
    told = r"looks into a layer .* \('Sequential' object has no attribute 'weight'\): .* The network is as it was."
    with pytest.raises(InvalidInput, match=told):
        change(Looks(), "layer", x=ROWS)


def everything(network):
    """What a network is: its modules, their kinds, modes and attributes, its tensors and their numbers."""
    named = network.named_modules()
    modules = [(path, id(m), type(m), list(vars(m)), list(m._modules), m.training) for path, m in named]
    tensors = [(n, id(t), t.requires_grad) for n, t in [*network.named_parameters(), *network.named_buffers()]]
    return modules, tensors


class Stops(nn.Linear):
    """Fails at its n-th call, as a layer may that something is wrong with."""

    def __init__(self, calls, error):
        super().__init__(6, 6)
        self.left, self.error = [calls], error

    def forward(self, x):
        self.left[0] -= 1
        if not self.left[0]:
            raise self.error
        return super().forward(x)


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize(
    "names",
    [("glu", "layer", "dropout"), ("weight-norm", "lsuv"), ("drop-connect", "he", "batch"), ("standardization", "elu")],
    ids=str,
)
def test_an_error_at_any_pass_leaves_the_network_as_it_was(names, error):
    def network(calls):
        torch.manual_seed(2)
        inner = nn.Sequential(Stops(calls, error), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 6), nn.Tanh(), Calls())
        inner[3].weight.requires_grad_(False)
        inner[1].eval()
        return inner

    whole = network(0)
    counter = whole[0].left
    change(whole, *names, x=ROWS)
    passes = -counter[0]
    assert passes > 3
    for calls in range(1, passes + 1):
        stopped = network(calls)
        before, state = everything(stopped), copy.deepcopy(stopped.state_dict())
        handle = stopped[3].register_forward_hook(lambda *_: None)
        with pytest.raises(type(error)):
            change(stopped, *names, x=ROWS)
        assert handle.id in stopped[3]._forward_hooks
        handle.remove()
        assert everything(stopped) == before
        assert all(torch.equal(t, state[n]) for n, t in stopped.state_dict().items())
        stopped[0].left = [0]
        assert stopped(ROWS).shape == (24, 3)


def test_a_network_whose_layers_wait_for_their_inputs_stays_whole_too():
    network = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), Looks())
    with pytest.raises(InvalidInput, match="The network is as it was"):
        change(nn.Sequential(nn.LazyLinear(6), nn.ReLU(), Looks()), "layer", x=ROWS)
    with pytest.raises(RuntimeError):
        change(network, "layer", x=ROWS)
    assert isinstance(network[0], nn.Linear)


class Answers(nn.Module):
    """Gives what it gives in a dictionary."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return {"scores": self.inside(x), "inputs": x}


@pytest.mark.parametrize("name", ["glu", "class-prior", "drop-connect-gaussian", "layer", "lsuv"])
def test_a_network_that_gives_a_dictionary_is_changed_by_its_first_entry(name):
    network = Answers()
    assert change(network, name, x=ROWS, y=Y).skipped == {}
    assert network(ROWS)["scores"].shape == (24, 3)
