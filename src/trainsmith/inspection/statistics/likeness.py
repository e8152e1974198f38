"""How alike examples are at a layer, and its units among each other."""

import math
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from trainsmith.inspection.passes.double import doubled
from trainsmith.inspection.statistics.sampling import coprime

ROWS, COLUMNS = 512, 4096
"""So many examples, and evenly spaced values of each, are looked at."""
MOST_SIMILAR = 1024
"""Layers with more units are not searched for similar ones."""


def effective_rank(left: Tensor) -> float:
    """Participation ratio tr(C)^2 / tr(C^2) of the outputs' covariance C over examples; NaN for one example.

    For random linear layers of n units 1 / PR grows by 1 / n a layer.
    """
    x = _rows(left)
    if len(x) < 2 or not x.isfinite().all():
        return math.nan
    x = x - x.mean(0)
    x = x / x.abs().amax().clamp_min(1e-300)
    products = x @ x.T
    square = float(products.square().sum())
    return float(products.diagonal().sum()) ** 2 / square if square > 0 else 0.0


def likeness(left: Tensor) -> float:
    """Mean correlation, over units, of the outputs for two different examples: 1 where all show one pattern.

    A constant that all units share, such as a sigmoid's 1/2, does not count. NaN for one example, or one unit.
    """
    x = _rows(left)
    n = len(x)
    if n < 2 or x.shape[1] < 2 or not x.isfinite().all():
        return math.nan
    x = x - x.mean(1, keepdim=True)
    lengths = x.norm(dim=1, keepdim=True)
    u = x / lengths.clamp_min(1e-300)
    there = float((lengths > 0).sum())
    return (float(u.sum(0).square().sum()) - there) / (n * (n - 1))


def similarity(layer: nn.Module) -> float:
    """Largest |cosine| of the incoming weights of two units; NaN for layers without. Of n random rows of d weights
    it is about sqrt(2 ln(n^2) / d)."""
    weight = of_units(layer, getattr(layer, "weight", None), MOST_SIMILAR)
    if weight is None:
        return math.nan
    rows = doubled(weight.detach()).flatten(1)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
    return float((rows @ rows.T).fill_diagonal_(0).abs().max())


def of_units(layer: nn.Module, weight: Any, most: int) -> Tensor | None:
    """The layer's `weight`, where its rows are what comes into 2 to `most` units; else None."""
    units = isinstance(layer, (nn.Linear, _ConvNd)) and isinstance(weight, Tensor) and 2 <= len(weight) <= most
    return weight if units else None


def _rows(left: Tensor) -> Tensor:
    rows = doubled(left[:ROWS]).reshape(min(len(left), ROWS), -1)
    return rows[:, :: coprime(math.ceil(rows.shape[1] / COLUMNS), rows.shape[1])]
