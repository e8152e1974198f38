"""The rules that act on each coordinate for itself, against their papers, against torch, against what must hold."""

import functools

import numpy as np
import pytest
import torch

from optimizer_path import START, STEPS, bowl, path_of
from reference import optimizer_adaptive as paper
from trainsmith import optimizer as ours
from trainsmith.optimizer.adam_variants import _halved
from trainsmith.optimizer.sign import sign_

BETAS = {"beta1": 0.7, "beta2": 0.95, "eps": 1e-3}
TORCH_BETAS = {"betas": (0.7, 0.95), "eps": 1e-3}

PAPERS = [
    ("MovingAverage", paper.moving_average, {"beta": 0.8}),
    ("AdaGrad", paper.adagrad, {"eps": 1e-3}),
    ("AdaDelta", paper.adadelta, {"rho": 0.8, "eps": 1e-4}),
    ("CentredRMSprop", paper.rmsprop_centred, {"alpha": 0.8, "eps": 1e-3}),
    ("AdamW", paper.adamw, {**BETAS, "weight_decay": 1e-5}),
    ("AMSGrad", paper.amsgrad, BETAS),
    ("NAdam", paper.nadam, {**BETAS, "momentum_decay": 0.3, "weight_decay": 1e-5}),
    ("RAdam", paper.radam, {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3}),
    ("Adamax", paper.adamax, BETAS),
    ("Lion", paper.lion, {"beta1": 0.7, "beta2": 0.95, "weight_decay": 1e-5}),
]
NADAMW = functools.partial(torch.optim.NAdam, decoupled_weight_decay=True)
TORCHS = [
    ("AdaGrad", torch.optim.Adagrad, {"eps": 1e-3}, {"eps": 1e-3}),
    ("AdaDelta", torch.optim.Adadelta, {"rho": 0.8, "eps": 1e-4}, {"rho": 0.8, "eps": 1e-4}),
    (
        "CentredRMSprop",
        functools.partial(torch.optim.RMSprop, centered=True),
        {"alpha": 0.8, "eps": 1e-3},
        {"alpha": 0.8, "eps": 1e-3},
    ),
    ("AdamW", torch.optim.AdamW, {**BETAS, "weight_decay": 1e-5}, {**TORCH_BETAS, "weight_decay": 1e-5}),
    ("AMSGrad", functools.partial(torch.optim.Adam, amsgrad=True), BETAS, TORCH_BETAS),
    ("NAdam", torch.optim.NAdam, {**BETAS, "momentum_decay": 0.3}, {**TORCH_BETAS, "momentum_decay": 0.3}),
    (
        "NAdam",
        NADAMW,
        {**BETAS, "weight_decay": 1e-5},
        {**TORCH_BETAS, "weight_decay": 1e-5},
    ),
    ("RAdam", torch.optim.RAdam, {"beta2": 0.9, "eps": 1e-3}, {"betas": (0.9, 0.9), "eps": 1e-3}),
    ("Adamax", torch.optim.Adamax, BETAS, TORCH_BETAS),
]
any_rate = pytest.mark.parametrize("lr", [1e-12, 0.01, 0.7, 1e4])
each_of_torchs = pytest.mark.parametrize(("name", "torchs", "numbers", "torch_numbers"), TORCHS)


