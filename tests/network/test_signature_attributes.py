"""Whatever a user keeps on a module counts in its signature, and nothing that is the same keeps members apart."""

import collections
import copy
import dataclasses
import enum
import functools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from trainsmith.network import signature
from trainsmith.network.canonical import Canonical

X = torch.linspace(-1, 1, 24).view(2, 12)


class Holds(nn.Module):
    """A user's network that keeps something on itself; its forward pass does not show what."""

    def __init__(self, held):
        super().__init__()
        self.layer, self.held = nn.Linear(12, 12), held

    def forward(self, x):
        return self.layer(x)


class Kind(enum.Enum):
    SMALL, LARGE = 1, 2


@dataclasses.dataclass
class Settings:
    rate: float
    sizes: list


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate):
        self.rate = rate


class Callable:
    """State in an attribute, behaviour in a method."""

    def __init__(self, rate=1.0):
        self.rate = rate

    def __call__(self, x):
        return x * self.rate


class Stateless:
    def __call__(self, x):
        return x


class NamedList(list):
    name = ""


def named(values, name):
    result = NamedList(values)
    result.name = name
    return result


def function_of(rate, power=1):
    """A function like those typed into a notebook: found in no module, and reading a global of its own."""
    namespace = {"power": power}
    exec(f"def times(x):\n    return x ** power * {rate}", namespace)
    return namespace["times"]


def moved(generator):
    generator.random()
    return generator


HELD = {
    "number": (lambda: 0.1, lambda: 0.2),
    "sign of zero": (lambda: 0.0, lambda: -0.0),
    "int or bool": (lambda: 1, lambda: True),
    "string": (lambda: "same", lambda: "valid"),
    "enum": (lambda: Kind.SMALL, lambda: Kind.LARGE),
    "list": (lambda: [1, [2.0]], lambda: [1, [3.0]]),
    "list subclass": (lambda: named([1], "a"), lambda: named([1], "b")),
    "dict": (lambda: {"a": [1]}, lambda: {"a": [2]}),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    "set": (lambda: {1, 2}, lambda: {1, 3}),
    "dataclass": (lambda: Settings(0.1, [1]), lambda: Settings(0.1, [2])),
    "slots": (lambda: Slotted(0.1), lambda: Slotted(0.2)),
    "object": (lambda: Callable(0.1), lambda: Callable(0.2)),
    "object without state": (Stateless, Callable),
    "method": (lambda: Callable(0.1).__call__, lambda: Callable(0.2).__call__),
    "function": (lambda: function_of(2), lambda: function_of(3)),
    "global of a function": (lambda: function_of(2), lambda: function_of(2, power=3)),
    "function of a module": (lambda: torch.nn.functional.relu, lambda: torch.nn.functional.gelu),
    "lambda": (lambda: lambda x: x * 2, lambda: lambda x: x * 3),
    "default of a lambda": (lambda: lambda x, r=2: x * r, lambda: lambda x, r=3: x * r),
    "partial": (
        lambda: functools.partial(torch.clamp, min=0),
        lambda: functools.partial(torch.clamp, min=1),
    ),
    "built-in": (lambda: math.sin, lambda: torch.sin),
    "method of a type": (lambda: torch.Tensor.sin, lambda: torch.Tensor.cos),
    "array": (lambda: np.array([1.0, 2.0]), lambda: np.array([1.0, 3.0])),
    "array of objects": (lambda: np.array([[1], None], object), lambda: np.array([[2], None], object)),
    "numpy number": (lambda: np.float32(1), lambda: np.float64(1)),
    "tensor": (lambda: torch.tensor([1.0]), lambda: torch.tensor([2.0])),
    "tensor with no axis": (lambda: torch.tensor(1.0), lambda: torch.tensor(2.0)),
    "half precision tensor": (lambda: torch.ones(2).bfloat16(), lambda: torch.zeros(2).bfloat16()),
    "dtype": (lambda: torch.float32, lambda: torch.float64),
    "slice": (lambda: slice(0, 2), lambda: slice(0, 3)),
    "numpy generator": (lambda: np.random.default_rng(0), lambda: moved(np.random.default_rng(0))),
    "python generator": (lambda: random.Random(0), lambda: moved(random.Random(0))),
    "torch generator": (
        lambda: torch.Generator().manual_seed(0),
        lambda: torch.Generator().manual_seed(1),
    ),
    "unregistered layer's weights": (lambda: [layer(0.0)], lambda: [layer(1.0)]),
}


