"""Every optimizer against its paper, against torch, and against what must hold."""

import functools

import numpy as np
import pytest
import torch

from optimizer_path import START, STEPS, bowl, path_of
from reference import optimizer as paper
from trainsmith.optimizer import SGD, Adam, Momentum, Nesterov, RMSprop

RULES = [
    (SGD, paper.sgd, torch.optim.SGD, {}, {}),
    (Momentum, paper.momentum, torch.optim.SGD, {"momentum": 0.8}, {"momentum": 0.8}),
    (
        Nesterov,
        paper.nesterov_look_ahead,
        functools.partial(torch.optim.SGD, nesterov=True),
        {"momentum": 0.95},
        {"momentum": 0.95},
    ),
    (RMSprop, paper.rmsprop, torch.optim.RMSprop, {"alpha": 0.8, "eps": 1e-3}, {"alpha": 0.8, "eps": 1e-3}),
    (
        Adam,
        paper.adam,
        torch.optim.Adam,
        {"beta1": 0.7, "beta2": 0.95, "eps": 1e-3},
        {"betas": (0.7, 0.95), "eps": 1e-3},
    ),
]
each_rule = pytest.mark.parametrize(
    ("ours", "reference", "torchs", "numbers", "torch_numbers"), RULES, ids=lambda x: getattr(x, "__name__", "")
)
any_rate = pytest.mark.parametrize("lr", [1e-12, 0.01, 0.7, 1e4])


@each_rule
@any_rate
def test_the_path_is_the_papers(ours, reference, torchs, numbers, torch_numbers, lr):
    expected = reference(START, bowl, STEPS, lr, **numbers)
    np.testing.assert_allclose(path_of(ours, bowl, lr=lr, **numbers), expected, rtol=1e-9)


@each_rule
@any_rate
def test_the_path_is_torchs(ours, reference, torchs, numbers, torch_numbers, lr):
    expected = path_of(torchs, bowl, lr=lr, **torch_numbers)
    np.testing.assert_allclose(path_of(ours, bowl, lr=lr, **numbers), expected, rtol=1e-9)


@each_rule
def test_in_single_precision_the_path_is_torchs_to_rounding(ours, reference, torchs, numbers, torch_numbers):
    expected = path_of(torchs, bowl, dtype=torch.float32, lr=0.02, **torch_numbers)
    np.testing.assert_allclose(path_of(ours, bowl, dtype=torch.float32, lr=0.02, **numbers), expected, rtol=2e-5)


@each_rule
def test_the_defaults_apart_from_the_learning_rate_are_torchs(ours, reference, torchs, numbers, torch_numbers):
    torch_defaults = {"momentum": 0.9} if "momentum" in numbers else {}
    expected = path_of(torchs, bowl, lr=0.03, **torch_defaults)
    np.testing.assert_allclose(path_of(ours, bowl, lr=0.03), expected, rtol=1e-9)


@pytest.mark.parametrize("rule", [Momentum, Nesterov])
def test_momentum_zero_is_plain_gradient_descent(rule):
    np.testing.assert_array_equal(path_of(rule, bowl, lr=0.1, momentum=0.0), path_of(SGD, bowl, lr=0.1))


def test_momentum_under_a_constant_gradient_reaches_its_terminal_velocity():
    path = path_of(Momentum, np.ones_like, steps=400, lr=0.1, momentum=0.9)
    np.testing.assert_allclose(path[-2] - path[-1], 0.1 / (1 - 0.9), rtol=1e-9)


def test_nesterov_differs_from_momentum_in_the_first_step_by_the_share_that_looks_ahead():
    first = path_of(Nesterov, np.ones_like, steps=1, lr=0.1, momentum=0.5)
    np.testing.assert_allclose(first[0] - first[1], 0.1 * (1 + 0.5))


def test_adam_without_first_moment_is_rmsprop_with_bias_correction():
    path, s = [START], np.zeros(4)
    for t in range(1, STEPS + 1):
        g = bowl(path[-1])
        s = 0.9 * s + 0.1 * g**2
        path.append(path[-1] - 0.05 * g / (np.sqrt(s / (1 - 0.9**t)) + 1e-4))
    np.testing.assert_allclose(path_of(Adam, bowl, lr=0.05, beta1=0.0, beta2=0.9, eps=1e-4), path, rtol=1e-9)


def test_adams_first_step_is_the_learning_rate_whatever_the_gradient():
    first = path_of(Adam, lambda theta: np.array([1e-3, -5.0, 1e6, 2.0]), steps=1, lr=0.1, eps=0.0)
    np.testing.assert_allclose(first[1] - first[0], [-0.1, 0.1, -0.1, -0.1])


def test_rmsprops_first_step_is_larger_by_the_root_of_what_is_new():
    first = path_of(RMSprop, lambda theta: np.array([1e-3, -5.0, 1e6, 2.0]), steps=1, lr=0.1, alpha=0.99, eps=0.0)
    np.testing.assert_allclose(first[1] - first[0], [-1, 1, -1, -1])


@pytest.mark.parametrize("rule", [RMSprop, Adam])
def test_without_eps_the_scale_of_each_coordinates_gradient_does_not_matter(rule):
    scale = np.array([1e-6, 1.0, 3e4, 1.0])
    plain = path_of(rule, bowl, lr=0.05, eps=0.0)
    scaled = path_of(rule, lambda theta: scale * bowl(theta), lr=0.05, eps=0.0)
    np.testing.assert_allclose(scaled, plain, rtol=1e-9)


def test_the_scale_of_the_gradient_is_a_learning_rate_for_gradient_descent():
    scaled = path_of(SGD, lambda theta: 3 * bowl(theta), lr=0.1)
    np.testing.assert_allclose(scaled, path_of(SGD, bowl, lr=0.3), rtol=1e-9)


@pytest.mark.parametrize(("rule", "eps"), [(RMSprop, 0.5), (Adam, 0.5)])
def test_eps_stands_outside_the_root(rule, eps):
    first = path_of(rule, lambda theta: np.full(4, 2.0), steps=1, lr=1.0, eps=eps)
    new = 0.01 if rule is RMSprop else 1.0
    np.testing.assert_allclose(first[0] - first[1], 2 / (2 * new**0.5 + eps))


@pytest.mark.parametrize("rule", [SGD, Momentum, Nesterov, Adam, RMSprop])
def test_torchs_compiler_is_given_the_formula(rule, monkeypatch):
    """torch._fused_adamw_ and its like cannot be traced; the compiler makes one kernel of the formula by itself."""

    def step():
        theta = torch.nn.Parameter(torch.ones(3))
        theta.grad = torch.tensor([1.0, -2.0, 0.5])
        rule([theta], lr=0.1).step()
        return theta.detach()

    expected = step()
    monkeypatch.setattr(rule, "fused", staticmethod(lambda *args, **numbers: pytest.fail("a kernel was called")))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(step(), expected)
