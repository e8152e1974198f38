"""What the size of the test part leaves uncertain: in a score, and in the difference of two."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainsmith.comparison.statistics import Floats, balanced_error
from trainsmith.population.members.task import (
    Balanced,
    ByCalibration,
    ByLogLoss,
    ByRobustAccuracy,
    Classification,
    Language,
    MultiLabel,
    Regression,
    Rules,
)

Each = dict[int, Floats]
"""By seed, the score of the trained network on each test example (n,)."""


def each_score(rules: Rules, outputs: Tensor, y: Tensor) -> Floats | None:
    """(n,) of outputs for n examples with targets y as the network is trained on, whose mean is their score.

    R², F1 and the calibration error are functions of such means, and taken as straight lines around where they are, so
    that an example has what it moves the score by, n times (the influence function: Hampel 1974). None of balanced
    accuracy and of robust accuracy, whose outputs are never seen.
    """
    if rules.metric == Classification.metric:
        return (outputs.argmax(-1) == y).double().numpy()
    if isinstance(rules, Regression):
        return _of_r2(outputs.reshape(y.shape).double(), y.double())
    if isinstance(rules, MultiLabel):
        return _of_f1(outputs > 0, y > 0.5)
    if isinstance(rules, ByCalibration):
        return _of_calibration(rules, outputs, y)
    if not isinstance(rules, (ByLogLoss, Language)):
        return None
    losses = functional.cross_entropy(outputs.double().movedim(-1, 1), y, reduction="none").reshape(len(y), -1).mean(1)
    return (-losses / (math.log(2) if isinstance(rules, Language) else 1)).numpy()


def _of_r2(outputs: Tensor, y: Tensor) -> Floats | None:
    """R² − (e − (1 − R²) d) / d̄ where R² = 1 − ē / d̄, e an example's squared errors and d its squared deviations."""
    e, d = ((y - other).square().reshape(len(y), -1).sum(1) for other in (outputs, y.mean(0)))
    if not d.any():
        return None
    share = e.mean() / d.mean()
    return (1 - share - (e - share * d) / d.mean()).numpy()


def _of_f1(predicted: Tensor, true: Tensor) -> Floats:
    """F1 + (a − F1 b) / b̄ where F1 = ā / b̄, a twice an example's labels rightly predicted, b the predicted and true."""
    a, b = 2.0 * (predicted & true).sum(1).double(), predicted.sum(1).double() + true.sum(1)
    if not b.any():
        return np.ones(len(b))
    score = a.mean() / b.mean()
    return (score + (a - score * b) / b.mean()).numpy()


def _of_calibration(rules: ByCalibration, outputs: Tensor, y: Tensor) -> Floats:
    """−g with the sign of the bin's sum, where the error is Σ |Σ g| / n, bin by bin, g being right minus confidence."""
    bin, gap = rules.gaps(outputs, y)
    sums = torch.zeros(rules.bins, dtype=gap.dtype).index_add_(0, bin, gap)
    return (-gap * sums.sign()[bin]).numpy()


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
