"""The receipt: members replayed alone, and how far they lie from what they got in their population."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from trainsmith.population.alone import Alone
from trainsmith.population.course import Result, Training
from trainsmith.population.luck import batches
from trainsmith.population.member import Member

TOLERANCE = 1e-4
"""Largest relative deviation of a training loss in the first steps that rounding in float32 explains.

Sums in another order differ by about 1e-7; ten steps at a high learning rate amplify that."""


def deviation(member: Member, x: torch.Tensor, y: torch.Tensor, training: Training, result: Result) -> float:
    """The largest |loss alone - loss in the population| over the first steps, relative to the largest loss.

    member: built anew from its run, so that nothing is shared with the population that gave `result`.
    """
    there = result.first_losses
    order = batches(member.seed, member.train, training.batch_size, training.steps)
    alone = Alone(member)
    here = []
    for i, chosen in enumerate(order[: len(there)]):
        targets = member.targets(y[chosen])
        here.append(alone.step(i + 1, training.rate(i + 1), x[chosen][None], targets[None]).item())
    return relative_deviation(here, there)


def relative_deviation(here: Sequence[float], there: Sequence[float]) -> float:
    """max |a - b| / max |a| over the finite part; infinite if one is finite where the other is not."""
    a, b = np.asarray(here), np.asarray(there)
    finite = np.isfinite(a)
    if (finite != np.isfinite(b)).any():
        return math.inf
    return float(np.abs(a - b)[finite].max() / np.abs(a[finite]).max()) if finite.any() else 0.0
