"""The classic experiment: how initialization and activation decide whether a signal gets through five layers.

1,000 examples of 100 standard-normal numbers pass through five layers of 100 units without biases (as in
Saito, Deep Learning from Scratch, chapter 6). Beside what is measured stands what mean-field theory predicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainsmith.catalogue import find
from trainsmith.errors import whole
from trainsmith.inspection.passes.plain import plain
from trainsmith.inspection.statistics.histogram import Histogram, histogram
from trainsmith.inspection.statistics.meanfield import Layer, recursion

INITIALIZATIONS = ("normal", "xavier", "he")
ACTIVATIONS = ("sigmoid", "tanh", "relu")


@dataclass(frozen=True)
class DepthLayer:
    """One layer's activations: measured and predicted mean and spread, share of exact zeros, histogram."""

    mean: float
    std: float
    predicted_mean: float
    predicted_std: float
    zeros: float
    histogram: Histogram


@dataclass(frozen=True)
class Cell:
    """One initialization with one activation, layer by layer."""

    initialization: str
    activation: str
    layers: tuple[DepthLayer, ...]


@dataclass(frozen=True)
class DepthExperiment:
    """All cells, and the sizes they were measured with."""

    examples: int
    width: int
    depth: int
    seed: int
    cells: tuple[Cell, ...]

    def cell(self, initialization: str, activation: str) -> Cell:
        """The cell of these two techniques."""
        return next(c for c in self.cells if (c.initialization, c.activation) == (initialization, activation))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows; numbers that are not finite become None."""
        return plain(self)


def depth_experiment(
    seed: int = 0,
    examples: int = 1000,
    width: int = 100,
    depth: int = 5,
    initializations: Sequence[str] = INITIALIZATIONS,
    activations: Sequence[str] = ACTIVATIONS,
) -> DepthExperiment:
    """Run the experiment for every pair of an initialization and an activation, by name.

    seed draws inputs and weights; every cell sees the same inputs and the same underlying normal numbers.
    Raises InvalidInput for a size below 1 and for unknown names.
    """
    examples, width, depth = whole("examples", examples), whole("width", width), whole("depth", depth)
    cells: list[Cell] = []
    for activation in activations:
        passes = [_forward(seed, examples, width, depth, i, activation) for i in initializations]
        low, high = _range([h for outputs, _ in passes for h in outputs])
        for initialization, (outputs, gains) in zip(initializations, passes, strict=True):
            predicted = recursion(find(activation, "activation").make().double(), gains)
            layers = tuple(_layer(h, p, low, high) for h, p in zip(outputs, predicted, strict=True))
            cells.append(Cell(initialization, activation, layers))
    return DepthExperiment(examples, width, depth, seed, tuple(cells))


@torch.no_grad()
def _forward(
    seed: int, examples: int, width: int, depth: int, initialization: str, activation: str
) -> tuple[list[Tensor], list[float]]:
    """Each layer's outputs, and the gain n * Var(w) of its weights."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(examples, width, generator=generator)
    fill, f = find(initialization, "initialization").make, find(activation, "activation").make()
    outputs, gains = [], []
    for _ in range(depth):
        weight = fill(torch.empty(width, width), generator=generator)
        signal = f(signal @ weight.T)
        outputs.append(signal)
        gains.append(float(width * weight.double().square().mean()))
    return outputs, gains


def _range(outputs: Sequence[Tensor]) -> tuple[float, float]:
    """What all but 0.2 % of each layer's outputs lie in: one range for all cells of an activation, so that a
    collapse is seen as one."""
    ends = [torch.quantile(h.flatten()[::7], torch.tensor([0.001, 0.999])) for h in outputs]
    return float(min(e[0] for e in ends)), float(max(e[1] for e in ends))


def _layer(h: Tensor, predicted: Layer, low: float, high: float) -> DepthLayer:
    zeros = float((h == 0).double().mean())
    drawn = histogram(h[h != 0] if zeros > 0.01 else h, low, high)
    expected = predicted.activation
    return DepthLayer(float(h.mean()), float(h.std(correction=0)), expected.mean, expected.std, zeros, drawn)
