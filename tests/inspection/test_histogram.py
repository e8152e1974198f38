"""Histograms hold every finite value once, whatever the range."""

import numpy as np
import pytest
import torch

from trainsmith.inspection.statistics.histogram import BINS, histogram, side_by_side


def test_counts_are_numpys():
    values = torch.randn(5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = histogram(values, -2.0, 3.0)
    counts, edges = np.histogram(values.numpy(), BINS, (-2.0, 3.0))
    assert list(ours.counts) == counts.tolist()
    assert ours.edges() == pytest.approx(edges.tolist())


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_the_own_range_holds_every_value(scale):
    values = torch.linspace(-1, 2, 301) * scale
    ours = histogram(values)
    assert sum(ours.counts) == 301
    assert (ours.low, ours.high) == pytest.approx((-scale, 2 * scale))


@pytest.mark.parametrize("value", [0.0, 3.0, -2e9])
def test_equal_values_get_a_range_around_them(value):
    ours = histogram(torch.full((7,), value))
    assert sum(ours.counts) == 7
    assert ours.low < value < ours.high


def test_values_that_are_not_finite_are_left_out():
    assert sum(histogram(torch.tensor([1.0, float("nan"), float("inf"), 2.0])).counts) == 2
    assert sum(histogram(torch.tensor([float("nan")])).counts) == 0


@pytest.mark.parametrize("scale", [1e-44, 1e-39, 1e-37, 1e-30, 1.0, 1e30, 3e38])
def test_samples_side_by_side_have_numpys_counts_whatever_their_range(scale):
    rows = torch.randn(128, 24, generator=torch.Generator().manual_seed(0)).clamp(-1, 1).double() * scale
    values = rows.float().numpy()
    for drawn, own in zip(side_by_side(values, [7, 1, 16]), np.split(values, [7, 8], axis=1), strict=True):
        used = own[own != 0].astype(np.float64)
        low, high = used.min(), used.max()
        high = high if high > low else low + 1e-3
        counts = np.histogram(used, BINS, (low, high))[0]
        assert (drawn.low, drawn.high) == pytest.approx((low, high))
        assert sum(drawn.counts) == len(used)
        assert np.abs(np.cumsum(drawn.counts) - np.cumsum(counts)).max() <= 2  # of values at the edge of a bin
