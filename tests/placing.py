"""For each technique a small network and data into which a recipe puts it."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.data import Dataset
from trainsmith.data.arrays import from_arrays
from trainsmith.network import Factory, build
from trainsmith.population import make_member

DRAW = np.random.default_rng(0)
Y = np.arange(120) % 3
IMAGES = from_arrays(DRAW.normal(size=(120, 1, 6, 6)) + Y[:, None, None, None], Y, "images")
TABLE = from_arrays(DRAW.normal(size=(120, 5)) * 3 + Y[:, None], Y, "table")
SELF = from_arrays(TABLE.x.numpy(), TABLE.y.numpy(), "table", "autoencoding")


def dense(shape, outputs):
    layers = [nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, outputs)]
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 12), nn.ReLU(), *layers)


def convolutional(shape, outputs):
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, outputs))


def residual(shape, outputs):
    return build("residual", shape, outputs)


def dropping(shape, outputs):
    return nn.Sequential(dense(shape, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, outputs))


PLACES = ((dense, TABLE), (dense, IMAGES), (convolutional, IMAGES), (residual, IMAGES), (dense, SELF))


@dataclass(frozen=True)
class Place:
    """A recipe with a technique, and a network and data for which nothing of it is skipped."""

    recipe: Recipe
    network: Factory
    data: Dataset

    def member(self, numbers=None, seed=3):
        """A run of the recipe at these numbers, by their full names."""
        return make_member(Run(Trial(self.recipe, numbers or {}), seed), self.network, self.data)


def placed(technique):
    """The first of the places that the technique can be put into, and where all its numbers count."""
    numbers = {h.name for h in technique.hyperparameters}
    places = [p for p in PLACES if "shift" not in numbers or p[1].kind == "image"]
    for activation in ("relu", "sigmoid"):
        recipe = Recipe(activation=activation).having(technique)
        for network, data in [(dropping, TABLE)] if hasattr(technique.make, "idle") else places:
            place = Place(recipe, network, data)
            if technique.name not in place.member().skipped:
                return place
    raise AssertionError(f"{technique.name} can be put into none of the networks")
