"""Techniques put by their names into networks at hand: what changes, what stays, what is said."""

import copy
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
