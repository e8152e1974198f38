"""Dropout."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import regularization as paper
from trainsmith.errors import InvalidInput
from trainsmith.regularization import Dropout, NoRegularization


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.875])
def test_units_are_dropped_and_scaled_as_the_paper_says(rate):
    x = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(4)
    ours = Dropout(rate)(x)
    torch.manual_seed(4)
    np.testing.assert_allclose(ours, paper.dropout(x.double(), torch.rand_like(x), rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_share_of_dropped_units_is_the_rate_and_the_mean_is_kept(rate):
    torch.manual_seed(0)
    y = Dropout(rate)(torch.ones(100_000))
    assert (y == 0).double().mean().item() == pytest.approx(rate, abs=0.01)
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    assert len(y.unique()) == 2


def test_the_default_rate_is_one_half():
    torch.manual_seed(0)
    assert set(Dropout()(torch.ones(1000)).tolist()) == {0.0, 2.0}


def test_rate_0_is_the_identity_in_training():
    x = torch.tensor([-0.0, 1.5, -1e30, torch.inf, 3e-45])
    assert torch.equal(Dropout(0.0)(x), x)


def test_in_evaluation_it_is_the_identity():
    x = torch.randn(3)
    assert Dropout(0.9).eval()(x) is x


def test_each_example_and_each_call_has_its_own_mask():
    torch.manual_seed(0)
    layer = Dropout(0.5)
    first, second = layer(torch.ones(2, 64)), layer(torch.ones(2, 64))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


def test_the_gradient_passes_through_what_is_kept_with_the_same_scale():
    x = torch.ones(1000, requires_grad=True)
    torch.manual_seed(0)
    y = Dropout(0.75)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y)


def test_a_rate_of_1_is_refused():
    with pytest.raises(InvalidInput, match=r"dropout: rate must be a number in \[0, 1\); got 1.0."):
        Dropout(1.0)


def test_the_plain_layer_is_torchs():
    plain = Dropout(0.3).eval().plain()
    assert repr(plain) == repr(nn.Dropout(0.3))
    assert not plain.training


def test_no_regularization_gives_back_what_it_gets():
    x = torch.randn(3)
    assert NoRegularization()(x) is x
