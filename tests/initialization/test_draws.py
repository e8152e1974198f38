"""Initializations against their papers on the same draws, and against torch's in distribution."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from reference import initialization as paper
from trainsmith.errors import InvalidInput
from trainsmith.initialization import (
    constant,
    delta_orthogonal,
    draw_layer,
    fan_in_and_out,
    glorot_normal,
    glorot_uniform,
    he,
    he_fan_out,
    he_uniform,
    he_uniform_fan_out,
    lecun_uniform,
    normal,
    orthogonal,
    torch_default,
    truncated_normal,
    uniform,
    xavier,
    zeros,
)

SHAPES = [(7, 5), (3, 40), (6, 4, 3), (8, 3, 3, 5), (4, 2, 2, 2, 3)]
NORMAL = [(xavier, "xavier"), (he, "he"), (he_fan_out, "he-fan-out"), (glorot_normal, "glorot-normal")]
UNIFORM = [
    (glorot_uniform, "glorot-uniform"),
    (he_uniform, "he-uniform"),
    (he_uniform_fan_out, "he-uniform-fan-out"),
    (lecun_uniform, "lecun-uniform"),
    (torch_default, "torch-default"),
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@each_shape
def test_the_fans_count_connections(shape):
    assert fan_in_and_out(torch.empty(shape)) == paper.connections(shape)


@each_shape
def test_the_fans_are_torchs(shape):
    assert fan_in_and_out(torch.empty(shape)) == nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


def test_the_fans_of_a_grouped_convolution_count_the_inputs_of_its_group():
    assert fan_in_and_out(nn.Conv2d(8, 16, 3, groups=4).weight)[0] == 2 * 9


@each_shape
@pytest.mark.parametrize(("fill", "name"), NORMAL)
def test_normal_weights_are_the_draw_times_the_papers_spread(fill, name, shape):
    expected = paper.from_normal(torch.randn(shape, generator=seeded()), paper.spread(name, shape))
    np.testing.assert_allclose(fill(torch.empty(shape), generator=seeded()), expected, rtol=1e-6)


@each_shape
@pytest.mark.parametrize(("fill", "name"), UNIFORM)
def test_uniform_weights_are_the_draw_in_the_papers_bounds(fill, name, shape):
    expected = paper.from_uniform(torch.rand(shape, generator=seeded()), paper.spread(name, shape))
    np.testing.assert_allclose(fill(torch.empty(shape), generator=seeded()), expected, rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("std", [0.01, 0.5, 0.0])
def test_normal_has_the_spread_that_is_asked_for_whatever_the_shape(std):
    expected = paper.from_normal(torch.randn(9, 4, generator=seeded()), std)
    np.testing.assert_allclose(normal(torch.empty(9, 4), std, generator=seeded()), expected, rtol=1e-6)
    assert normal(torch.empty(300, 300), generator=seeded()).std().item() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    "layer", [nn.Conv1d(6, 12, 3, groups=3), nn.Conv2d(40, 80, 3, groups=40)], ids=["three", "each"]
)
@pytest.mark.parametrize("fill", [he, he_fan_out, glorot_normal, glorot_uniform, he_uniform_fan_out, orthogonal])
def test_a_grouped_convolution_is_drawn_as_the_convolutions_side_by_side_that_it_is(fill, layer):
    """An input of a group has no way to the outputs of another, which a fan-out over all outputs would count."""
    layer = copy.deepcopy(layer)
    draw_layer(layer, fill, seeded())
    side, generator = layer.groups, seeded()
    kinds = {3: nn.Conv1d, 4: nn.Conv2d}
    for part in layer.weight.detach().chunk(side):
        kind = kinds[layer.weight.ndim]
        own = kind(layer.in_channels // side, layer.out_channels // side, 3)
        assert own.weight.shape == part.shape
        assert torch.equal(fill(own.weight, generator=generator).detach(), part)
    assert not layer.bias.any()


def test_constants():
    assert torch.equal(zeros(torch.ones(2, 3)), torch.zeros(2, 3))
    assert torch.equal(constant(torch.ones(2, 3), -0.5), torch.full((2, 3), -0.5))
    assert torch.equal(constant(torch.ones(2, 3)), torch.full((2, 3), 0.01))


@pytest.mark.parametrize(
    ("fill", "torchs"),
    [
        (he, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
        (glorot_normal, nn.init.xavier_normal_),
        (glorot_uniform, nn.init.xavier_uniform_),
        (xavier, lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear")),
        (normal, lambda w: nn.init.normal_(w, std=0.01)),
        (he_uniform, nn.init.kaiming_uniform_),
        (he_uniform_fan_out, lambda w: nn.init.kaiming_uniform_(w, mode="fan_out")),
        (he_fan_out, lambda w: nn.init.kaiming_normal_(w, mode="fan_out")),
        (lecun_uniform, lambda w: nn.init.kaiming_uniform_(w, nonlinearity="linear")),
        (torch_default, lambda w: nn.init.kaiming_uniform_(w, a=5**0.5)),
        (uniform, lambda w: nn.init.uniform_(w, -0.05, 0.05)),
        (truncated_normal, lambda w: nn.init.trunc_normal_(w, std=0.02 / 0.87963, a=-0.04 / 0.87963, b=0.04 / 0.87963)),
    ],
)
def test_mean_spread_and_tail_are_torchs(fill, torchs):
    torch.manual_seed(1)
    ours, theirs = fill(torch.empty(150, 40, 3, 3), generator=seeded()), torchs(torch.empty(150, 40, 3, 3))
    assert abs(ours.mean() / ours.std()) < 0.02
    for q in (0.5, 0.75, 0.99):
        assert ours.abs().quantile(q).item() == pytest.approx(theirs.abs().quantile(q).item(), rel=0.03)


def test_glorot_uniform_stays_inside_its_bound_and_fills_it():
    w = glorot_uniform(torch.empty(200, 100), generator=seeded())
    bound = (6 / 300) ** 0.5
    assert 0.999 * bound < w.max() <= bound
    assert -bound <= w.min() < -0.999 * bound


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (6, 2, 3), (2, 3, 2, 2)], ids=str)
def test_orthogonal_is_the_draw_made_orthonormal_column_by_column(shape):
    rows, columns = shape[0], int(np.prod(shape[1:]))
    draw = torch.randn(max(rows, columns), min(rows, columns), generator=seeded(), dtype=torch.float64)
    expected = paper.gram_schmidt(draw)
    expected = (expected if rows >= columns else expected.T).reshape(shape)
    ours = orthogonal(torch.empty(shape, dtype=torch.float64), gain=1.5, generator=seeded())
    np.testing.assert_allclose(ours, 1.5 * expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(20, 20), (10, 30), (30, 10), (8, 2, 3, 3)], ids=str)
def test_all_singular_values_are_the_gain(shape):
    w = orthogonal(torch.empty(shape, dtype=torch.float64), generator=seeded()).flatten(1)
    torch.testing.assert_close(torch.linalg.svdvals(w), torch.full((min(w.shape),), 2**0.5).double(), rtol=1e-6, atol=0)


def test_the_rotation_is_uniformly_distributed():
    draws = seeded()
    traces = [orthogonal(torch.empty(3, 3), gain=1.0, generator=draws).trace().item() for _ in range(1500)]
    # for Haar's measure E tr = 0 and E tr^2 = 1; Householder's signs alone make the mean -1.3
    assert abs(np.mean(traces)) < 0.1
    assert np.mean(np.square(traces)) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("fill", [xavier, he, glorot_normal, glorot_uniform, orthogonal])
def test_a_vector_is_refused(fill):
    with pytest.raises(InvalidInput, match=r"at least two axes \(out, in, \.\.\.\); got shape \(5,\)"):
        fill(torch.empty(5))


@pytest.mark.parametrize("fill", [normal, glorot_uniform, orthogonal, truncated_normal, delta_orthogonal])
def test_the_draw_does_not_depend_on_torchs_default_type(fill):
    expected = fill(torch.empty(4, 6), generator=seeded())
    torch.set_default_dtype(torch.float64)
    try:
        again = fill(torch.empty(4, 6, dtype=torch.float32), generator=seeded())
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(again, expected)


def test_he_keeps_the_second_moment_through_layers_of_relu_and_xavier_halves_it():
    draws = seeded()
    x = torch.randn(200, 1000, generator=draws)
    h, g = x, x
    for _ in range(4):
        h = torch.relu(h @ he(torch.empty(1000, 1000), generator=draws).T)
        g = torch.relu(g @ xavier(torch.empty(1000, 1000), generator=draws).T)
    assert h.square().mean().item() == pytest.approx(1, rel=0.3)
    assert g.square().mean().item() == pytest.approx(1 / 16, rel=0.3)


def test_torchs_default_is_what_its_layers_start_with():
    torch.manual_seed(0)
    for layer in (nn.Linear(500, 300), nn.Conv2d(20, 30, 5)):
        ours = torch_default(torch.empty_like(layer.weight), generator=seeded())
        assert ours.std().item() == pytest.approx(layer.weight.std().item(), rel=0.02)
        assert ours.abs().max().item() == pytest.approx(layer.weight.abs().max().item(), rel=1e-3)


@pytest.mark.parametrize("bound", [0.05, 1.0, 0.0])
def test_uniform_stays_inside_the_bound_that_is_asked_for_and_fills_it(bound):
    w = uniform(torch.empty(300, 300), bound, generator=seeded())
    assert w.abs().max() <= bound
    assert w.abs().max() >= 0.999 * bound
    assert w.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


@pytest.mark.parametrize(("std", "cut"), [(0.02, 2.0), (1.0, 1.0), (0.5, 3.0), (0.3, 0.1)])
def test_truncated_normal_weights_are_quantiles_of_the_cut_distribution(std, cut):
    draw = torch.rand(40, 25, generator=seeded())
    expected = paper.truncated(draw.double(), std, cut)
    ours = truncated_normal(torch.empty(40, 25, dtype=torch.float64), std, cut, generator=seeded())
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("cut", "largest"), [(2.0, 2.2737), (1.0, 1.8534), (3.0, 3.0406)])
def test_truncated_normal_has_exactly_the_spread_and_no_tails(cut, largest):
    w = truncated_normal(torch.empty(1000, 1000), 0.5, cut, generator=seeded())
    assert w.std().item() == pytest.approx(0.5, rel=3e-3)
    assert w.abs().max().item() == pytest.approx(0.5 * largest, rel=2e-3)
    assert truncated_normal(torch.empty(500, 500), generator=seeded()).std().item() == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("shape", [(6, 6, 3), (8, 3, 3, 3), (4, 4, 4, 5), (3, 8, 3, 3), (5, 5)], ids=str)
def test_delta_orthogonal_is_an_orthogonal_matrix_at_the_centre_and_0_elsewhere(shape):
    w = delta_orthogonal(torch.empty(shape, dtype=torch.float64), gain=1.5, generator=seeded())
    centre = w[(slice(None), slice(None), *((k - 1) // 2 for k in shape[2:]))]
    assert torch.equal(centre, orthogonal(torch.empty(shape[:2]).double(), 1.5, generator=seeded()))
    assert w.count_nonzero() == centre.count_nonzero()


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_convolution_that_is_delta_orthogonal_keeps_every_length(kernel):
    layer = nn.Conv2d(6, 10, kernel, padding=kernel // 2, bias=False, padding_mode="circular").double()
    delta_orthogonal(layer.weight, gain=1.0, generator=seeded())
    x = torch.randn(3, 6, 7, 7, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(layer(x).norm(dim=1), x.norm(dim=1))


def test_he_of_fan_out_keeps_the_second_moment_of_gradients_where_widths_change():
    draws = seeded()
    g = torch.randn(500, 300, generator=draws)
    for wide, narrow in ((300, 900), (900, 200), (200, 700)):
        w = he_fan_out(torch.empty(wide, narrow), generator=draws)
        g = (g @ w) * (torch.rand(500, narrow, generator=draws) < 0.5)
    assert g.square().mean().item() == pytest.approx(1, rel=0.2)
