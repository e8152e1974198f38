"""Schedule-Free against its paper, and the weights it evaluates against those it trains."""

import copy
import itertools

import numpy as np
import pytest
import torch

from optimizer_path import START, STEPS, bowl, path_of
from reference import optimizer_adaptive as paper
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import SGD, Adam, ScheduleFreeAdamW, ScheduleFreeSGD

CASES = [
    (ScheduleFreeSGD, {"momentum": 0.8, "warmup": 1.0, "weight_decay": 1e-3}, {}),
    (ScheduleFreeSGD, {"momentum": 0.0, "warmup": 6.0, "weight_decay": 0.0}, {}),
    (ScheduleFreeSGD, {"momentum": 0.95, "warmup": 4.5, "weight_decay": 0.0}, {}),
    (ScheduleFreeSGD, {"momentum": 0.9, "warmup": 500.0, "weight_decay": 0.0}, {}),
    (ScheduleFreeAdamW, {"momentum": 0.8, "warmup": 1.0, "weight_decay": 1e-3}, {"beta2": 0.9, "eps": 1e-3}),
    (ScheduleFreeAdamW, {"momentum": 0.9, "warmup": 7.0, "weight_decay": 0.0}, {"beta2": 0.99, "eps": 1e-3}),
]
each_case = pytest.mark.parametrize(("rule", "shared", "own"), CASES)


def ours_of(rule, shared, own):
    """The numbers as the rule calls them."""
    names = dict(shared)
    if rule is ScheduleFreeAdamW:
        names["beta1"] = names.pop("momentum")
    return {**names, **own}


@each_case
@pytest.mark.parametrize("lr", [1e-12, 0.01, 0.7])
def test_the_trained_and_the_evaluated_paths_are_the_papers(rule, shared, own, lr):
    numbers = ours_of(rule, shared, own)
    y, x = paper.schedule_free(START, bowl, STEPS, lr, **shared, **own)
    np.testing.assert_allclose(path_of(rule, bowl, lr=lr, **numbers), y, rtol=1e-9)
    for steps in (1, 2, STEPS):
        np.testing.assert_allclose(evaluated_after(rule, steps, lr=lr, **numbers), x[steps], rtol=1e-9)


def trained(rule, steps, **numbers):
    theta = torch.nn.Parameter(torch.tensor(START))
    optimizer = rule([theta], **numbers)
    for _ in range(steps):
        theta.grad = torch.from_numpy(bowl(theta.detach().numpy()))
        optimizer.step()
    return theta, optimizer


def evaluated_after(rule, steps, **numbers):
    theta, optimizer = trained(rule, steps, **numbers)
    optimizer.eval()
    return theta.detach().numpy()


def test_without_momentum_it_is_sgd_with_a_plain_mean_of_its_iterates():
    path = path_of(SGD, bowl, lr=0.1)
    np.testing.assert_allclose(path_of(ScheduleFreeSGD, bowl, lr=0.1, momentum=0.0), path, rtol=1e-12)
    mean = evaluated_after(ScheduleFreeSGD, STEPS, lr=0.1, momentum=0.0)
    np.testing.assert_allclose(mean, path[1:].mean(0), rtol=1e-12)


def test_the_first_step_is_the_plain_rules():
    for rule, plain in ((ScheduleFreeSGD, SGD), (ScheduleFreeAdamW, Adam)):
        np.testing.assert_allclose(path_of(rule, bowl, 1, lr=0.1), path_of(plain, bowl, 1, lr=0.1), rtol=1e-12)


def test_each_member_of_a_column_has_its_own_warm_up_and_average():
    warmups = [1.0, 3.0, 4.5, 50.0]
    column = torch.tensor(warmups, dtype=torch.float64)[:, None]
    for t in (1, 2, 3, 4, 5, 49, 50, 51, 400):
        together = ScheduleFreeSGD.coefficients(t, lr=0.3, momentum=0.9, warmup=column, weight_decay=0.0)
        for k, warmup in enumerate(warmups):
            gammas = np.minimum(1, np.arange(1, t + 1) / warmup)
            c = gammas[-1] ** 2 / (gammas**2).sum()
            assert together["left"][k].item() == pytest.approx(1 - c, rel=1e-12, abs=1e-15)
            assert together["of_z"][k].item() == pytest.approx(0.3 * gammas[-1] * (1 - c), rel=1e-12, abs=1e-15)
            assert together["of_y"][k].item() == pytest.approx(0.3 * gammas[-1] * (0.1 + 0.9 * c), rel=1e-12)


@pytest.mark.parametrize("rule", [ScheduleFreeSGD, ScheduleFreeAdamW])
def test_evaluating_in_between_changes_nothing_however_often_it_is_called(rule):
    whole = path_of(rule, bowl, lr=0.1)
    theta = torch.nn.Parameter(torch.tensor(START))
    optimizer = rule([theta], lr=0.1)
    optimizer.eval()
    optimizer.train()
    for expected in whole[1:]:
        theta.grad = torch.from_numpy(bowl(theta.detach().numpy()))
        optimizer.step()
        with optimizer.evaluating():
            optimizer.eval()
            inside = theta.detach().clone()
            optimizer.eval()
            assert torch.equal(theta, inside)
        optimizer.train()
        assert np.array_equal(theta.detach().numpy(), expected)


@pytest.mark.parametrize("rule", [ScheduleFreeSGD, ScheduleFreeAdamW])
def test_a_training_stored_while_evaluating_goes_on_bit_for_bit(rule):
    whole = path_of(rule, bowl, lr=0.1)
    theta, optimizer = trained(rule, 7, lr=0.1)
    optimizer.eval()
    state = copy.deepcopy(optimizer.state_dict())
    again = torch.nn.Parameter(theta.detach().clone())
    assert not np.array_equal(again.detach().numpy(), whole[7])
    other = rule([again])
    other.load_state_dict(state)
    other.train()
    for _ in range(STEPS - 7):
        again.grad = torch.from_numpy(bowl(again.detach().numpy()))
        other.step()
    assert np.array_equal(again.detach().numpy(), whole[-1])


def test_a_step_while_evaluating_is_refused():
    _, optimizer = trained(ScheduleFreeSGD, 2, lr=0.1)
    optimizer.eval()
    with pytest.raises(InvalidInput, match=r"weights for evaluation: call train\(\) before step\(\)"):
        optimizer.step()
    optimizer.train()
    optimizer.step()


def test_a_rule_without_other_weights_evaluates_what_it_trains():
    theta, optimizer = trained(Adam, 3)
    before = theta.detach().clone()
    with optimizer.evaluating():
        assert torch.equal(theta, before)
    assert torch.equal(theta, before)


def test_large_and_small_parameters_are_both_swapped():
    parameters = [torch.nn.Parameter(torch.ones(s)) for s in (3, 5, 20_000)]
    optimizer = ScheduleFreeSGD(parameters, lr=0.5, momentum=0.5)
    for _ in range(3):
        for p in parameters:
            p.grad = torch.ones_like(p)
        optimizer.step()
    optimizer.eval()
    # z = -0.5 after three steps from 1, and x is the mean of 0.5, 0 and -0.5
    for p in itertools.chain(parameters):
        torch.testing.assert_close(p.detach(), torch.zeros_like(p), rtol=0, atol=1e-6)
