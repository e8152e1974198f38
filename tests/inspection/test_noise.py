"""The gradient noise scale against a linear model where tr(S) and |G|^2 are known."""

import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from inspection.make_network import batch, draws, stack
from trainsmith.inspection import inspect
from trainsmith.inspection.faults.noise import NoiseScale, noise_scale, of_noise, of_products

D, NOISE = 5, 0.7


def known(w, truth):
    """tr(S) and |G|^2 of (w.x - y)^2 with x ~ N(0, I), y = truth.x + N(0, NOISE^2).

    The gradient of one example is 2 (e.x - n) x with e = w - truth: its mean is 2 e, and its mean square
    4 (E (e.x)^2 |x|^2 + NOISE^2 d) = 4 ((d + 2) |e|^2 + NOISE^2 d), as E x_i^2 x_j^2 = 1 and E x_i^4 = 3.
    """
    e2 = float(((w - truth) ** 2).sum())
    squared = 4 * e2
    return 4 * ((D + 2) * e2 + NOISE**2 * D) - squared, squared


def of_gradients(parts, size):
    """That of gradients (parts, numbers), which the network's own never lie side by side."""
    parts = parts.double()
    return of_products((parts**2).sum(1).tolist(), (parts @ parts.sum(0)).tolist(), size)


@pytest.mark.parametrize("size", [1, 4, 25])
def test_of_a_linear_model_it_is_what_can_be_worked_out(size):
    rng = np.random.default_rng(size)
    w, truth = rng.normal(size=D), rng.normal(size=D)
    trace, squared = known(w, truth)
    found = []
    for _ in range(300):
        x = rng.normal(size=(16 * size, D))
        y = x @ truth + NOISE * rng.normal(size=16 * size)
        each = 2 * (x @ w - y)[:, None] * x
        parts = torch.tensor(each.reshape(16, size, D).mean(1))
        got = of_gradients(parts, size)
        found.append((got.trace, got.squared))
    traces, squares = np.array(found).T
    for values, truth_ in ((traces, trace), (squares, squared)):
        assert abs(values.mean() - truth_) < 4 * values.std() / 300**0.5
    assert traces.mean() / squares.mean() == pytest.approx(trace / squared, rel=0.1)


def test_it_is_the_networks_own_gradient():
    x = draws(160, D).double()
    y = x[:, :2].sum(1, keepdim=True) + NOISE * draws(160, 1, seed=2).double()
    module = nn.Linear(D, 1, bias=False).double()
    got = noise_scale(module, x, y, None)
    w = module.weight.detach().numpy()[0]
    each = 2 * (x.numpy() @ w - y.numpy()[:, 0])[:, None] * x.numpy()
    parts = each.reshape(16, 10, D).mean(1)
    n1, n2 = (parts**2).sum(1).mean(), (parts.mean(0) ** 2).sum()
    squared, trace = (160 * n2 - 10 * n1) / 150, (n1 - n2) / (1 / 10 - 1 / 160)
    assert (got.squared, got.trace, got.value) == pytest.approx((squared, trace, trace / squared))
    assert (got.small, got.large) == (10, 160)
    jack = [
        (150 * (np.delete(parts, i, 0).mean(0) ** 2).sum() - 10 * (np.delete(parts, i, 0) ** 2).sum(1).mean()) / 140
        for i in range(16)
    ]
    error = 2 * (15 / 16 * ((np.array(jack) - np.mean(jack)) ** 2).sum()) ** 0.5
    assert got.low == pytest.approx(trace / (squared + error))
    assert got.high == pytest.approx(trace / (squared - error) if squared > error else math.inf)


