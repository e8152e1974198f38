"""Perceptrons of several seeds as one module, for trainings in which a step is more than a network and a loss."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SideBySide(nn.Module):
    """ReLU perceptrons with the same widths, one for each seed: (seeds * n, inputs) to (seeds * n, outputs).

    The first n rows are the first seed's. A loss that is a mean over all rows is the mean of the seeds' losses, so
    each gets 1 / seeds of its gradient, which Adam does not notice.
    """

    def __init__(self, widths: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__()
        self.seeds = len(seeds)
        weights, biases = [], []
        for a, b in itertools.pairwise(widths):
            luck = [torch.Generator().manual_seed(1_000 * seed + len(weights)) for seed in seeds]
            bound = a**-0.5
            weights.append(nn.Parameter(torch.stack([torch.rand(a, b, generator=g) * 2 - 1 for g in luck]) * bound))
            biases.append(nn.Parameter(torch.stack([torch.rand(1, b, generator=g) * 2 - 1 for g in luck]) * bound))
        self.weights, self.biases = nn.ParameterList(weights), nn.ParameterList(biases)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        x = x.view(self.seeds, -1, x.shape[1])
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(b, x if i == 0 else x.relu(), w)
        return x.flatten(0, 1)
