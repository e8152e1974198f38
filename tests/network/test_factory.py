"""Networks from a user's module, file, class or function, with and without techniques as arguments."""

import numpy as np
import pytest
import torch
from torch import nn

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data.arrays import from_arrays
from trainsmith.errors import InvalidInput
from trainsmith.network import build
from trainsmith.network.factory import named_factory
from trainsmith.normalization import LayerNorm
from trainsmith.population import make_member

DRAW = np.random.default_rng(0)
DATA = from_arrays(DRAW.normal(size=(60, 12)), np.arange(60) % 3, "table")

NET = """
from torch import nn
from beside import WIDTH

class Net(nn.Module):
    def __init__(self, input_shape, outputs, width=WIDTH):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, outputs)
    def forward(self, x):
        return self.b(self.act(self.a(x)))

def build(input_shape, outputs):
    return Net(input_shape, outputs, 5)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_class_or_function_in_a_file_with_neighbours(here):
    (here / "nets").mkdir()
    (here / "nets" / "my_net.py").write_text(NET)
    (here / "nets" / "beside.py").write_text("WIDTH = 7\n")
    assert build("nets/my_net.py:Net", (12,), 3).a.out_features == 7
    assert build(str(here / "nets" / "my_net.py:build"), (12,), 3).a.out_features == 5
    assert named_factory("nets/my_net.py:Net") is named_factory(str(here / "nets/my_net.py:Net"))


def test_a_file_named_as_a_module_that_is_there_already(here):
    (here / "torch.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(12, 3)\n")
    assert build("torch.py:build", (12,), 3).in_features == 12


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "gone.py:build", r"there is no file '.*gone.py' to take the network factory from"),
        ("import torch\n", "net1.py:build", r"net1.py has no 'build'; it defines no function and no class"),
        ("def make(): pass\n", "net2.py:build", r"has no 'build'; it defines make"),
        ("def build(:\n", "net3.py:build", r"SyntaxError"),
        ("import no_such_thing\n", "net4.py:build", r"No module named 'no_such_thing'"),
        ("1 / 0\n", "net5.py:build", r"ZeroDivisionError: division by zero \(net5.py, line 1\)"),
        (
            "def build(s, o):\n    raise RuntimeError('two\\nlines')\n",
            "net6.py:build",
            "RuntimeError: two lines",
        ),
        ("def build(s, o):\n    return 3\n", "net7.py:build", r"must return an nn.Module; it returned int"),
        (
            "def build(width):\n    pass\n",
            "net8.py:build",
            r"\(input_shape, outputs\), or nothing; .* needs width",
        ),
        ("def build(s, o, optimizer):\n    pass\n", "net9.py:build", r"optimizer is no part of the network"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(here, text, name, message):
    if text is not None:
        (here / name.split(":")[0]).write_text(text)
    with pytest.raises(InvalidInput, match=message) as caught:
        build(name, (12,), 3)
    assert "\n" not in str(caught.value)


class Given(nn.Module):
    """Takes its techniques as arguments, and calls them in its own way."""

    def __init__(self, input_shape, outputs, activation, normalization, regularization):
        super().__init__()
        self.a, self.b = nn.Linear(input_shape[0], 8), nn.Linear(8, outputs)
        self.norm, self.act, self.drop = normalization(8), activation(), regularization()

    def forward(self, x):
        return self.b(self.drop(self.act(self.norm(self.a(x)))) + 0)


def member(recipe, factory=Given):
    return make_member(Run(Trial(recipe), 4), factory, DATA)


def test_a_factory_gets_the_techniques_that_it_asks_for():
    made = member(Recipe(normalization="layer", activation="elu", regularization=("dropout", "k-winners")))
    (network,) = made.objective.network
    assert not made.skipped
    assert isinstance(network.norm, LayerNorm)
    assert type(network.act).__name__ == "ELU"
    assert [type(m).__name__ for m in network.drop] == ["Dropout", "KWinners"]
    kinds = [type(m).__name__ for m in network.modules()]
    assert kinds.count("ELU") == kinds.count("LayerNorm") == kinds.count("Dropout") == 1


def test_without_techniques_it_gets_relu_and_nothing():
    network = build(Given, (12,), 3)
    assert [type(m) for m in (network.norm, network.act, network.drop)] == [nn.Identity, nn.ReLU, nn.Identity]


def test_a_technique_with_which_the_network_cannot_be_made_is_left_out_with_the_reason():
    made = member(Recipe(activation="glu", normalization="instance"))
    assert set(made.skipped) == {"glu", "instance"}
    assert "the network's factory cannot be given it: " in made.skipped["glu"]
    (network,) = made.objective.network
    assert isinstance(network.act, nn.ReLU)
    assert made.objective.network(DATA.x[:4]).shape == (4, 3)


def activation_alone(input_shape, outputs, activation):
    return nn.Sequential(nn.Linear(input_shape[0], 8), activation(), nn.Linear(8, outputs))


def test_families_that_it_does_not_ask_for_are_put_in_by_surgery():
    made = member(Recipe(normalization="weight-norm", activation="tanh", regularization=("dropout",)), activation_alone)
    assert [type(m).__name__ for m in made.objective.network] == ["WeightNorm", "Tanh", "Dropout", "Linear"]


def test_the_same_seed_makes_the_same_network():
    first, second = member(Recipe(activation="gelu")), member(Recipe(activation="gelu"))
    for a, b in zip(first.objective.network.parameters(), second.objective.network.parameters(), strict=True):
        assert torch.equal(a, b)


class Strict(Given):
    """Has no place for a layer that is more than one module."""

    def __init__(self, input_shape, outputs, activation, normalization, regularization):
        super().__init__(input_shape, outputs, activation, normalization, regularization)
        if isinstance(self.drop, nn.Sequential):
            raise TypeError("one layer, please")


def test_regularizers_that_the_factory_cannot_take_are_left_out_too():
    made = member(Recipe(regularization=("dropout", "k-winners")), Strict)
    assert set(made.skipped) == {"dropout", "k-winners"}
    assert "one layer, please" in made.skipped["dropout"]
    assert not member(Recipe(regularization=("dropout",)), Strict).skipped
