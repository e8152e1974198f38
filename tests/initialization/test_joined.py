"""Recurrent layers, attention and transposed convolutions: each weight in them is drawn as one of its own."""

import copy

import pytest
import torch
from torch import nn

from trainsmith.initialization import (
    LSUV,
    WEIGHT_LAYERS,
    draw_layer,
    draw_layers,
    glorot_normal,
    he,
    normal,
    orthogonal,
    xavier,
)

GATES = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3, nn.RNNCell: 1, nn.LSTMCell: 4, nn.GRUCell: 3}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def in_turn(shapes, fill, seed=0):
    """Weights of these shapes, one after another from one generator."""
    generator = seeded(seed)
    return [fill(torch.empty(shape), generator=generator) for shape in shapes]


@pytest.mark.parametrize(("make", "gates"), GATES.items(), ids=[m.__name__ for m in GATES])
def test_every_gate_of_a_recurrent_layer_is_drawn_by_itself(make, gates):
    layer = make(5, 7)
    draw_layer(layer, orthogonal, seeded())
    first, second = (p for p in layer.parameters() if p.ndim == 2)
    own = [*first.detach().chunk(gates), *second.detach().chunk(gates)]
    for part, wanted in zip(own, in_turn([(7, 5)] * gates + [(7, 7)] * gates, orthogonal), strict=True):
        assert torch.equal(part, wanted)
    assert not any(p.any() for p in layer.parameters() if p.ndim == 1)


def test_all_layers_and_directions_of_an_lstm_with_a_projection_are_drawn():
    layer = nn.LSTM(5, 64, 2, bidirectional=True, proj_size=32)
    for p in layer.parameters():
        nn.init.constant_(p, torch.nan)
    draw_layers(layer, xavier)
    for name, p in layer.named_parameters():
        assert p.isfinite().all()
        if p.ndim == 2:
            assert p.std().item() == pytest.approx(p.shape[1] ** -0.5, rel=0.1), name


@pytest.mark.parametrize("sizes", [{}, {"kdim": 3, "vdim": 5}], ids=["joined", "apart"])
def test_queries_keys_and_values_are_drawn_as_linear_layers_of_their_own(sizes):
    layer = nn.MultiheadAttention(6, 2, **sizes)
    nn.init.ones_(layer.in_proj_bias)
    draw_layer(layer, glorot_normal, seeded())
    own = [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight] if sizes else layer.in_proj_weight.chunk(3)
    shapes = [(6, 6), (6, 3), (6, 5)] if sizes else [(6, 6)] * 3
    for part, wanted in zip(own, in_turn(shapes, glorot_normal), strict=True):
        assert torch.equal(part, wanted)
    assert not layer.in_proj_bias.any()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_transposed_convolution_has_the_fans_of_its_outputs(axes, groups):
    layer = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[axes](8, 6, 3, groups=groups)
    draw_layer(layer, xavier, seeded())
    for part, wanted in zip(
        layer.weight.detach().chunk(groups),
        in_turn([(6 // groups, 8 // groups, *[3] * axes)] * groups, xavier),
        strict=True,
    ):
        assert torch.equal(part.transpose(0, 1), wanted)
    assert not layer.bias.any()


@pytest.mark.parametrize(("wide", "narrow"), [(16, 64), (64, 8)])
def test_he_keeps_the_second_moment_through_transposed_convolutions_whose_widths_change(wide, narrow):
    layer = nn.ConvTranspose2d(wide, narrow, 3)
    draw_layer(layer, he, seeded())
    h = layer(torch.randn(4, wide, 24, 24, generator=seeded(1)))[:, :, 2:-2, 2:-2].relu()
    assert h.square().mean().item() == pytest.approx(1, rel=0.1)


def test_what_is_frozen_or_made_at_each_call_or_no_weight_of_a_sum_stays():
    network = nn.ModuleDict(
        {
            "lstm": nn.LSTM(3, 4),
            "embedding": nn.Embedding(5, 3),
            "attention": nn.MultiheadAttention(4, 2, add_bias_kv=True),
            "normed": nn.utils.parametrizations.weight_norm(nn.ConvTranspose1d(2, 2, 3)),
        }
    )
    network["lstm"].weight_hh_l0.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    assert draw_layers(network, normal) is network
    same = {name for name, t in network.state_dict().items() if torch.equal(t, before[name])}
    assert {n for n in same if "bias" not in n} == {
        "lstm.weight_hh_l0",
        "embedding.weight",
        "normed.parametrizations.weight.original0",
        "normed.parametrizations.weight.original1",
    }
    assert {"attention.bias_k", "attention.bias_v"} <= same


def test_the_draws_of_linear_layers_do_not_hang_on_the_others():
    plain = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    beside = nn.Sequential(nn.LSTM(3, 3), nn.Linear(3, 4), nn.GRUCell(4, 2), nn.Linear(4, 2))
    for network in (plain, beside):
        draw_layers(network, he, seeded)
    of = [[m.weight for m in n if isinstance(m, WEIGHT_LAYERS)] for n in (plain, beside)]
    assert all(torch.equal(a, b) for a, b in zip(*of, strict=True))
    assert not torch.equal(beside[0].weight_ih_l0[0, :2], beside[2].weight_hh[0])


def test_an_initialization_of_a_whole_network_draws_them_too():
    network = nn.Sequential(nn.ConvTranspose1d(3, 3, 3), nn.Flatten(), nn.Linear(15, 4))
    LSUV(0.01)(network, torch.randn(50, 3, 3))
    part = network[0].weight.detach().transpose(0, 1).flatten(1)
    torch.testing.assert_close(part @ part.T, torch.eye(3), rtol=0, atol=1e-5)
