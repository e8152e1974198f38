"""Histograms of activations and gradients."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 30


@dataclass(frozen=True)
class Histogram:
    """Counts of finite values in equal bins from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]

    def edges(self) -> list[float]:
        """The ends of the bins, one more than there are counts."""
        width = (self.high - self.low) / len(self.counts)
        return [self.low + i * width for i in range(len(self.counts) + 1)]


def histogram(values: Tensor, low: float | None = None, high: float | None = None) -> Histogram:
    """30 bins over the values' own range, or from `low` to `high`; values that are not finite are left out."""
    finite = values.detach().flatten().double()
    finite = finite[finite.isfinite()]
    if low is None or high is None:
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if not high > low:
        width = max(abs(low), 1.0) * 1e-3
        low, high = low - width, high + width
    if not math.isfinite(high - low):
        low, high = -1.0, 1.0
    counts = torch.histc(finite, BINS, low, high)
    return Histogram(low, high, tuple(int(c) for c in counts))
