"""Activation functions that a network calls as functions become modules; what does not is listed."""

import copy
import importlib
import math
import pickle

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as users call it
from torch import nn
from torch.nn import functional

from trainsmith.catalogue import Recipe, Trial
from trainsmith.network import apply, signature
from trainsmith.network.functional import CALLS, call_modules, called, rewritten
from trainsmith.network.reading import techniques_in

X = torch.randn(16, 5, generator=torch.Generator().manual_seed(2))


def operated(recipe, network):
    return apply(network, Trial(recipe), X, lambda n: torch.Generator().manual_seed(n))


class Several(nn.Module):
    """Calls in all the ways that are found: in a loop, with numbers, as a method, nested, behind dropout."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.a(x), inplace=True)
        for _ in range(2):
            x = functional.leaky_relu(self.b(x), 0.2)
        x = F.dropout(x, 0.5, self.training)
        return self.c(torch.tanh(self.b(F.elu(self.b(x), alpha=0.5))).relu())


def test_calls_become_modules_that_do_the_same():
    network = Several().eval()
    before = network(X)
    assert called(network, X) == {"relu": 2, "leaky_relu": 2, "tanh": 1, "elu": 1}
    assert call_modules(network, X) == ()
    assert torch.equal(network(X), before)
    assert [repr(m) for n, m in network.named_children() if n.startswith("activation")] == [
        "ReLU()", "LeakyReLU(negative_slope=0.2)", "ELU(alpha=0.5)", "Tanh()", "ReLU()",
    ]  # fmt: skip
    assert isinstance(network, Several)
    assert not called(network, X)


def test_what_forward_does_otherwise_stays_as_it_is():
    network = Several()
    call_modules(network, X)
    assert not torch.equal(network.train()(X), network(X))
    assert torch.equal(network.eval()(X), network(X))
    assert torch.equal(copy.deepcopy(network)(X), network(X))


def test_two_networks_so_changed_share_a_program():
    signatures = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = Several()
        call_modules(network, X)
        signatures.append(signature(network, lambda m: m(X)))
    assert signatures[0] == signatures[1]


def test_every_technique_finds_its_place_around_what_was_a_call():
    result = operated(Recipe(normalization="layer", activation="gelu", regularization=("dropout",)), Several())
    assert not result.skipped
    assert result.unchanged == (
        "an activation function without layer, since no weight layer that takes it feeds it at once",
    )
    names = [type(m).__name__ for m in result.module.modules()]
    assert names.count("GELU") == names.count("Dropout") == 5
    assert names.count("LayerNorm") == 2
    assert not {"ReLU", "ELU", "Tanh", "LeakyReLU"} & set(names)


@pytest.mark.parametrize("function", CALLS, ids=lambda f: f.__name__)
def test_the_module_does_what_the_function_does(function):
    assert torch.equal(CALLS[function]()(X.clone()), function(X.clone()))


def helper(x):
    return torch.relu(x)


class Left(nn.Module):
    """Calls that stay: a gate, one in a function beside forward, one whose numbers are not constants."""

    def __init__(self):
        super().__init__()
        self.a, self.slope = nn.Linear(5, 5), 0.3

    def forward(self, x):
        x = helper(self.a(x)) * torch.sigmoid(self.a(x))
        return F.leaky_relu(x, self.slope)


def test_what_is_left_is_listed():
    result = operated(Recipe(activation="tanh"), Left())
    assert set(result.unchanged) == {
        "a call of relu as a function, left as in the network",
        "a call of sigmoid as a function, left as in the network",
        "a call of leaky_relu as a function, left as in the network",
    }
    assert "tanh" in result.skipped


class Rare(nn.Module):
    """Activation functions that are seldom called so."""

    def __init__(self):
        super().__init__()
        self.a, self.slope = nn.Linear(5, 5), nn.Parameter(torch.tensor([0.25]))

    def forward(self, x):
        h = F.hardtanh(torch.selu(self.a(x)), -0.5, 0.5).sigmoid_()
        return F.threshold(F.rrelu(F.prelu(F.softsign(h), self.slope)), 0.1, 0.0)


def test_every_activation_function_of_torch_is_changed_or_listed():
    module, before = Rare(), Rare()
    before.load_state_dict(module.state_dict())
    lines = call_modules(module, X)
    assert torch.equal(module(X), before(X))
    assert {type(m) for m in module.children()} == {nn.Linear, nn.Hardtanh, nn.SELU, nn.Sigmoid, nn.Softsign}
    assert {line.split()[3] for line in lines} == {"threshold", "rrelu", "prelu"}


def test_a_forward_that_cannot_be_read_is_left():
    class Closed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(5, 5)

        def forward(self, x):
            return F.relu(self.a(x)) * math.pi + __class__.__name__.count("x")

    made: dict[str, type] = {}
    exec(
        "from torch import nn\nfrom torch.nn import functional\n"
        "class Unread(nn.Module):\n    def forward(self, x):\n        return functional.relu(x)\n",
        made,
    )
    for network in (Closed(), made["Unread"]()):
        assert rewritten(type(network)) is None
        assert call_modules(network, X) == ("a call of relu as a function, left as in the network",)
        assert torch.equal(network(X), network(X))


def test_torchs_own_modules_are_not_looked_into():
    network = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.TransformerEncoderLayer(4, 2, 8))
    assert call_modules(network, X) == ()
    assert [type(m) for m in network] == [nn.Linear, nn.ReLU, nn.TransformerEncoderLayer]


class Written(nn.Module):
    """A forward whose default and annotations mean nothing outside of its class, and which uses a private name."""

    TIMES = 2

    def __init__(self):
        super().__init__()
        self.__hidden, self.b = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: "Nowhere", times=TIMES, *, more: "Nor here" = (TIMES,)) -> "Nobody":
        return times * more[0] * self.b(torch.relu(self.__hidden(x)))


def test_defaults_annotations_and_private_names_of_a_forward_are_those_of_its_class():
    network = Written()
    before = network(X)
    assert call_modules(network, X) == ()
    assert torch.equal(network(X), before)
    assert torch.equal(network(X, 1), before / 2)
    assert "self._Written__hidden(x)" in rewritten(Written).source
    assert "times=2, *" in rewritten(Written).source
    assert any(isinstance(m, nn.ReLU) for m in network.modules())


def test_annotations_that_only_type_checkers_know_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "annotated.py").write_text(
        "from __future__ import annotations\nimport torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n    def forward(self, x: Unknown) -> Unknown:\n        return torch.relu(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = importlib.import_module("annotated").Net()
    assert call_modules(network, X) == ()
    assert torch.equal(network(X), X.relu())


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "torch.save"])
def test_a_network_whose_calls_are_modules_is_stored_and_copied(how, tmp_path):
    network = Several().eval()
    call_modules(network, X)
    if how == "torch.save":
        torch.save(network, tmp_path / "network.pt")
        again = torch.load(tmp_path / "network.pt", weights_only=False)
    else:
        again = pickle.loads(pickle.dumps(network)) if how == "pickle" else copy.deepcopy(network)
    assert type(again) is type(network)
    assert torch.equal(again(X), network(X))
    assert again.a.weight is not network.a.weight


class Holds(nn.Module):
    """Holds its functions by names: one that is called with its input alone, one with a number."""

    def __init__(self, second=F.gelu):
        super().__init__()
        self.a, self.b, self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 3), torch.tanh, second

    def forward(self, x):
        h = self.first(self.a(x))
        return self.b(self.second(h, 0.2) if self.second is F.leaky_relu else self.second(h))


def test_functions_that_a_module_holds_become_modules():
    network = Holds()
    before = network(X)
    assert call_modules(network, X) == ()
    assert torch.equal(network(X), before)
    assert [type(m) for m in (network.first, network.second)] == [nn.Tanh, nn.GELU]
    assert techniques_in(Holds(torch.tanh)) == {"activation": "tanh"}
    result = operated(Recipe(activation="elu"), Holds())
    assert not result.skipped
    assert result.unchanged == ()


def test_functions_whose_modules_would_do_something_else_stay():
    network = Holds(F.leaky_relu)
    before = network(X)
    assert call_modules(network, X) == (
        "a call of tanh as a function, left as in the network",
        "a call of leaky_relu as a function, left as in the network",
    )
    assert (network.first, network.second) == (torch.tanh, F.leaky_relu)
    assert torch.equal(network(X), before)


def test_an_activation_function_of_transformers_stays_one_module():
    """Some hold the function that they call."""
    activations = pytest.importorskip("transformers.activations")
    network = nn.Sequential(nn.Linear(5, 6), activations.GELUActivation(), nn.Linear(6, 3))
    result = operated(Recipe(activation="glu", normalization="weight-norm"), network)
    assert (result.skipped, result.unchanged) == ({}, ())
    assert [type(m).__name__ for m in network] == ["WeightNorm", "GLU", "Linear"]
