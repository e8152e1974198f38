"""Activation functions called in forward have rows of their own, like those of modules that do the same."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from inspection.make_network import batch, stack
from trainsmith.inspection import inspect
from trainsmith.inspection.course import follow

ROW = ("mean", "std", "second_moment", "signal", "zeros", "dead", "always_on", "saturated", "gradient", "predicted")


class Calls(nn.Module):
    """The stack's layers, with its activation function called in forward."""

    def __init__(self, whole, function):
        super().__init__()
        self.layers = nn.ModuleList(m for m in whole if isinstance(m, nn.Linear))
        self.function = function

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.function(layer(x))
        return self.layers[-1](x)


@pytest.mark.parametrize(
    ("module", "function"),
    [(nn.ReLU, torch.relu), (nn.ReLU, Tensor.relu), (nn.ReLU, lambda x: x.relu_()), (nn.Tanh, torch.tanh),
     (nn.Sigmoid, Tensor.sigmoid), (nn.ELU, lambda x: functional.elu(x, inplace=True)), (nn.GELU, functional.gelu),
     (lambda: nn.LeakyReLU(0.3), lambda x: functional.leaky_relu(x, 0.3)), (nn.ReLU, functional.relu)],
    ids=lambda v: getattr(v, "__name__", ""),
)  # fmt: skip
def test_a_call_has_the_row_of_the_module_that_does_the_same(module, function):
    whole = stack(0.3, module, depth=3)
    asked, called = inspect(whole, batch()), inspect(Calls(whole, function), batch())
    assert len(called.layers) == len(asked.layers)
    for a, b in zip(asked.layers, called.layers, strict=True):
        for name in ROW:
            expected = getattr(a, name)
            assert getattr(b, name) == (None if expected is None else pytest.approx(expected, rel=1e-5)), name
        assert b.kind == a.kind
    assert called.layers[1].name in ("relu", "tanh", "sigmoid", "elu", "gelu", "leaky_relu")
    assert called.layers[3].name == f"{called.layers[1].name} (2nd call)"
    assert {f.short for f in called.findings} == {f.short for f in asked.findings}


def test_dead_and_saturated_units_of_calls_are_found():
    dead = stack(0.02**0.5, nn.ReLU, depth=2)
    dead[0] = nn.Linear(100, 100)
    dead[0].bias.data[:50] = -1000
    assert [f.layer for f in inspect(Calls(dead, torch.relu), batch()).findings if f.short == "dead units"] == ["relu"]
    flat = Calls(stack(1.0, nn.Tanh, depth=2), torch.tanh)
    assert [f.layer for f in inspect(flat, batch()).findings if f.short == "saturated"] == ["tanh", "tanh (2nd call)"]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act = nn.Linear(100, 100), nn.ReLU()

    def forward(self, x):
        return functional.relu(self.fc(x)) + self.act(x) + x * torch.sigmoid(x)


def test_names_say_in_whose_forward_the_call_is_and_modules_are_not_seen_twice():
    network = nn.Sequential(Block(), nn.LSTM(100, 10, batch_first=True))
    names = [m.name for m in inspect(network, batch()[0][:, None]).layers]
    assert names == ["0.fc", "0.relu", "0.act", "0.sigmoid", "1"]


def test_no_hook_and_no_mode_stay_behind():
    network = Calls(stack(0.1, nn.ReLU, depth=2), torch.relu)
    inspect(network, batch())
    follow(network, batch(), steps=2)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert torch.overrides._get_current_function_mode() is None

    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    with pytest.raises(Exception, match="no"):
        inspect(nn.Sequential(Fails()), batch())
    assert torch.overrides._get_current_function_mode() is None


def test_the_theory_does_not_go_on_behind_a_sum_of_branches():
    torch.manual_seed(0)
    rows = inspect(nn.Sequential(nn.Linear(100, 100), Block()), batch()[0]).layers
    own = {m.name: m for m in rows}
    assert own["1.fc"].predicted is not None
    assert own["1.relu"].predicted is not None  # takes what 1.fc gave
    assert own["1.act"].predicted is None  # takes what came into the block


def test_a_call_is_the_same_layer_at_each_step():
    """Dead units are counted over steps: that takes a layer that is known again."""
    network = Calls(stack(0.02**0.5, nn.ReLU, depth=2), functional.relu)
    network.layers[0] = nn.Linear(100, 100)
    network.layers[0].bias.data[:50] = -1000
    course = follow(network, batch(), steps=22, every=1, batch_size=50)
    first, last = (
        next(m for m in course.measurements[i].layers if m.name == "relu") for i in (0, -1)
    )  # fmt: skip
    assert (first.examples, last.examples) == (50, 1100)
    assert (first.dead, last.dead) == (0, 0.5)
