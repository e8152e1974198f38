"""Activation functions against numbers worked out one at a time, against torch, and against what must hold."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import activation as paper
from trainsmith.activation import ELU, LeakyReLU, ReLU, Sigmoid, Tanh

GRID = torch.cat(
    [torch.linspace(-30, 30, 241, dtype=torch.float64), torch.tensor([-700.0, -1e-9, 1e-9, 700.0]).double()]
)
FUNCTIONS = [
    (Sigmoid, {}, paper.sigmoid, paper.sigmoid_slope, nn.Sigmoid()),
    (Tanh, {}, paper.tanh, paper.tanh_slope, nn.Tanh()),
    (ReLU, {}, paper.relu, paper.relu_slope, nn.ReLU()),
    (LeakyReLU, {"slope": 0.125}, paper.leaky_relu, paper.leaky_relu_slope, nn.LeakyReLU(0.125)),
    (ELU, {"alpha": 1.0}, paper.elu, paper.elu_slope, nn.ELU()),
    (ELU, {"alpha": 0.75}, paper.elu, paper.elu_slope, nn.ELU(0.75)),
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
    np.testing.assert_allclose(y, paper.on(value, GRID, **numbers), rtol=1e-7, atol=1e-15)
    np.testing.assert_allclose(dy, paper.on(slope, GRID, **numbers), rtol=1e-7, atol=1e-15)


@each_function
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_slope_are_torchs_also_at_zero(make, numbers, value, slope, torchs, dtype):
    x = GRID.to(dtype)
    ours, theirs = value_and_slope(make(**numbers), x), value_and_slope(torchs, x)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])


@each_function
def test_autograd_agrees_with_differences(make, numbers, value, slope, torchs):
    x = torch.tensor([-3.0, -0.4, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(make(**numbers).double(), x)


@each_function
def test_far_out_neither_value_nor_slope_overflows(make, numbers, value, slope, torchs):
    y, dy = value_and_slope(make(**numbers), torch.tensor([-1e30, -1e4, -200.0, 200.0, 1e4, 1e30]))
    assert y.isfinite().all()
    assert dy.isfinite().all()


@each_function
def test_the_plain_module_is_torchs_with_the_same_numbers(make, numbers, value, slope, torchs):
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
