"""Activation functions against numbers worked out one at a time, against torch, and against what must hold."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from reference import activation as paper
from trainsmith.activation import (
    ELU,
    GELU,
    SELU,
    GELUTanh,
    HardSigmoid,
    Identity,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from trainsmith.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("both_ways")

GRID = torch.cat(
    [torch.linspace(-30, 30, 241, dtype=torch.float64), torch.tensor([-700.0, -1e-9, 1e-9, 700.0]).double()]
)
ROUNDING = 1e-14
"""What is left of the values of GELU and Mish far below 0, where 1 cancels against almost 1."""
FUNCTIONS = [
    (Sigmoid, {}, paper.sigmoid, paper.sigmoid_slope, nn.Sigmoid()),
    (Tanh, {}, paper.tanh, paper.tanh_slope, nn.Tanh()),
    (ReLU, {}, paper.relu, paper.relu_slope, nn.ReLU()),
    (LeakyReLU, {"slope": 0.125}, paper.leaky_relu, paper.leaky_relu_slope, nn.LeakyReLU(0.125)),
    (ELU, {"alpha": 1.0}, paper.elu, paper.elu_slope, nn.ELU()),
    (ELU, {"alpha": 0.75}, paper.elu, paper.elu_slope, nn.ELU(0.75)),
    (Identity, {}, lambda x: x, lambda x: 1.0, nn.Identity()),
    (HardSigmoid, {"slope": 1 / 6}, paper.hard_sigmoid, paper.hard_sigmoid_slope, nn.Hardsigmoid()),
    (SELU, {}, paper.selu, paper.selu_slope, nn.SELU()),
    (GELU, {}, paper.gelu, paper.gelu_slope, nn.GELU()),
    (GELUTanh, {}, paper.gelu_tanh, paper.gelu_tanh_slope, nn.GELU(approximate="tanh")),
    (SiLU, {}, paper.silu, paper.silu_slope, nn.SiLU()),
    (Mish, {}, paper.mish, paper.mish_slope, nn.Mish()),
    (Softplus, {}, paper.softplus, paper.softplus_slope, nn.Softplus(1.0, 20.0)),
    (Softplus, {"beta": 0.5}, paper.softplus, paper.softplus_slope, nn.Softplus(0.5, 20.0)),
]
each_function = pytest.mark.parametrize(
    ("make", "numbers", "value", "slope", "torchs"), FUNCTIONS, ids=[f"{f[0].__name__}{f[1] or ''}" for f in FUNCTIONS]
)


def value_and_slope(function, x):
    x = x.clone().requires_grad_()
    y = function(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), slope


@each_function
def test_value_and_slope_are_the_papers(make, numbers, value, slope, torchs):
    y, dy = value_and_slope(make(**numbers), GRID)
    np.testing.assert_allclose(y, paper.on(value, GRID, **numbers), rtol=1e-7, atol=ROUNDING)
    np.testing.assert_allclose(dy, paper.on(slope, GRID, **numbers), rtol=1e-7, atol=ROUNDING)


@each_function
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_slope_are_torchs_also_at_zero(make, numbers, value, slope, torchs, dtype):
    x = GRID.to(dtype)
    ours, theirs = value_and_slope(make(**numbers), x), value_and_slope(torchs, x)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])


@each_function
def test_autograd_agrees_with_differences(make, numbers, value, slope, torchs):
    x = torch.tensor([-2.9, -0.4, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(make(**numbers).double(), x)


@each_function
def test_far_out_neither_value_nor_slope_overflows(make, numbers, value, slope, torchs):
    far = 1e12 if make is GELUTanh else 1e30  # the cube of 1e30 is beyond single precision
    y, dy = value_and_slope(make(**numbers), torch.tensor([-far, -1e4, -200.0, 200.0, 1e4, far]))
    assert y.isfinite().all()
    assert dy.isfinite().all()


@each_function
def test_the_plain_module_is_torchs_with_the_same_numbers(make, numbers, value, slope, torchs):
    if make is HardSigmoid:
        pytest.skip("its slope is a number, torch's is 1/6")
    assert repr(make(**numbers).plain()) == repr(torchs)


def test_leaky_relu_without_slope_is_relu_also_in_its_gradient():
    leaky, relu = value_and_slope(LeakyReLU(0.0), GRID), value_and_slope(ReLU(), GRID)
    torch.testing.assert_close(leaky[0], relu[0], rtol=0, atol=0)
    torch.testing.assert_close(leaky[1], relu[1], rtol=0, atol=0)


def test_leaky_relu_with_slope_one_is_the_identity():
    torch.testing.assert_close(LeakyReLU(1.0)(GRID), GRID, rtol=0, atol=0)


def test_elu_without_alpha_is_relu():
    torch.testing.assert_close(ELU(0.0)(GRID), ReLU()(GRID), rtol=0, atol=0)


def test_elu_levels_off_at_minus_alpha():
    assert ELU(0.5)(torch.tensor([-100.0])).item() == -0.5


def test_elu_keeps_the_digits_of_small_numbers():
    x = torch.tensor([-1e-6])
    torch.testing.assert_close(ELU()(x), x, rtol=1e-5, atol=0)


def test_the_sigmoid_is_a_shifted_tanh():
    torch.testing.assert_close(Sigmoid()(GRID), (Tanh()(GRID / 2) + 1) / 2)


def test_the_defaults_are_those_of_the_papers():
    assert LeakyReLU()(torch.tensor([-1.0])).item() == pytest.approx(-0.01)
    assert ELU()(torch.tensor([-50.0])).item() == pytest.approx(-1)
    assert Softplus()(torch.zeros(1)).item() == pytest.approx(np.log(2))
    assert SiLU()(torch.ones(1)).item() == pytest.approx(1 / (1 + np.exp(-1)))
    assert HardSigmoid()(torch.ones(1)).item() == pytest.approx(2 / 3)
    assert PReLU()(torch.tensor([-1.0])).item() == -0.25


def test_no_activation_function_is_the_input_itself():
    assert Identity()(GRID) is GRID


@pytest.mark.parametrize("slope", [0.2, 0.5])
def test_the_ramp_of_the_hard_sigmoid_has_the_slope_that_is_asked_for(slope):
    y, dy = value_and_slope(HardSigmoid(slope), GRID + 1e-3)
    np.testing.assert_allclose(y, paper.on(paper.hard_sigmoid, GRID + 1e-3, slope=slope), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(dy, paper.on(paper.hard_sigmoid_slope, GRID + 1e-3, slope=slope), rtol=1e-6)


@pytest.mark.parametrize("beta", [0.25, 4.0, -1.0])
def test_silu_with_a_beta_is_swish(beta):
    y, dy = value_and_slope(SiLU(beta).double(), GRID)
    np.testing.assert_allclose(y, paper.on(paper.silu, GRID, beta=beta), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(dy, paper.on(paper.silu_slope, GRID, beta=beta), rtol=1e-6, atol=1e-9)


def test_silu_with_a_large_beta_is_relu_and_with_a_small_one_half_the_input():
    torch.testing.assert_close(SiLU(1e4)(GRID), ReLU()(GRID), rtol=0, atol=1e-4)
    torch.testing.assert_close(SiLU(1e-6)(GRID), GRID / 2, rtol=1e-3, atol=0)


def test_softplus_with_a_large_beta_is_relu():
    torch.testing.assert_close(Softplus(1e6)(GRID), ReLU()(GRID), rtol=0, atol=1e-6)


def test_softplus_bends_as_far_in_a_population_as_alone():
    x, beta = torch.linspace(15, 45, 31, dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)
    layer = Softplus().double()
    (together,) = vmap(lambda b: functional_call(layer, {"beta": b}, (x,)))(beta)
    assert torch.equal(together, layer(x))
    assert (layer(x)[x < 30] > x[x < 30]).all()


def test_softplus_minus_its_mirror_is_the_identity():
    torch.testing.assert_close(Softplus(0.5)(GRID) - Softplus(0.5)(-GRID), GRID)


def test_mish_is_x_times_the_tanh_of_softplus():
    torch.testing.assert_close(Mish()(GRID), GRID * Tanh()(Softplus()(GRID)))


@pytest.mark.parametrize("make", [GELU, GELUTanh, SiLU, Mish])
def test_far_to_the_right_it_is_the_identity_and_far_to_the_left_0(make):
    x = torch.tensor([-50.0, 50.0], dtype=torch.float64)
    torch.testing.assert_close(make()(x), torch.tensor([0.0, 50.0]).double(), rtol=1e-12, atol=1e-12)


def test_gelu_and_its_approximation_differ_by_half_a_thousandth_at_most():
    x = torch.linspace(-6, 6, 100_001, dtype=torch.float64)
    assert 4e-4 < (GELU()(x) - GELUTanh()(x)).abs().max() < 5e-4


def test_mean_0_and_variance_1_are_a_fixed_point_of_selu_that_attracts():
    z = torch.linspace(-12, 12, 2_000_000, dtype=torch.float64)
    weights = torch.exp(-z.square() / 2)
    weights = weights / weights.sum()

    def after(mean, variance):
        y = SELU()(mean + variance**0.5 * z)
        first = (weights * y).sum()
        return first, (weights * (y - first).square()).sum()

    mean, variance = after(0.0, 1.0)
    assert abs(mean) < 1e-9
    assert variance == pytest.approx(1, abs=1e-9)
    mean, variance = after(0.0, 1.5)
    assert abs(variance - 1) < 0.5


def test_prelu_with_a_slope_is_leaky_relu_and_torchs_prelu_and_the_slope_has_its_gradient():
    ours, leaky = value_and_slope(PReLU(start=0.125), GRID), value_and_slope(LeakyReLU(0.125), GRID)
    torch.testing.assert_close(ours[0], leaky[0], rtol=0, atol=0)
    torch.testing.assert_close(ours[1], leaky[1], rtol=0, atol=0)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    for channels in (1, 3):
        layer, torchs = PReLU(channels, 0.5).double(), nn.PReLU(channels, 0.5).double()
        outputs = layer(x), torchs(x)
        gradients = [
            torch.autograd.grad((y * x.cos()).sum(), p)[0]
            for y, p in zip(outputs, (layer.slope, torchs.weight), strict=True)
        ]
        torch.testing.assert_close(*outputs)
        torch.testing.assert_close(*gradients)
        torch.testing.assert_close(layer.plain()(x), outputs[0])


def test_prelu_refuses_inputs_with_other_channels_than_slopes():
    with pytest.raises(InvalidInput, match=r"prelu has 3 slopes, one a channel; got inputs \(2, 4\)"):
        PReLU(3)(torch.ones(2, 4))


def test_the_slope_of_prelu_is_learned_and_not_decayed():
    (slope,) = PReLU().parameters()
    assert slope.requires_grad
    assert slope.ndim == 1, "penalties are for tensors with two axes or more"