def layer(value):
    module = nn.Linear(2, 2)
    nn.init.constant_(module.weight, value)
    nn.init.zeros_(module.bias)
    return module


def of(module):
    return signature(module, lambda m: m(X))


@pytest.mark.parametrize("name", HELD)
def test_what_differs_in_anything_kept_on_it_is_told_apart_and_what_does_not_is_not(name):
    first, second = HELD[name]
    assert of(Holds(first())) == of(Holds(first())), "nothing differs but the weights"
    assert of(Holds(first())) != of(Holds(second()))


def test_an_object_that_cannot_be_looked_into_is_only_equal_to_itself():
    for opaque in (iter([1]), collections.deque([1]), torch.nn.functional.relu.__code__.co_lines()):
        assert Canonical()(opaque) == Canonical()(opaque)
    assert Canonical()(collections.deque([1])) != Canonical()(collections.deque([1]))

    class Remembers(collections.deque):
        """Its items are out of sight, whatever else it holds."""

    a, b = Remembers([1]), Remembers([2])
    a.name = b.name = "same"
    assert Canonical()(a) != Canonical()(b)


def test_a_value_that_holds_itself_is_compared_without_end():
    def endless(number):
        values = [number]
        values.append(values)
        return values

    assert Canonical()(endless(1)) == Canonical()(endless(1))
    assert Canonical()(endless(1)) != Canonical()(endless(2))


class Lists(nn.Module):
    """Keeps its own layers and weights in plain attributes too, and a function that closes over itself."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 12), nn.Linear(12, 12)
        self.order, self.weights = [self.a, self.b], {"a": self.a.weight}
        self.call = lambda x: self.b(x)

    def forward(self, x):
        return self.call(self.a(x))


def test_registered_layers_reached_by_other_ways_stand_for_their_place_not_their_numbers():
    assert of(Lists()) == of(Lists())
    swapped = Lists()
    swapped.order = [swapped.b, swapped.a]
    assert of(swapped) != of(Lists())


def test_hooks_count_by_what_they_do_and_not_by_when_they_were_added():
    def hooked(*functions):
        module = nn.Linear(12, 12)
        for f in functions:
            module.register_forward_hook(f)
        return of(module)

    def double(m, inputs, output):
        return output * 2

    def same(m, inputs, output):
        return output + 0

    assert hooked(double, same) == hooked(double, same)
    assert hooked(double, same) != hooked(same, double)
    assert hooked(double) != hooked()


def test_parametrized_layers_share_a_signature_unless_they_differ():
    first, twin = (parametrizations.weight_norm(nn.Linear(12, 12)) for _ in range(2))
    assert of(first) == of(twin)
    assert of(first) != of(parametrizations.weight_norm(nn.Linear(12, 12), dim=1))
    assert of(first) != of(nn.Linear(12, 12))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[1].eval(),
        lambda m: m[0].weight.requires_grad_(False),
        lambda m: m[0].register_parameter("bias", None),
        lambda m: m[1].double(),
        lambda m: m.append(nn.Identity()),
        lambda m: m.register_module("nothing", None),
        lambda m: setattr(m[2], "weight", m[0].weight),
        lambda m: m.__setitem__(2, m[0]),
        lambda m: m[1].register_buffer("spare", torch.ones(1)),
        lambda m: m[1].register_buffer("running_mean", m[1].running_mean, persistent=False),
    ],
    ids=["eval", "frozen", "bias", "dtype", "layer", "no layer", "tied", "called twice", "buffer", "persistence"],
)
def test_flags_types_layers_and_sharing_count(change):
    plain = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Linear(12, 12))
    changed = copy.deepcopy(plain)
    change(changed)
    assert signature(plain, lambda m: None) == signature(copy.deepcopy(plain), lambda m: None)
    assert signature(changed, lambda m: None) != signature(plain, lambda m: None)
