"""Effective rank, correlation of examples and similarity of units, against numpy and against what theory gives."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from inspection.make_network import batch, draws, stack
from trainsmith.inspection import inspect
from trainsmith.inspection.statistics.likeness import effective_rank, likeness, similarity


def test_effective_rank_is_that_of_the_covariances_eigenvalues():
    x = draws(200, 12) * torch.logspace(0, 2, 12)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.double().numpy().T))
    assert effective_rank(x) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-6)
    assert effective_rank(x[:1].expand(5, 12)) == 0
    assert math.isnan(effective_rank(x[:1]))


def test_random_linear_layers_lose_rank_as_theory_says():
    # 1 / PR grows by 1 / n a layer: of 500 N(0, I) inputs of 100 numbers, whose own PR is about 83, some 45, 31 and 24
    rows = inspect(stack(0.1, nn.Tanh, depth=3), draws(500, 100) * 0.1).layers
    ranks = [row.effective_rank for row in rows if row.kind == "Linear"][:3]
    start = effective_rank(draws(500, 100))
    for depth, rank in enumerate(ranks, 1):
        assert 1 / rank == pytest.approx(1 / start + depth / 100, rel=0.1)


def test_likeness_is_the_mean_correlation_of_pairs():
    x = draws(30, 8) + 3 * draws(1, 8, seed=2) + 100
    correlations = np.corrcoef(x.double().numpy())
    expected = (correlations.sum() - 30) / (30 * 29)
    assert likeness(x) == pytest.approx(expected, rel=1e-6)
    assert math.isnan(likeness(x[:1]))
    assert math.isnan(likeness(x[:, :1]))


def test_similarity_is_the_largest_cosine_of_two_units():
    layer = nn.Linear(50, 20)
    w = layer.weight.detach().double().numpy()
    w = w / np.linalg.norm(w, axis=1, keepdims=True)
    assert similarity(layer) == pytest.approx(np.abs(w @ w.T - np.eye(20)).max(), rel=1e-6)
    layer.weight.data[3] = -2 * layer.weight.data[7]
    assert similarity(layer) == pytest.approx(1)
    assert math.isnan(similarity(nn.ReLU()))


def found(network, data=None):
    return [f.layer for f in inspect(network, data or batch()).findings if f.short == "examples look alike"]


def test_examples_that_come_to_look_alike_are_found():
    deep = stack(0.02**0.5, nn.ReLU, depth=80)
    assert found(deep) == ["160"]
    assert found(stack(0.02**0.5, nn.ReLU, depth=8)) == []
    x, y = batch()
    assert found(deep, (x[:1] + 1e-3 * x, y)) == []  # they came in alike


def test_a_constant_that_all_units_share_is_no_likeness():
    assert found(stack(0.1, nn.Sigmoid, depth=2)) == []


class Shifted(nn.Module):
    """What all examples share is large behind it, and what tells them apart passes: as positions in a transformer."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(100, 100), nn.Linear(100, 10)

    def forward(self, x):
        return self.last(self.first(x) + 30 * torch.linspace(-1, 1, 100))


def test_a_sum_of_branches_that_share_much_is_no_likeness():
    assert found(Shifted()) == []
