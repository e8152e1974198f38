"""The depth experiment agrees with independent figures and with theory."""

import json
import math

import numpy as np
import pytest
import torch

from reference import meanfield as reference
from trainsmith.errors import InvalidInput
from trainsmith.inspection import depth_experiment
from trainsmith.inspection.statistics.histogram import BINS

SPREAD = {
    ("sigmoid", "normal"): (0.025, 0.0125, 0.0124, 0.0124, 0.0127),
    ("sigmoid", "xavier"): (0.208, 0.126, 0.119, 0.119, 0.124),
    ("sigmoid", "he"): (0.261, 0.175, 0.164, 0.163, 0.170),
    ("tanh", "normal"): (1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
    ("tanh", "xavier"): (0.627, 0.486, 0.407, 0.356, 0.321),
    ("tanh", "he"): (0.720, 0.633, 0.594, 0.576, 0.567),
    ("relu", "normal"): (5.9e-2, 4.2e-3, 3.0e-4, 2.1e-5, 1.5e-6),
    ("relu", "xavier"): (0.585, 0.416, 0.295, 0.206, 0.150),
    ("relu", "he"): (0.828, 0.832, 0.835, 0.824, 0.850),
}
"""Spread behind layers 1 to 5, mean over 20 seeds of an independent program."""


@pytest.fixture(scope="module")
def experiments():
    return [depth_experiment(seed=s) for s in range(8)]


@pytest.mark.parametrize("cell", SPREAD, ids=str)
def test_the_mean_over_seeds_is_the_table(experiments, cell):
    activation, initialization = cell
    spreads = [[layer.std for layer in e.cell(initialization, activation).layers] for e in experiments]
    assert np.mean(spreads, axis=0) == pytest.approx(SPREAD[cell], rel=0.10)


@pytest.mark.parametrize("cell", SPREAD, ids=str)
def test_one_seed_is_near_its_prediction(experiments, cell):
    for layer in experiments[0].cell(cell[1], cell[0]).layers:
        assert layer.std == pytest.approx(layer.predicted_std, rel=0.15)
        assert layer.mean == pytest.approx(layer.predicted_mean, abs=0.15 * layer.predicted_std + 0.02)


@pytest.mark.parametrize(("activation", "initialization", "gain"), [("tanh", "xavier", 1), ("relu", "he", 2)])
def test_predictions_are_the_references(experiments, activation, initialization, gain):
    expected = [std for _, std, _ in reference.recursion(activation, [gain] * 5)]
    predicted = [layer.predicted_std for layer in experiments[0].cell(initialization, activation).layers]
    assert predicted == pytest.approx(expected, rel=0.05)  # the drawn weights' variance is not quite the nominal


def test_weights_are_no_copy_of_the_inputs(experiments):
    """Weights that repeat the inputs' numbers inflate the first layer by an eighth: seen against theory."""
    for experiment in experiments:
        layer = experiment.cell("he", "relu").layers[0]
        assert layer.std == pytest.approx(layer.predicted_std, rel=0.04)


def test_cells_of_an_activation_share_draws_and_edges(experiments):
    normal, xavier = (experiments[0].cell(i, "relu").layers[0] for i in ("normal", "xavier"))
    assert xavier.std == pytest.approx(10 * normal.std, rel=1e-5)  # 0.1 to 0.01 of the same numbers
    assert normal.histogram.edges() == xavier.histogram.edges()
    assert len(normal.histogram.counts) == BINS == 30


def test_exact_zeros_are_told_apart(experiments):
    layer = experiments[0].cell("he", "relu").layers[0]
    assert layer.zeros == pytest.approx(0.5, abs=0.05)
    assert sum(layer.histogram.counts) <= (1 - layer.zeros) * 1000 * 100 + 1
    assert experiments[0].cell("he", "tanh").layers[0].zeros < 1e-3


def test_seeds_repeat_and_differ(experiments):
    assert depth_experiment(seed=0) == experiments[0] != experiments[1]


def test_global_random_state_stays():
    before = torch.get_rng_state()
    depth_experiment(seed=4, examples=10, width=8, depth=2)
    assert torch.equal(before, torch.get_rng_state())


def test_to_dict_is_json_even_when_numbers_overflow():
    json.dumps(depth_experiment(examples=20, width=10, depth=3).to_dict(), allow_nan=False)
    deep = depth_experiment(examples=4, width=4, depth=3, initializations=("he",), activations=("relu",))
    broken = deep.__class__(
        **{**vars(deep), "cells": (deep.cells[0].__class__("he", "relu", (_with_nan(deep.cells[0].layers[0]),)),)}
    )
    assert broken.to_dict()["cells"][0]["layers"][0]["std"] is None


def _with_nan(layer):
    return layer.__class__(**{**vars(layer), "std": math.nan})


@pytest.mark.parametrize("size", ["examples", "width", "depth"])
def test_sizes_below_one_are_refused(size):
    for refused, told in ((0, "0"), (2.5, "2.5"), (True, "True")):
        with pytest.raises(InvalidInput, match=f"{size} must be a whole number of at least 1; got {told}"):
            depth_experiment(**{size: refused})


def test_unknown_names_are_refused():
    with pytest.raises(InvalidInput, match="did you mean relu"):
        depth_experiment(activations=("relo",))
