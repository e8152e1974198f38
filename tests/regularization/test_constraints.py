"""Weight decay, max-norm and soft threshold: on weights, around torch's optimizers, and inside a population's rule."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from optimizer_path import path_of
from reference import regularization as paper
from trainsmith.catalogue import find
from trainsmith.optimizer import SGD, Adam, Momentum, Muon
from trainsmith.population.members.constrained import constrained
from trainsmith.regularization import L2, MaxNorm, SoftThreshold, WeightDecay

SHAPES = [(3, 4), (5, 3, 2, 2), (1, 1)]


def weight(shape=(3, 4), dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("limit", [0.5, 1.75, 100.0])
def test_max_norm_is_the_papers(shape, limit):
    w = weight(shape)
    MaxNorm(limit)([w])
    np.testing.assert_allclose(w, paper.max_norm(weight(shape), limit), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_max_norm_leaves_smaller_units_bit_for_bit(dtype):
    w = torch.cat([weight(dtype=dtype) * 10, weight(dtype=dtype) * 1e-3, torch.zeros(1, 4, dtype=dtype)])
    before = w.clone()
    MaxNorm(3.0)([w])
    assert torch.equal(w[3:], before[3:])
    torch.testing.assert_close(w[:3].norm(dim=1), torch.full((3,), 3.0, dtype=dtype))


def test_max_norm_comes_near_torchs_renorm():
    w = weight()
    expected = torch.renorm(w, 2, 0, 1.5)
    MaxNorm(1.5)([w])
    torch.testing.assert_close(w, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("strength", [0.0, 0.3, 5.0])
def test_the_soft_threshold_is_the_papers(shape, strength):
    w = weight(shape)
    SoftThreshold(strength)([w], lr=0.5)
    np.testing.assert_allclose(w, paper.soft_threshold(weight(shape), 0.5 * strength), rtol=1e-12)


def test_the_soft_threshold_minimizes_its_own_penalty_plus_the_distance():
    w, pull = weight(), 0.4
    moved = w.clone()
    SoftThreshold(pull)([moved])

    def cost(v):
        return ((v - w).square() / 2 + pull * v.abs()).sum()

    for e in range(5):
        other = (
            moved + torch.randn(50, *w.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(e)) / 10**e
        )
        assert all(cost(moved) <= cost(v) for v in other)
    assert 0 < (moved == 0).sum() < moved.numel()


def test_gradient_descent_with_soft_threshold_finds_scikit_learns_lasso_with_its_exact_zeros():
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)), rng.normal(size=60)
    theirs = Lasso(alpha=0.1, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(x, y).coef_
    w = nn.Parameter(torch.zeros(1, 8, dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=0.1)
    SoftThreshold(0.1).attach(optimizer)
    for _ in range(3000):
        optimizer.zero_grad()
        ((torch.from_numpy(x) @ w[0] - torch.from_numpy(y)).square().mean() / 2).backward()
        optimizer.step()
    np.testing.assert_allclose(w.detach().numpy()[0], theirs, atol=1e-8)
    assert ((w.detach().numpy()[0] == 0) == (theirs == 0)).all()
    assert (theirs == 0).any()


def trained(make, constraint=None, loss_of=lambda w: 0.0, steps=10, **numbers):
    """Where some steps lead a weight on a fixed problem, and a bias beside it."""
    w, b = nn.Parameter(weight()), nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make([w, b], lr=0.05, **numbers)
    if constraint is not None:
        constraint.attach(optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        ((w @ torch.tensor([1.0, 2.0, 3.0, 4.0]).double() + b - 1).square().sum() + loss_of(w)).backward()
        optimizer.step()
    return w.detach(), b.detach()


def test_with_adam_weight_decay_is_torchs_adamw_on_the_weight_alone():
    def theirs(parameters, lr):
        w, b = parameters
        return torch.optim.AdamW([{"params": [w], "weight_decay": 0.3}, {"params": [b], "weight_decay": 0.0}], lr=lr)

    expected = trained(theirs)
    for make in (torch.optim.Adam, Adam):
        torch.testing.assert_close(trained(make, WeightDecay(0.3)), expected)


def test_with_gradient_descent_weight_decay_is_the_l2_penalty_and_with_adam_it_is_not():
    with_penalty = functools.partial(trained, loss_of=lambda w: L2(0.3)([w]))
    torch.testing.assert_close(trained(SGD, WeightDecay(0.3)), with_penalty(SGD))
    assert not torch.allclose(trained(Adam, WeightDecay(0.3))[0], with_penalty(Adam)[0], rtol=1e-3)


@pytest.mark.parametrize(
    "constraint", [WeightDecay(0.0), SoftThreshold(0.0), MaxNorm(1e6)], ids=lambda c: type(c).__name__
)
@pytest.mark.parametrize("make", [SGD, torch.optim.Adam])
def test_a_constraint_without_strength_changes_no_bit(constraint, make):
    for ours, plain in zip(trained(make, constraint), trained(make), strict=True):
        assert torch.equal(ours, plain)


def test_biases_are_left_alone():
    constraint, b = MaxNorm(1e-3), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([b], lr=0.0)
    constraint.attach(optimizer)
    b.grad = torch.ones(3)
    optimizer.step()
    assert b.tolist() == [1.0] * 3


def test_defaults():
    w = torch.tensor([[10.0, 0.0]])
    WeightDecay()([w])
    assert w[0, 0].item() == pytest.approx(9.9)
    SoftThreshold()([w])
    assert w[0, 0].item() == pytest.approx(9.899)
    MaxNorm()([w])
    assert w[0, 0].item() == pytest.approx(3)


NAMES = ("weight-decay", "max-norm", "soft-threshold")


@pytest.mark.parametrize("rule", [SGD, Momentum, Adam, Muon])
@pytest.mark.parametrize("name", NAMES)
def test_inside_a_rule_a_constraint_does_what_it_does_attached(rule, name):
    technique, number = find(name, "regularization"), find(name, "regularization").hyperparameters[0]
    value = number.at(0.8)
    start = weight((4, 3)).numpy() * 3
    numbers = {**DEFAULTS[rule], f"{name}.{number.name}": value}
    ours = path_of(constrained(rule, (technique,)), np.sin, start=start, lr=0.05, **numbers)

    def attached(parameters, **numbers):
        optimizer = rule(parameters, **numbers)
        technique.make(value).attach(optimizer)
        return optimizer

    np.testing.assert_allclose(ours, path_of(attached, np.sin, start=start, lr=0.05), rtol=1e-12)


DEFAULTS = {
    rule: {k: v for k, v in find(name, "optimizer").defaults.items() if k != "lr"}
    for rule, name in ((SGD, "sgd"), (Momentum, "momentum"), (Adam, "adam"), (Muon, "muon"))
}


def test_members_have_their_own_numbers_and_weights_of_any_axes():
    limits = torch.tensor([0.5, 1.5, 100.0], dtype=torch.float64)
    stacked = torch.stack([weight((4, 3, 2)) * (k + 1) for k in range(3)])
    MaxNorm.after_step(stacked, axes=3, lr=1.0, limit=limits.view(3, 1, 1, 1))
    for k, limit in enumerate(limits.tolist()):
        np.testing.assert_allclose(stacked[k], paper.max_norm(weight((4, 3, 2)) * (k + 1), limit), rtol=1e-12)


def test_equal_choices_share_a_rule_and_others_do_not():
    decay, limit = find("weight-decay"), find("max-norm")
    assert constrained(SGD, (decay,)) is constrained(SGD, (decay,))
    assert len({constrained(SGD, (decay,)), constrained(SGD, (limit,)), constrained(Adam, (decay,))}) == 3


def test_in_float16_a_long_row_is_shortened_though_its_squares_overflow():
    w = torch.full((2, 300), 50.0, dtype=torch.float16)
    w[1] = 0.01
    MaxNorm(3.0)([w])
    assert w[0].float().norm().item() == pytest.approx(3.0, rel=1e-2)
    assert (w[1] == torch.tensor(0.01, dtype=torch.float16)).all()
