"""The L2 penalty and label smoothing."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from reference import regularization as paper
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import SGD, Adam
from trainsmith.regularization import L2, ConfidencePenalty, LabelSmoothing


def weights():
    draws = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draws, dtype=torch.float64) for shape in ((3, 4), (2, 3, 2, 2), (1, 1))]


@pytest.mark.parametrize("strength", [0.0, 2.0**-13, 3.0])
def test_the_penalty_is_half_the_strength_times_the_sum_of_squares(strength):
    assert L2(strength)(weights()).item() == pytest.approx(paper.l2(weights(), strength), rel=1e-12)


def test_the_gradient_of_the_penalty_is_strength_times_weight():
    tensors = [w.requires_grad_() for w in weights()]
    for w, gradient in zip(tensors, torch.autograd.grad(L2(0.25)(tensors), tensors), strict=True):
        torch.testing.assert_close(gradient, 0.25 * w.detach())
    assert torch.autograd.gradcheck(lambda *w: L2(0.25)(w), tensors)


def test_the_default_strength():
    assert L2()([torch.ones(2, 1)]).item() == pytest.approx(1e-4)


def trained_with_penalty(make, torch_weight_decay=None, strength=0.25, lr=0.05):
    """Where ten steps lead on a fixed linear problem; by torch's weight_decay if that is given."""
    w = torch.nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3))
    optimizer = make([w], lr=lr) if torch_weight_decay is None else make([w], lr=lr, weight_decay=torch_weight_decay)
    for _ in range(10):
        optimizer.zero_grad()
        loss = (w @ torch.tensor([1.0, 2.0, 3.0]).double() - 1).square().sum()
        (loss if torch_weight_decay is not None else loss + L2(strength)([w])).backward()
        optimizer.step()
    return w.detach()


def test_with_plain_gradient_descent_the_penalty_is_torchs_weight_decay_and_decoupled_decay():
    ours = trained_with_penalty(SGD)
    torch.testing.assert_close(ours, trained_with_penalty(torch.optim.SGD, 0.25))
    w = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    x = torch.tensor([1.0, 2.0, 3.0]).double()
    for _ in range(10):
        w = w * (1 - 0.05 * 0.25) - 0.05 * 2 * (w @ x - 1)[:, None] * x
    torch.testing.assert_close(ours, w)


def test_with_adam_the_penalty_is_torchs_coupled_decay_and_not_decoupled_decay():
    ours = trained_with_penalty(Adam)
    torch.testing.assert_close(ours, trained_with_penalty(torch.optim.Adam, 0.25))
    assert not torch.allclose(ours, trained_with_penalty(torch.optim.AdamW, 0.25), rtol=1e-3)


def logits_and_targets():
    logits = 3 * torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return logits, torch.tensor([0, 4, 2, 2, 1, 0, 3])


@pytest.mark.parametrize("epsilon", [0.0, 0.125, 0.75])
def test_label_smoothing_is_the_papers(epsilon):
    logits, targets = logits_and_targets()
    expected = paper.label_smoothing(logits.numpy(), targets.tolist(), epsilon)
    assert LabelSmoothing(epsilon)(logits, targets).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.125, 0.75])
def test_label_smoothing_is_torchs_with_its_gradient(epsilon):
    logits, targets = logits_and_targets()
    logits.requires_grad_()
    ours = LabelSmoothing(epsilon)(logits, targets)
    theirs = functional.cross_entropy(logits, targets, label_smoothing=epsilon)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))
    assert torch.autograd.gradcheck(lambda z: LabelSmoothing(epsilon)(z, targets), logits)


def test_the_default_smoothing():
    logits, targets = logits_and_targets()
    theirs = functional.cross_entropy(logits, targets, label_smoothing=0.1)
    torch.testing.assert_close(LabelSmoothing()(logits, targets), theirs)


def test_the_floor_of_a_smoothed_loss_is_the_entropy_of_the_target():
    epsilon, k = 0.25, 4
    share = np.full(k, epsilon / k)
    share[0] += 1 - epsilon
    loss = LabelSmoothing(epsilon)(torch.from_numpy(np.log(share))[None], torch.tensor([0]))
    assert loss.item() == pytest.approx(-(share * np.log(share)).sum())


def test_confident_logits_cost_a_finite_loss():
    assert LabelSmoothing()(torch.tensor([[1e4, -1e4]]), torch.tensor([1])).isfinite()


@pytest.mark.parametrize("loss", [LabelSmoothing(0.1), ConfidencePenalty(0.1)])
def test_examples_with_several_targets_count_each_of_them_and_other_shapes_are_refused(loss):
    torch.manual_seed(0)
    logits, target = torch.randn(4, 6, 5), torch.randint(5, (4, 6))
    torch.testing.assert_close(loss(logits, target), loss(logits.flatten(0, 1), target.flatten()))
    with pytest.raises(InvalidInput, match=r"must be .*targets, classes"):
        loss(logits.movedim(-1, 1), target)


@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("shape", [(7,), (2, 7)], ids=str)
def test_targets_to_ignore_are_left_out_of_the_mean_as_torch_leaves_them_out(ignored, shape):
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, 5, generator=draws, dtype=torch.float64).requires_grad_()
    target = torch.randint(5, shape, generator=draws)
    target[..., 2:4] = ignored
    by_position = logits.movedim(-1, 1)
    theirs = functional.cross_entropy(by_position, target, label_smoothing=0.2, ignore_index=ignored)
    ours = LabelSmoothing(0.2, ignore_index=ignored)(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))
    kept = target != ignored
    for loss in LabelSmoothing, ConfidencePenalty:
        torch.testing.assert_close(
            loss(0.3, ignore_index=ignored)(logits, target), loss(0.3)(logits[kept], target[kept])
        )


@pytest.mark.parametrize("loss", [LabelSmoothing(0.1), ConfidencePenalty(0.1)])
def test_where_every_target_is_to_be_ignored_the_mean_is_no_number_as_torchs(loss):
    logits, target = torch.zeros(2, 3), torch.full((2,), -100)
    assert functional.cross_entropy(logits, target).isnan()
    assert loss(logits, target).isnan()