@pytest.fixture
def double():
    """torch.optim.NAdam keeps its product of momenta in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("name", "reference", "numbers"), PAPERS)
@any_rate
def test_the_path_is_the_papers(name, reference, numbers, lr):
    expected = reference(START, bowl, STEPS, lr, **numbers)
    np.testing.assert_allclose(path_of(getattr(ours, name), bowl, lr=lr, **numbers), expected, rtol=1e-9)


@each_of_torchs
@any_rate
@pytest.mark.usefixtures("double")
def test_the_path_is_torchs(name, torchs, numbers, torch_numbers, lr):
    expected = path_of(torchs, bowl, lr=lr, **torch_numbers)
    np.testing.assert_allclose(path_of(getattr(ours, name), bowl, lr=lr, **numbers), expected, rtol=1e-9)


@each_of_torchs
def test_in_single_precision_the_path_is_torchs_to_rounding(name, torchs, numbers, torch_numbers):
    expected = path_of(torchs, bowl, dtype=torch.float32, lr=0.02, **torch_numbers)
    actual = path_of(getattr(ours, name), bowl, dtype=torch.float32, lr=0.02, **numbers)
    np.testing.assert_allclose(actual, expected, rtol=2e-4 if name == "CentredRMSprop" else 2e-5)


@pytest.mark.parametrize(("name", "torchs"), [case[:2] for case in TORCHS if case[1] is not NADAMW])
@pytest.mark.usefixtures("double")
def test_the_defaults_are_torchs(name, torchs):
    expected = path_of(torchs, bowl, steps=40)
    rate = {"lr": 1e-2} if name == "CentredRMSprop" else {}
    np.testing.assert_allclose(path_of(getattr(ours, name), bowl, steps=40, **rate), expected, rtol=1e-9)


def test_the_defaults_that_torch_has_not():
    def defaults(name):
        return getattr(ours, name)([torch.nn.Parameter(torch.ones(1))]).defaults

    assert defaults("MovingAverage") == {"lr": 0.1, "beta": 0.9}
    assert defaults("Lion") == {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}
    assert defaults("ScheduleFreeSGD") == {"lr": 1.0, "momentum": 0.9, "warmup": 1.0, "weight_decay": 0.0}
    assert defaults("ScheduleFreeAdamW") == {
        "lr": 2.5e-3, "betas": (0.9, 0.999), "eps": 1e-8, "warmup": 1.0, "weight_decay": 0.0,
    }  # fmt: skip


def test_the_moving_average_is_heavy_ball_at_a_tenth_of_the_rate_apart_from_its_correction():
    class Uncorrected(ours.MovingAverage):
        @staticmethod
        def coefficients(t, *, lr, beta):
            return {"rate": lr, "new": 1 - beta}

    average = path_of(Uncorrected, bowl, lr=0.1, beta=0.9)
    np.testing.assert_allclose(average, path_of(ours.Momentum, bowl, lr=0.1 * (1 - 0.9), momentum=0.9), rtol=1e-12)


def test_the_moving_averages_first_step_is_sgds():
    first = path_of(ours.MovingAverage, bowl, steps=1, lr=0.3, beta=0.99)
    np.testing.assert_allclose(first, path_of(ours.SGD, bowl, steps=1, lr=0.3), rtol=1e-12)


def test_adagrads_steps_under_a_constant_gradient_fall_with_the_root_of_time():
    path = path_of(ours.AdaGrad, lambda theta: np.array([1e-3, -5.0, 1e6, 2.0]), steps=30, lr=0.1, eps=0.0)
    sizes = 0.1 / np.sqrt(np.arange(1, 31))
    np.testing.assert_allclose(path[:-1] - path[1:], sizes[:, None] * [1, -1, 1, 1], rtol=1e-9)


def test_adadeltas_first_step_is_set_by_eps_alone():
    first = path_of(ours.AdaDelta, lambda theta: np.full(4, 7.0), steps=1, rho=0.95, eps=1e-6)
    np.testing.assert_allclose(first[0] - first[1], np.sqrt(1e-6 / 0.05), rtol=1e-6)


def test_adadeltas_rate_scales_the_step_but_not_what_is_remembered_of_it():
    def constant(theta):
        return np.full(4, 2.0)

    one, ten = (path_of(ours.AdaDelta, constant, lr=lr) for lr in (1.0, 10.0))
    np.testing.assert_allclose(ten - START, 10 * (one - START), rtol=1e-9)


@pytest.mark.parametrize("name", ["AdaGrad", "CentredRMSprop", "AMSGrad", "NAdam"])
def test_without_eps_the_scale_of_each_coordinates_gradient_does_not_matter(name):
    scale = np.array([1e-6, 1.0, 3e4, 1.0])
    plain = path_of(getattr(ours, name), bowl, lr=0.05, eps=0.0)
    scaled = path_of(getattr(ours, name), lambda theta: scale * bowl(theta), lr=0.05, eps=0.0)
    np.testing.assert_allclose(scaled, plain, rtol=1e-9)


def test_the_centred_variance_and_the_squared_mean_make_up_rmsprops_mean_of_squares():
    theta, other = (torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)) for _ in range(2))
    centred, plain = ours.CentredRMSprop([theta], alpha=0.8), ours.RMSprop([other], alpha=0.8)
    for t in range(20):
        theta.grad = other.grad = torch.tensor([np.sin(t), 3.0, 1e-5 * t], dtype=torch.float64)
        centred.step()
        plain.step()
        kept, s = centred.state[theta], plain.state[other]["s"]
        torch.testing.assert_close(kept["variance"] + kept["m"] ** 2, s, rtol=1e-12, atol=0)


def test_the_centred_variance_is_that_of_the_gradients():
    draws = np.random.default_rng(0).normal(3.0, 0.5, (4000, 1))
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = ours.CentredRMSprop([theta], alpha=0.999)
    for g in draws:
        theta.grad = torch.from_numpy(g)
        optimizer.step()
    state = optimizer.state[theta]
    assert state["m"].item() == pytest.approx(3.0, rel=0.05)
    weights = 0.001 * 0.999 ** np.arange(len(draws) - 1, -1, -1.0)
    expected = weights @ draws[:, 0] ** 2 - (weights @ draws[:, 0]) ** 2
    assert state["variance"].item() == pytest.approx(expected, rel=1e-9)


def test_the_centred_variance_keeps_its_digits_beside_a_large_mean():
    theta = torch.nn.Parameter(torch.zeros(1))
    optimizer = ours.CentredRMSprop([theta], alpha=0.9)
    for t in range(400):
        theta.grad = torch.tensor([1e4 + (-1) ** t])
        optimizer.step()
    exact = 0.1 * sum(0.9**i for i in range(400)) - (0.1 * sum((-0.9) ** i for i in range(400))) ** 2
    assert optimizer.state[theta]["variance"].item() == pytest.approx(exact, rel=0.02)


def test_adamw_without_decay_is_adam_and_its_decay_is_not_in_the_gradient():
    numbers = {"lr": 0.05, **BETAS}
    adam = path_of(ours.Adam, bowl, **numbers)
    np.testing.assert_array_equal(path_of(ours.AdamW, bowl, weight_decay=0.0, **numbers), adam)
    still = path_of(ours.AdamW, np.zeros_like, weight_decay=0.3, **numbers)
    np.testing.assert_allclose(still, START * (1 - 0.05 * 0.3) ** np.arange(STEPS + 1)[:, None], rtol=1e-12)


def test_amsgrad_is_adam_until_a_second_moment_falls():
    growing = iter(np.linspace(1, 2, 2 * STEPS))
    values = [np.full(4, next(growing)) for _ in range(STEPS)]
    paths = []
    for name in ("AMSGrad", "Adam"):
        left = iter(values)
        paths.append(path_of(getattr(ours, name), lambda theta, left=left: next(left), lr=0.1))
    np.testing.assert_allclose(*paths, rtol=1e-12)


def test_amsgrad_remembers_the_largest_gradient():
    values = iter([1e3] + [1.0] * 200)
    path = path_of(ours.AMSGrad, lambda theta: np.full(4, next(values)), steps=200, lr=0.1, beta2=0.5)
    assert np.abs(path[-1] - path[-2]).max() < 0.1 * 1 / (1e3 * 0.5**0.5) * 1.01


@pytest.mark.parametrize("decay", [0.0, 1e-6, 4e-3, 0.3, 1.0, 50.0])
@pytest.mark.parametrize("t", [1, 2, 30, 3000])
def test_nadams_series_is_the_product(decay, t):
    product = np.prod(1 - 0.5 * 0.96 ** (np.arange(1, t + 1) * decay))
    assert _halved(t, decay) == pytest.approx(product, rel=1e-11)
    column = torch.tensor([[decay], [0.01]], dtype=torch.float64)
    assert _halved(t, column).shape == (2, 1)
    assert _halved(t, column)[0].item() == _halved(t, decay)


def test_nadams_first_steps_tell_the_three_of_that_name_apart():
    def first(decay):
        path = path_of(ours.NAdam, np.ones_like, steps=1, lr=1.0, momentum_decay=decay, eps=0.0)
        return (path[0] - path[1])[0]

    assert first(4e-3) == pytest.approx(1.056, abs=2e-3)
    assert first(1.0) == pytest.approx(1.063, abs=2e-3)


def test_radams_first_steps_are_those_of_the_moving_average():
    plain = path_of(ours.MovingAverage, bowl, steps=5, lr=0.1, beta=0.9)
    np.testing.assert_allclose(path_of(ours.RAdam, bowl, steps=5, lr=0.1), plain, rtol=1e-12)


def test_radam_becomes_adam_when_its_moment_has_seen_enough():
    t, numbers = 10**7, {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    rectified, adams = ours.RAdam.coefficients(t, **numbers), ours.Adam.coefficients(t, **numbers)
    assert rectified["plain"] == 0
    assert rectified["adapted"] == pytest.approx(adams["rate"], rel=1e-12)


def test_radam_never_adapts_where_its_average_stays_short():
    for beta2 in (0.0, 0.5, 0.6, 0.66):
        path = path_of(ours.RAdam, bowl, lr=0.1, beta2=beta2)
        np.testing.assert_allclose(path, path_of(ours.MovingAverage, bowl, lr=0.1), rtol=1e-12)


def test_adamaxs_first_step_is_the_learning_rate_whatever_the_gradient():
    first = path_of(ours.Adamax, lambda theta: np.array([1e-3, -5.0, 1e6, 2.0]), steps=1, lr=0.1, eps=1e-15)
    np.testing.assert_allclose(first[1] - first[0], [-0.1, 0.1, -0.1, -0.1], rtol=1e-6)


def test_lions_step_is_a_sign():
    path = path_of(ours.Lion, bowl, lr=0.125)
    np.testing.assert_allclose(np.abs(np.diff(path, axis=0))[:, :3], 0.125, rtol=1e-12)
    assert (path[:, 3] == START[3]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_sign_shows_what_is_not_a_number(dtype):
    x = torch.tensor([2.0, -1e-20, 0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e30], dtype=dtype)
    expected = torch.tensor([1.0, -1.0, 0.0, 0.0, 1.0, -1.0, torch.nan, 1.0], dtype=dtype)
    torch.testing.assert_close(sign_(x.clone()), expected, rtol=0, atol=0, equal_nan=True)
