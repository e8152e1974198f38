"""Techniques in torch's encoder layers, which in evaluation may compute without asking their parts."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainsmith.catalogue import find
from trainsmith.initialization import ReZero, call_parts
from trainsmith.network import change

X = torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(0))


def layer(activation=functional.relu, **more):
    torch.manual_seed(1)
    return nn.TransformerEncoderLayer(6, 2, 8, 0.0, activation, batch_first=True, **more)


def evaluated(network, x=X, **more):
    """Without gradients torch computes encoder layers in one operation, where it may."""
    with torch.no_grad():
        return network.eval()(x, **more)


def part_by_part(network, x=X, **more):
    """The same where torch may not."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return evaluated(network, x, **more)
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu, "word": "gelu", "ReLU": nn.ReLU(), "GELU": nn.GELU()}


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation_function_is_replaced_and_is_what_evaluation_asks(activation):
    network = layer(copy.deepcopy(activation))
    done = change(network, "elu", x=X)
    assert (done.skipped, done.unchanged) == ({}, ())
    assert type(network.activation) is find("elu").make
    wanted = layer(functional.elu)
    torch.testing.assert_close(evaluated(network), part_by_part(wanted))


def test_a_decoder_layers_function_is_listed():
    """A module in its place would be lost in copies: nn.TransformerDecoderLayer.__setstate__ puts relu before it."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.decode, self.act = nn.TransformerDecoderLayer(6, 2, 8, 0.0, batch_first=True), nn.ReLU()

        def forward(self, x):
            return self.act(self.decode(x, x))

    network = Both()
    done = change(network, "gelu", x=X)
    assert (done.skipped, done.unchanged) == ({}, ("a call of relu as a function, left as in the network",))
    assert type(network.act) is find("gelu").make
    torch.testing.assert_close(copy.deepcopy(network)(X), network(X))
    network = Both()
    own = network.decode.activation = nn.GELU()
    done = change(network, "elu", "dropout", x=X)
    assert done.unchanged == ("the activation function of a decoder layer, left as it is",)
    assert network.decode.activation is own


@pytest.mark.parametrize(
    "name",
    ["rms", "batch", "normalization/none", "weight-norm", "spectral-norm", "rezero", "stochastic-depth",
     "drop-connect-gaussian", "drop-connect"],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_every_technique_acts_in_evaluation_as_part_by_part(name, first):
    network = layer(norm_first=first)
    done = change(network, name, x=X)
    assert name.rpartition("/")[2] not in done.skipped
    torch.testing.assert_close(evaluated(done.module), part_by_part(done.module), rtol=1e-4, atol=1e-5)


def test_a_whole_encoder_with_padding_is_asked_part_by_part():
    torch.manual_seed(1)
    network = nn.TransformerEncoder(layer(), 2)
    padding = torch.arange(7) >= torch.tensor([[7], [6], [5], [4], [3]])
    assert change(network, "elu", "rms", x=X).skipped == {}
    given = evaluated(network, src_key_padding_mask=padding)
    torch.testing.assert_close(given, part_by_part(network, src_key_padding_mask=padding), rtol=1e-4, atol=1e-5)


def test_rezero_alone_leaves_an_encoder_layer_that_can_be_evaluated():
    network = ReZero()(layer(norm_first=True), X)
    torch.testing.assert_close(evaluated(network), part_by_part(network))


def test_a_layer_that_is_what_it_was_made_as_stays_fast():
    network = nn.TransformerEncoder(layer(functional.gelu), 2)
    call_parts(network)
    assert network.use_nested_tensor
    assert [m.activation_relu_or_gelu for m in network.layers] == [2, 2]
