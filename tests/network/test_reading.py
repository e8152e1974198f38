"""What a network has of the catalogue is found; what is mixed or foreign is not claimed."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.catalogue import find, techniques
from trainsmith.network import techniques_of
from trainsmith.network.reading import ACTIVATIONS, NORMALIZATIONS
from trainsmith.network.rewriting import NOT_ELEMENTWISE


def found(*layers):
    return techniques_of(lambda: nn.Sequential(nn.Linear(4, 4), *layers, nn.Linear(4, 2)), (4,), 2)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_torchs_activations_by_our_names_compute_the_same(name):
    assert found(ACTIVATIONS[name]()) == {"activation": name}
    x = torch.linspace(-3, 3, 13)
    theirs, ours = ACTIVATIONS[name](), find(name, "activation").make()
    torch.testing.assert_close(ours(x[:, None]), theirs(x[:, None]))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_torchs_normalizations_by_our_names(name):
    kind = NORMALIZATIONS[name][0]
    assert found(kind(2, 4) if name == "group" else kind(4)) == {"normalization": name}
    assert find(name, "normalization").role == "layer"


def test_our_own_layers():
    assert found(find("rms", "normalization").make(4), find("mish").make()) == {
        "normalization": "rms",
        "activation": "mish",
    }


def test_none_several_and_foreign_ones_are_left_out():
    assert found() == {}
    assert found(nn.ReLU(), nn.Tanh()) == {}
    assert found(nn.Hardtanh(), nn.LocalResponseNorm(2)) == {}
    assert found(nn.ReLU(), nn.ReLU(), nn.LayerNorm(4)) == {"activation": "relu", "normalization": "layer"}


def test_the_named_networks():
    assert techniques_of("mlp", (4,), 2) == {"activation": "relu"}
    assert techniques_of("gpt", (8,), 5) == {"activation": "gelu", "normalization": "layer"}


def test_every_element_wise_activation_of_torch_is_named_or_not_in_the_catalogue():
    kinds = [k for k in vars(nn).values() if isinstance(k, type) and issubclass(k, nn.Module)]
    plain = {k for k in kinds if k.__module__ == nn.ReLU.__module__ and not issubclass(k, NOT_ELEMENTWISE)}
    known = {t.name.replace("-", "") for t in techniques("activation")}
    assert not {k.__name__ for k in plain - set(ACTIVATIONS.values()) if k.__name__.lower() in known}


class Calls(nn.Module):
    def __init__(self, shape, outputs):
        super().__init__()
        self.a = nn.Linear(shape[0], outputs)

    def forward(self, x):
        return functional.gelu(self.a(x))


def test_an_activation_function_that_is_called_counts():
    assert techniques_of(Calls, (4,), 3) == {"activation": "gelu"}
