"""Networks and batches for the tests of inspection; nothing touches the global random state."""

import torch
from torch import nn


def draws(*shape, seed=9):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(n=500, classes=10):
    generator = torch.Generator().manual_seed(1)
    return draws(n, 100), torch.randint(0, classes, (n,), generator=generator)


def stack(std, activation, depth=5, width=100, seed=0):
    """`depth` times a linear layer without bias, weights N(0, std^2), and the activation; then ten outputs."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for _ in range(depth):
        linear = nn.Linear(width, width, bias=False)
        linear.weight.data = torch.randn(width, width, generator=generator) * std
        layers += [linear, activation()]
    last = nn.Linear(width, 10)
    last.weight.data = torch.randn(10, width, generator=generator) * width**-0.5
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
