"""Two modules share a signature only if they may run as one program with stacked parameters."""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.network import signature
from trainsmith.network.signature import structure

X = torch.linspace(-1, 1, 24).view(2, 12)


def of(*layers):
    network = nn.Sequential(nn.Linear(12, 8), *layers)
    return signature(network, lambda m: m(X))


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Hidden(nn.Module):
    """Its behaviour hangs on a global that no attribute shows: only the calls tell."""

    power = 2.0

    def forward(self, x):
        return x.abs() ** HIDDEN["power"]


def times(factor):
    return lambda x: x * factor


HIDDEN = {"power": 2.0}
DIFFERENT = {
    "class": (nn.ReLU(), nn.GELU()),
    "dropout rate": (nn.Dropout(0.1), nn.Dropout(0.9)),
    "leaky slope": (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)),
    "layer norm eps": (nn.LayerNorm(8, eps=1e-5), nn.LayerNorm(8, eps=1e-1)),
    "group count": (nn.GroupNorm(2, 8), nn.GroupNorm(4, 8)),
    "batch norm momentum": (nn.BatchNorm1d(8, momentum=0.1), nn.BatchNorm1d(8, momentum=0.2)),
    "gelu form": (nn.GELU(), nn.GELU(approximate="tanh")),
    "softmax axis": (nn.Softmax(0), nn.Softmax(1)),
    "function": (Calls(torch.sin), Calls(torch.cos)),
    "lambda": (Calls(lambda x: x * 2), Calls(lambda x: x * 3)),
    "closure": (Calls(times(2.0)), Calls(times(3.0))),
    "partial": tuple(Calls(functools.partial(functional.leaky_relu, negative_slope=s)) for s in (0.1, 0.2)),
    "frozen": (nn.Linear(8, 8), nn.Linear(8, 8).requires_grad_(False)),
    "bias": (nn.Linear(8, 8), nn.Linear(8, 8, bias=False)),
    "width": (nn.Linear(8, 8), nn.Linear(8, 9)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_modules_that_act_differently_have_different_signatures(name):
    first, second = DIFFERENT[name]
    assert of(first) != of(second)


@pytest.mark.parametrize("name", DIFFERENT)
def test_equal_modules_with_other_weights_have_equal_signatures(name):
    import copy

    first, _ = DIFFERENT[name]
    twin = copy.deepcopy(first)
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(1)
    assert of(first) == of(twin)


def test_the_calls_tell_where_the_attributes_do_not():
    before = of(Hidden())
    HIDDEN["power"] = 3.0
    assert of(Hidden()) != before
    HIDDEN["power"] = 2.0
    assert of(Hidden()) == before


def test_tied_weights_are_told_from_untied():
    tied, untied = (nn.Sequential(nn.Linear(12, 12), nn.Linear(12, 12)) for _ in range(2))
    tied[1].weight = tied[0].weight
    assert signature(tied, lambda m: m(X)) != signature(untied, lambda m: m(X))


class OtherwiseInEvaluation(nn.Module):
    """What it does in evaluation no training pass shows: a factor, and a layer of its own or a shared one."""

    def __init__(self, factor=1.0, tied=False):
        super().__init__()
        self.factor, self.first, self.spare = factor, nn.Linear(12, 12), nn.Linear(12, 12)
        if tied:
            self.spare.weight = self.first.weight

    def forward(self, x):
        return self.first(x) if self.training else self.spare(self.first(x)) * self.factor


@pytest.mark.parametrize("different", [{"factor": 2.0}, {"tied": True}], ids=str)
def test_attributes_and_sharing_count_also_where_a_training_pass_does_not_show_them(different):
    def of_training(module):
        return signature(module.train(), lambda m: m(X))

    assert of_training(OtherwiseInEvaluation()) == of_training(OtherwiseInEvaluation())
    assert of_training(OtherwiseInEvaluation()) != of_training(OtherwiseInEvaluation(**different))


def test_the_module_and_torchs_random_state_stay_as_they_were():
    network = nn.Sequential(nn.BatchNorm1d(12), nn.Dropout(0.5)).train()
    before, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.random.get_rng_state()
    signature(network, lambda m: m(X))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_lazy_layer_that_has_no_shape_yet_is_refused():
    with pytest.raises(InvalidInput, match=r"0\.weight of the network has no shape yet; run one batch through"):
        signature(nn.Sequential(nn.LazyLinear(3)), lambda m: m(X))


def made(factor=2.0, held=0, operation=torch.relu):
    """A network of a class that is made anew at each call."""

    class Inner(nn.Module):
        scale = factor

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 12)

        @property
        def half(self):
            return self.scale / 2

        @staticmethod
        def bent(x):
            return operation(x)

        def forward(self, x):
            return self.bent(self.layer(x)) * self.half + held

    return Inner()


def test_classes_that_a_factory_makes_at_each_call_count_by_what_they_hold():
    def of(network):
        return signature(network, lambda m: m(X))

    assert type(made()) is not type(made())
    assert of(made()) == of(made())
    assert hash(of(made())) == hash(of(made()))
    others = [made(factor=3.0), made(held=1), made(operation=torch.tanh)]
    assert len({of(n) for n in (made(), *others)}) == 4
    assert len({structure(n) for n in (made(), *others)}) == 4
