"""Activation functions with other numbers of outputs than inputs: GLU and its kin, maxout, CReLU."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from reference import activation as paper
from trainsmith.activation import GEGLU, GLU, CReLU, Maxout, SwiGLU
from trainsmith.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("both_ways")

SHAPES = [(5, 6), (3, 6, 4), (2, 6, 3, 2)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
GATED = [(GLU, paper.glu), (SwiGLU, paper.swiglu), (GEGLU, paper.geglu)]
each_gated = pytest.mark.parametrize(("make", "function"), GATED, ids=lambda m: m.__name__)


def numbers(shape, seed=0):
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each_shape
@each_gated
def test_each_output_joins_a_feature_of_the_first_half_with_its_partner_in_the_second(make, function, shape):
    x = numbers(shape)
    expected = np.vectorize(function)(x[:, :3], x[:, 3:])
    np.testing.assert_allclose(make()(x), expected, rtol=1e-9, atol=1e-14)
    swapped = make(axis=-1)(x.transpose(1, -1))
    np.testing.assert_allclose(swapped.transpose(1, -1), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("axis", [1, -1])
def test_glu_is_torchs(axis):
    x = numbers((2, 4, 6))
    torch.testing.assert_close(GLU(axis)(x), functional.glu(x, axis))
    assert repr(GLU(axis).plain()) == repr(nn.GLU(axis))


def test_an_open_gate_lets_pass_and_a_shut_one_nothing():
    a = torch.tensor([[2.0, -3.0]])
    torch.testing.assert_close(GLU()(torch.cat([a, torch.full((1, 2), 100.0)], 1)), a)
    assert not GLU()(torch.cat([a, torch.full((1, 2), -200.0)], 1)).any()
    for make in (SwiGLU, GEGLU):
        torch.testing.assert_close(make()(torch.cat([torch.full((1, 2), 100.0), a], 1)), 100 * a)
        assert not make()(torch.cat([torch.full((1, 2), -200.0), a], 1)).any()


@each_shape
@pytest.mark.parametrize("pieces", [2, 3, 6])
def test_maxout_is_the_largest_of_its_pieces(shape, pieces):
    x = numbers(shape)
    width = 6 // pieces
    y = Maxout(pieces)(x)
    assert y.shape == (shape[0], width, *shape[2:])
    for place in np.ndindex(*y.shape):
        n, j, *rest = place
        assert y[place] == max(x[(n, piece * width + j, *rest)] for piece in range(pieces))


def test_maxout_of_x_and_0_is_relu_and_of_x_and_minus_x_its_size():
    x = numbers((4, 3))
    assert torch.equal(Maxout()(torch.cat([x, torch.zeros_like(x)], 1)), torch.relu(x))
    assert torch.equal(Maxout()(torch.cat([x, -x], 1)), x.abs())


@pytest.mark.parametrize(("pieces", "gain"), [(2, 1.0), (3, 0.8854), (4, 0.8029), (5, 0.7454)])
def test_the_gain_of_maxout_is_that_of_the_largest_of_normal_numbers(pieces, gain):
    x = torch.randn(200_000, pieces, generator=torch.Generator().manual_seed(1))
    second = Maxout(pieces)(x).square().mean()
    assert second.item() ** -0.5 == pytest.approx(gain, rel=0.01)


@each_shape
def test_crelu_keeps_both_signs(shape):
    x = numbers(shape)
    y = CReLU()(x)
    positive, negative = y.chunk(2, 1)
    assert y.shape[1] == 12
    assert torch.equal(positive, torch.relu(x))
    assert torch.equal(positive - negative, x), "nothing is lost"
    assert torch.equal(positive + negative, x.abs())


@pytest.mark.parametrize("module", [GLU(), SwiGLU(), GEGLU(), Maxout(4)])
def test_features_that_cannot_be_cut_into_equal_parts_are_refused(module):
    with pytest.raises(InvalidInput) as error:
        module(torch.ones(2, 7))
    count = round(module.widening)
    name = type(module).__name__.lower()
    assert str(error.value) == (
        f"{name} joins {count} inputs into one output along axis 1, whose size must be a multiple of {count}; "
        f"got shape (2, 7). Make the layer before it {count} times as wide."
    )
    with pytest.raises(InvalidInput, match="along axis 1"):
        module(torch.ones(8))


@pytest.mark.parametrize("pieces", [1, 0, True])
def test_maxout_needs_at_least_two_pieces(pieces):
    with pytest.raises(InvalidInput, match=r"maxout: pieces must be a whole number of at least 2; got "):
        Maxout(pieces)


def test_the_number_of_inputs_for_each_output_is_stated():
    assert [m().widening for m in (GLU, SwiGLU, GEGLU, Maxout, CReLU)] == [2, 2, 2, 2, 0.5]
    assert Maxout(5).widening == 5


@each_gated
def test_the_gradient_is_that_of_differences(make, function):
    assert torch.autograd.gradcheck(make(), numbers((2, 4)).requires_grad_())
