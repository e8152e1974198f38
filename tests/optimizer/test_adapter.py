"""The ordinary torch.optim.Optimizer around a rule."""

import pytest
import torch
from torch import nn

from trainsmith.errors import InvalidInput
from trainsmith.optimizer import SGD, Adam, Momentum
from trainsmith.optimizer.rule import root


def one_weight(value=1.0, gradient=1.0):
    weight = nn.Parameter(torch.tensor([value]))
    weight.grad = torch.tensor([gradient])
    return weight


def test_each_group_has_its_own_learning_rate():
    slow, fast = one_weight(), one_weight()
    SGD([{"params": [slow], "lr": 0.1}, {"params": [fast]}], lr=0.5).step()
    assert slow.item() == pytest.approx(0.9)
    assert fast.item() == 0.5


def test_a_parameter_without_a_gradient_stays_and_keeps_no_state():
    used, unused = one_weight(), nn.Parameter(torch.ones(2))
    optimizer = Momentum([used, unused], lr=0.5)
    optimizer.step()
    assert used.item() == 0.5
    assert torch.equal(unused, torch.ones(2))
    assert unused not in optimizer.state


def test_a_parameter_that_joins_late_starts_its_own_bias_correction():
    early, late = one_weight(), one_weight()
    late.grad = None
    optimizer = Adam([early, late], lr=0.125, eps=0.0)
    for _ in range(3):
        optimizer.step()
    late.grad = torch.tensor([7.0])
    optimizer.step()
    assert late.item() == pytest.approx(1 - 0.125, rel=1e-5)


def test_a_scheduler_changes_the_learning_rate():
    weight = one_weight(2.0)
    optimizer = SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.25)
    optimizer.step()
    scheduler.step()
    optimizer.step()
    assert weight.item() == 2 - 1 - 0.25


def test_a_closure_is_called_with_gradients_on_and_its_loss_is_returned():
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = SGD([weight], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9
    assert weight.item() == 3 - 0.25 * 6


def test_a_step_records_nothing_for_autograd():
    weight = one_weight()
    Adam([weight]).step()
    assert weight.grad_fn is None
    assert weight.requires_grad


def test_a_refused_learning_rate_is_named():
    with pytest.raises(InvalidInput, match=r"sgd: lr must be a number in \(0, inf\); got -0.1."):
        SGD([one_weight()], lr=-0.1)


def test_the_root_is_the_square_root_except_where_it_would_be_slow():
    v = torch.tensor([4.0, 2.0, 1e-30, torch.inf, torch.nan, 0.0, 1e-42])
    tiny = torch.finfo(torch.float32).tiny
    expected = torch.tensor([2, 2**0.5, 1e-15, torch.inf, torch.nan, tiny**0.5, tiny**0.5])
    torch.testing.assert_close(root(v), expected, rtol=1e-6, atol=0, equal_nan=True)
    assert torch.equal(v[:2], torch.tensor([4.0, 2.0])), "the moment itself must stay"
