"""Activation functions that a network calls as functions become modules; what does not is listed."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as users call it
from torch import nn
from torch.nn import functional

from trainsmith.catalogue import Recipe, Trial
from trainsmith.network import apply, signature
from trainsmith.network.functional import CALLS, call_modules, called, rewritten

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
