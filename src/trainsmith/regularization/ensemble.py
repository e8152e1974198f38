"""Several networks for one (Goodfellow et al. 2016, Deep Learning, section 7.11). To be used alone.

Averages of weights, such as stochastic weight averaging, are the optimizer room's: WeightAverage.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.errors import InvalidInput


def bootstrap(examples: int, members: int, seed: int) -> np.ndarray:
    """For each member as many examples drawn with replacement, (members, examples) indices.

    Breiman 1996, Bagging predictors: a share of 1 - 1/e = 63.2 % of the examples is in each sample.
    """
    return np.random.Generator(np.random.Philox(seed)).integers(0, examples, (members, examples))


def average_probabilities(logits: Float[Tensor, "members n classes"]) -> Float[Tensor, "n classes"]:
    """The members' mean probabilities. Lakshminarayanan, Pritzel & Blundell 2017, Deep ensembles, section 2.4.

    Probabilities are averaged, not logits: the mean of logits is a geometric mean of probabilities.
    """
    return logits.softmax(-1).mean(0)


class Ensemble(nn.Module):
    """Networks that predict together: forward gives the logarithms of their mean probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise InvalidInput("an ensemble needs at least one network; got none.")
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Float[Tensor, "n classes"]:
        """log of the members' mean probabilities, which a softmax takes back to them."""
        return average_probabilities(torch.stack([m(x) for m in self.members])).log()


def snapshot_rate(step: int, steps: int, cycles: int) -> float:
    """The factor on the learning rate at `step`, from 1: falls from 1 to about 0 by a cosine in each cycle.

    Huang, Li, Pleiss, Liu, Hopcroft & Weinberger 2017, Snapshot ensembles, equation 2. Take a copy of the network at
    the end of each cycle, every ceil(steps / cycles) steps.
    """
    length = math.ceil(steps / cycles)
    return (math.cos(math.pi * ((step - 1) % length) / length) + 1) / 2
