"""Small data and runs that many tests train."""

import numpy as np

from trainsmith.catalogue import FAMILIES, Recipe, Run, Trial, techniques
from trainsmith.data import from_arrays


def blobs(examples=200, features=12, classes=3, seed=0, shift=0.0):
    """Overlapping Gaussian classes as a Dataset."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, examples)
    centres = rng.normal(size=(classes, features))
    return from_arrays((centres[y] + rng.normal(size=(examples, features)) + shift).astype(np.float32), y, "blobs")


def line(examples=200, features=5, seed=0):
    """A noisy linear regression as a Dataset, with targets far from zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, features)).astype(np.float32)
    return from_arrays(x, (50 + 10 * x @ rng.normal(size=features) + rng.normal(size=examples)).astype(np.float32))


def every_recipe():
    """One recipe for each technique there is, around He + ReLU + Adam, and some that combine several."""
    base = Recipe()
    single = [base.having(t) for family in FAMILIES for t in techniques(family)]
    combined = [
        Recipe(normalization="batch", regularization=("dropout",)),
        Recipe(
            normalization="layer",
            activation="elu",
            optimizer="nesterov",
            regularization=("l2", "label-smoothing"),
        ),
        Recipe(
            normalization="standardization",
            activation="leaky-relu",
            regularization=("early-stopping", "dropout"),
        ),
    ]
    return list(dict.fromkeys([*combined, base, *single]))


RECIPES = every_recipe()


def runs_of(recipe, count):
    """Runs that differ in seed and in the value of every hyper-parameter a study tunes."""
    tuned = [(name, h) for name, h in recipe.hyperparameters() if h.tuned]
    return [Run(Trial(recipe, {n: h.at(0.3 + 0.4 * i / count) for n, h in tuned}), seed=10 + i) for i in range(count)]
