"""What theory says of initializations, seen through inspect: within the sampling error of random weights."""

import math

import pytest
import torch
from torch import nn

from inspection.make_network import draws, stack
from trainsmith.initialization import orthogonal
from trainsmith.inspection import inspect

WIDTH, DEPTH, SEEDS = 100, 5, 12


def moments(std, activation, seed):
    """The second moments of the inputs and behind each linear layer."""
    network = stack(std, activation, DEPTH, WIDTH, seed)
    x = draws(200, WIDTH, seed=100 + seed)
    rows = inspect(network, x).layers
    return float(x.square().mean()), [m.second_moment for m in rows[0 : 2 * DEPTH : 2]], rows


@pytest.mark.parametrize(
    ("std", "activation", "factor", "c"),
    # per layer n Var(w) E f^2 / q: ReLU halves, tanh of small numbers keeps; c: Var(ln q) a layer is c / n
    [(0.02**0.5, nn.ReLU, 1.0, 5.0), (0.01, nn.ReLU, 0.005, 5.0), (0.01, nn.Tanh, 0.01, 2.0)],
)
def test_second_moments_fall_by_a_known_factor_a_layer(std, activation, factor, c):
    logs = []
    for seed in range(SEEDS):
        _, q, _ = moments(std, activation, seed)
        logs.append(math.log(q[-1] / q[0]))
    steps = DEPTH - 1
    error = math.sqrt(c * steps / WIDTH / SEEDS)
    middle = steps * math.log(factor) - c * steps / WIDTH / 2  # the logarithm of a mean is above that of its numbers
    assert sum(logs) / SEEDS == pytest.approx(middle, abs=4 * error + 0.03)


@pytest.mark.parametrize("seed", range(4))
def test_xavier_with_tanh_follows_the_recursion(seed):
    _, _, rows = moments(0.1, nn.Tanh, seed)
    for layer, row in enumerate(rows[: 2 * DEPTH]):
        assert abs(math.log(row.second_moment / row.predicted)) < 3 * math.sqrt(0.5 * (layer // 2 + 1) / WIDTH) + 0.02


def test_orthogonal_layers_keep_signal_and_gradient_exactly():
    layers = [nn.Linear(64, 64, bias=False) for _ in range(30)]
    for seed, layer in enumerate(layers):
        orthogonal(layer.weight, gain=1.0, generator=torch.Generator().manual_seed(seed))
    x = draws(100, 64)
    rows = inspect(nn.Sequential(*layers), x).layers
    for row in rows:
        assert row.second_moment == pytest.approx(float(x.square().mean()), rel=1e-4)
    lengths = [row.gradient for row in rows]
    assert lengths == pytest.approx([lengths[-1]] * 30, rel=1e-2)


@pytest.mark.parametrize("value", [0.0, 0.03])
def test_zeros_and_constants_make_units_alike(value):
    network = stack(0.1, nn.Tanh, depth=2)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, value)
    x = draws(200, 100)
    shorts = {f.layer for f in inspect(network, (x, torch.arange(200) % 10)).findings if f.short == "symmetric units"}
    assert shorts >= {"0", "2"}
