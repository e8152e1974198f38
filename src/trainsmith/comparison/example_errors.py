"""What the size of the test part leaves uncertain: in a score, and in the difference of two."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainsmith.comparison.statistics import Floats, balanced_error
from trainsmith.population.task import Balanced, ByLogLoss, ByRobustAccuracy, Classification, Language, Rules

Each = dict[int, Floats]
"""By seed, the score of the trained network on each test example (n,)."""


def each_score(rules: Rules, outputs: Tensor, y: Tensor) -> Floats | None:
    """(n,) of outputs for n examples, whose mean is their score; None of a score that is no such mean, such as R²."""
    if rules.metric == Classification.metric:
        return (outputs.argmax(-1) == y).double().numpy()
    if not isinstance(rules, (ByLogLoss, Language)):
        return None
    losses = functional.cross_entropy(outputs.double().movedim(-1, 1), y, reduction="none").reshape(len(y), -1).mean(1)
    return (-losses / (math.log(2) if isinstance(rules, Language) else 1)).numpy()


def sampling_error(rules: Rules, score: float, y: Tensor, each: Each) -> float:
    """One standard error of a network's score that comes from which examples are in the test set; nan where unknown.

    score: the mean over the seeds; y: the targets tested on.
    """
    if rules.metric in (Classification.metric, ByRobustAccuracy.metric):
        return math.sqrt(score * (1 - score) / len(y))
    if rules.metric == Balanced.metric:
        return balanced_error([n for n in torch.bincount(y).tolist() if n], score)
    if not each or len(y) < 2:
        return math.nan
    return math.sqrt(float(np.mean([of_seed.var(ddof=1) for of_seed in each.values()])) / len(y))


def difference_error(winner: Each, baseline: Each) -> float:
    """One standard error of the difference in score that comes from which examples are in the test set.

    sd over the examples of what the difference is on each, averaged over the seeds that both have, by sqrt(examples).
    """
    seeds = winner.keys() & baseline.keys()
    each = np.mean([winner[s].astype(float) - baseline[s] for s in sorted(seeds)], axis=0)
    return float(each.std(ddof=1) / math.sqrt(len(each))) if len(each) > 1 else math.nan
