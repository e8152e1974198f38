"""Histograms of activations and gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.passes.double import doubled

BINS = 30
NARROW, WIDE = 1e-35, 1e38
"""Ranges of which single precision cannot hold the reciprocal, or their own length."""


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
    finite = doubled(values.detach().flatten())
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


def side_by_side(values: np.ndarray, widths: Sequence[int]) -> list[Histogram]:
    """One histogram for each block of columns of values (n, columns), of what is finite and not exactly 0.

    widths: how many columns each block has. All are counted in one pass, which takes a fraction of the time.
    """
    starts, blocks = np.cumsum([0, *widths[:-1]]), np.arange(len(widths), dtype=np.int32)
    unused = (values == 0) | ~np.isfinite(values)
    kept = values.astype(np.float32)
    np.putmask(kept, unused, np.nan)
    low = np.fmin.reduceat(np.fmin.reduce(kept, axis=0), starts)
    high = np.fmax.reduceat(np.fmax.reduce(kept, axis=0), starts)
    empty = np.isnan(low)
    low[empty] = high[empty] = 0
    high = np.where(high > low, high, low + 1e-3 * np.maximum(1, np.abs(low))).astype(np.float32)
    reach = high.astype(np.float64) - low
    if reach.min() < NARROW or reach.max() > WIDE:
        kept = kept.astype(np.float64)
    scale = (BINS / reach).astype(kept.dtype)
    kept -= np.repeat(low, widths)
    kept *= np.repeat(scale, widths)
    np.minimum(kept, BINS - 1, out=kept)  # the largest value belongs into the last bin
    np.putmask(kept, unused, BINS)
    places = kept.astype(np.int32)
    places += np.repeat(blocks * (BINS + 1), widths)
    counts = np.bincount(places.ravel(), minlength=len(widths) * (BINS + 1)).reshape(len(widths), BINS + 1)
    return [
        Histogram(a, b, tuple(c[:BINS])) for a, b, c in zip(low.tolist(), high.tolist(), counts.tolist(), strict=True)
    ]
