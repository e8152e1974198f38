"""Histograms hold every finite value once, whatever the range."""

import numpy as np
import pytest
import torch

from trainsmith.inspection.histogram import BINS, histogram


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