def test_the_parts_pass_twice_with_the_same_noise_from_the_same_buffers():
    """Else the sum's length would not be what the parts are along it, and the interval that of other gradients."""

    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(D, 1, bias=False)
            self.register_buffer("calls", torch.ones(()))

        def forward(self, x):
            self.calls *= 1.5
            return self.linear(nn.functional.dropout(x, 0.5) * self.calls)

    x, y = draws(160, D), draws(160, 1, seed=3)
    module = Counts()
    torch.manual_seed(4)
    got = noise_scale(module, x, y, None)
    torch.manual_seed(4)
    module.calls.fill_(1.0)
    parts = []
    for i in range(16):
        rows = slice(10 * i, 10 * (i + 1))
        module.zero_grad()
        nn.functional.mse_loss(module(x[rows]), y[rows]).backward()
        parts.append(module.linear.weight.grad[0].clone())
    expected = of_gradients(torch.stack(parts), 10)
    assert [got.value, got.low, got.high] == pytest.approx([expected.value, expected.low, expected.high], rel=1e-4)


def test_it_holds_one_parts_gradient_and_the_sum(monkeypatch):
    given, alive, whole = [], [], torch.autograd.grad

    def noted(*args, **kwargs):
        alive.append(sum(g() is not None for g in given))
        found = whole(*args, **kwargs)
        given.extend(weakref.ref(g) for g in found)
        return found

    monkeypatch.setattr(torch.autograd, "grad", noted)
    assert noise_scale(nn.Linear(D, 1), draws(160, D), draws(160, 1, seed=2), None) is not None
    assert len(given) == 2 * 2 * 16
    assert max(alive) <= 2, "a weight's and a bias's of the part before"


def test_pure_noise_has_no_upper_end_and_few_examples_no_answer():
    noise = of_gradients(draws(16, 400), 4)
    assert noise.high == math.inf
    assert noise.low > 4
    assert of_gradients(torch.zeros(8, 3), 4) is None
    x = draws(7, D)
    assert noise_scale(nn.Linear(D, 1), x, x[:, :1], None) is None
    same = of_gradients(torch.ones(8, 3), 4)
    assert same.value == pytest.approx(0, abs=1e-9)


class Whole(nn.Linear):
    """Takes as many examples at once as there are in a whole batch, as with a state of that size."""

    def forward(self, x):
        return super().forward(x.view(160, D))


def test_parts_that_the_network_refuses_give_no_answer():
    x = draws(160, D)
    assert inspect(Whole(D, 1), (x, x[:, :1])).noise is None


def test_a_gradient_that_depends_on_the_part_gives_no_answer():
    class Either(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(D, 1), nn.Linear(D, 1, bias=False)

        def forward(self, x):
            return self.first(x) if x[0, 0] > 0 else self.second(x)

    x = draws(160, D)
    assert noise_scale(Either(), x, x[:, :1], None) is None


def scale(low):
    return NoiseScale(2 * low, low, math.inf, 1.0, 1.0, 1, 16)


def test_a_batch_below_a_thirtieth_of_the_lower_end_is_a_finding():
    assert [f.value for f in of_noise(scale(61), 2, 1.0)] == [2.0]
    assert list(of_noise(scale(59), 2, 1.0)) == []
    assert list(of_noise(scale(61), 2, 0.4)) == []  # what is learned already has gradients that point anywhere
    assert list(of_noise(None, 1, 1.0)) == []


def test_it_is_part_of_an_inspection_with_its_meaning_in_a_sentence():
    x, y = draws(160, D), draws(160, 1, seed=3)
    found = inspect(nn.Linear(D, 1), (x, y), batch_size=10).noise
    assert found.small == 10
    assert "examples" in found.words
    assert inspect(nn.Linear(D, 1), x).noise is None


@pytest.mark.parametrize(("std", "named"), [(0.1, True), (0.01, False)])
def test_it_is_named_only_where_nothing_else_keeps_gradients_from_saying_anything(std, named):
    """Random labels give gradients of pure noise; behind weights of N(0, 0.01²) that is what follows, not the cause."""
    network = stack(std, nn.Tanh)
    x, y = batch(2000)
    found = {f.short for f in inspect(network, (x, y), loss=nn.CrossEntropyLoss(), batch_size=2).findings}
    assert ("batch far too small" in found) == named
    assert ("gradient vanishes" in found) != named
