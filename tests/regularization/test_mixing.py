"""Mixup and CutMix, and the loss of mixtures."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from reference import augmentation as paper
from trainsmith.regularization import CutMix, Mixup, mixed_loss
from trainsmith.regularization.draws import normal_like, symmetric_beta
from uniform_draws import drawing, seeded_draws


def batch(shape=(4, 2, 6, 5)):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, torch.tensor([0, 2, 1, 2])


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0])
def test_the_symmetric_beta_is_scipys(alpha):
    x, alpha = torch.zeros(1, dtype=torch.float64), torch.tensor(alpha, dtype=torch.float64)
    with seeded_draws(0):
        found = [symmetric_beta(alpha, x) for _ in range(3000)]
    assert stats.kstest(torch.stack(found).numpy(), stats.beta(alpha.item(), alpha.item()).cdf).pvalue > 1e-3


def test_the_symmetric_beta_at_0_is_a_coin():
    with seeded_draws(0):
        found = {symmetric_beta(torch.tensor(0.0), torch.zeros(1)).item() for _ in range(50)}
    assert found == {0.0, 1.0}


def test_normal_numbers_are_normal():
    with seeded_draws(0):
        n = normal_like(torch.zeros(20_000, dtype=torch.float64))
    assert stats.kstest(n.numpy(), "norm").pvalue > 1e-3
    with drawing(0.0, 0.3):
        assert torch.equal(normal_like(torch.zeros(2)), torch.zeros(2))


ORDER = [0.4, 0.1, 0.9, 0.2]
"""What argsort makes [1, 3, 0, 2] of."""


@pytest.mark.parametrize("draws", [(0.2, 0.1, 0.3, 0.6), (0.8, 0.45, 0.7, 0.1)], ids=str)
def test_mixup_is_the_papers(draws):
    x, y = batch()
    alpha = torch.tensor(0.7, dtype=torch.float64)
    with drawing(*draws):
        b = symmetric_beta(alpha, x).item()
    with drawing(ORDER, *draws):
        mixed, other, share = Mixup(0.7).double()(x, y)
    assert share.item() == pytest.approx(max(b, 1 - b), rel=1e-6)
    assert other.tolist() == [2, 2, 0, 1]
    for k, j in enumerate([1, 3, 0, 2]):
        np.testing.assert_allclose(mixed[k], max(b, 1 - b) * x[k] + min(b, 1 - b) * x[j], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("u", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("v", [0.3, 0.9])
@pytest.mark.parametrize("draws", [(0.2, 0.1, 0.3, 0.6), (0.8, 0.45, 0.7, 0.1)], ids=str)
def test_cutmix_is_the_papers_with_the_share_of_the_area(u, v, draws):
    x, y = batch()
    with drawing(*draws):
        b = symmetric_beta(torch.tensor(1.0, dtype=torch.float64), x).item()
    with drawing(ORDER, *draws, 0.3, u, v):
        mixed, other, share = CutMix(1.0, rate=0.5)(x, y)
    expected, area = paper.cutmix(x.numpy(), [1, 3, 0, 2], u, v, b)
    np.testing.assert_array_equal(mixed, expected)
    assert share.item() == pytest.approx(area, abs=1e-12)
    assert other.tolist() == [2, 2, 0, 1]
    assert share.item() == pytest.approx((mixed == x).double().mean().item(), abs=1e-12)


def test_cutmix_leaves_a_batch_alone_that_is_not_drawn():
    x, y = batch()
    with drawing(ORDER, 0.2, 0.1, 0.3, 0.6, 0.5, 0.5, 0.5):
        mixed, _, share = CutMix(1.0, rate=0.5)(x, y)
    assert torch.equal(mixed, x)
    assert share == 1


class Mean(nn.Module):
    """Cross-entropy."""

    def forward(self, outputs, targets):
        return functional.cross_entropy(outputs, targets)


def test_the_mixed_loss_is_the_cross_entropy_of_mixed_targets():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, other, share = torch.tensor([0, 2, 1, 2]), torch.tensor([1, 1, 1, 0]), torch.tensor(0.7, dtype=torch.float64)
    targets = share * functional.one_hot(y, 3) + (1 - share) * functional.one_hot(other, 3)
    torch.testing.assert_close(mixed_loss(Mean(), logits, y, other, share), functional.cross_entropy(logits, targets))
    assert torch.equal(mixed_loss(Mean(), logits, y, other, torch.ones(())), Mean()(logits, y))


def test_the_mixed_squared_error_has_the_gradient_of_mixed_targets():
    f = torch.randn(4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    y, other, share = torch.arange(4.0).double(), torch.tensor([3.0, 1, 0, 2]).double(), torch.tensor(0.7).double()
    (ours,) = torch.autograd.grad(mixed_loss(nn.MSELoss(), f, y, other, share), f)
    (expected,) = torch.autograd.grad(functional.mse_loss(f, share * y + (1 - share) * other), f)
    torch.testing.assert_close(ours, expected)


def test_defaults():
    assert Mixup().alpha.item() == pytest.approx(0.2)
    assert (CutMix().alpha.item(), CutMix().rate.item()) == (1.0, 0.5)
