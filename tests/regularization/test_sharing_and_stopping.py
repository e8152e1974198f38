"""Soft weight sharing against scipy; the two ways to go on after early stopping, driven with known losses."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import softmax

from trainsmith.errors import InvalidInput
from trainsmith.regularization import SoftWeightSharing, continue_until, retrain


def test_soft_weight_sharing_is_the_mixtures_log_likelihood():
    sharing = SoftWeightSharing(3, strength=0.7, reach=0.4).double()
    with torch.no_grad():
        sharing.share_logits.copy_(torch.tensor([0.3, -1.0, 0.5]))
        sharing.log_deviations.copy_(torch.tensor([-1.0, -2.0, 0.5]))
    weights = [torch.randn(4, 3, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    w = np.concatenate([t.numpy().ravel() for t in weights])[:, None]
    density = stats.norm.pdf(w, [-0.4, 0.0, 0.4], 1e-3 + np.exp([-1.0, -2.0, 0.5]))
    expected = -0.7 * np.log(density @ softmax([0.3, -1.0, 0.5])).sum()
    assert sharing(weights).item() == pytest.approx(expected, rel=1e-6)


def test_one_fixed_gaussian_is_weight_decay():
    sharing = SoftWeightSharing(1, strength=2.0).double()
    w = torch.randn(7, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(sharing([w]), w)
    torch.testing.assert_close(gradient, 2.0 * w.detach() / sharing.deviations.detach() ** 2)


def test_a_deviation_does_not_shrink_below_the_narrowest():
    sharing = SoftWeightSharing(1, narrowest=0.01)
    with torch.no_grad():
        sharing.log_deviations.fill_(-50.0)
    assert math.isfinite(sharing([torch.zeros(3)]).item())
    assert sharing.deviations.item() == pytest.approx(0.01)


def test_weights_gather_around_the_values_they_had():
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([-0.4, 0.3]).repeat(100)
    w = (truth + 0.05 * torch.randn(200, generator=generator)).requires_grad_()
    start, sharing = w.detach().clone(), SoftWeightSharing(2, strength=1.0)
    optimizer = torch.optim.Adam([w, *sharing.parameters()], lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        (sharing([w]) + 50 * (w - start).square().sum()).backward()
        optimizer.step()
    assert sharing.means.sort().values.tolist() == pytest.approx([-0.4, 0.3], abs=0.03)
    assert (w - truth).abs().max() < 0.05


def test_retraining_restarts_and_takes_as_many_steps():
    done = []
    retrain(lambda: done.append("restart"), lambda: done.append("step"), 3)
    assert done == ["restart", "step", "step", "step"]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.5], (0, True)),
        ([0.9, 0.7, 0.5, 0.1], (2, True)),
        ([0.9] * 5, (4, False)),
        ([0.9, 0.8, 0.7, 0.6, 0.4], (4, True)),
        ([0.9, math.nan, 0.1], (1, False)),
    ],
)
def test_continuing_ends_at_the_target_or_the_limit(losses, expected):
    given, trained = iter(losses), []
    found = continue_until(lambda: trained.append(1), lambda: next(given), target=0.5, rounds=4)
    assert found == expected
    assert len(trained) == expected[0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: retrain(lambda: None, lambda: None, 0), "steps must be a whole number"),
        (lambda: continue_until(lambda: None, lambda: 0.0, math.nan, 3), "target must be a number"),
        (lambda: continue_until(lambda: None, lambda: 0.0, 1.0, 0), "rounds must be"),
        (lambda: SoftWeightSharing(0), "at least 1 component"),
    ],
)
def test_what_makes_no_sense_is_refused(call, told):
    with pytest.raises(InvalidInput, match=told):
        call()
