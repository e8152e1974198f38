"""The smallest difference worth having, by what the test part is large enough to show."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from trainsmith.catalogue import Run
from trainsmith.comparison.example_errors import each_score
from trainsmith.comparison.statistics import (
    OTHER_DELTA,
    Floats,
    smallest_balanced_difference,
    smallest_difference,
)
from trainsmith.comparison.tested import MOST_ATTACKED
from trainsmith.comparison.trainings import Trainings
from trainsmith.luck import generator
from trainsmith.population import Result, rules_of, trained_member
from trainsmith.population.members.objective import outputs_by_pieces
from trainsmith.population.members.task import Balanced, ByRobustAccuracy, Classification

MOST_LOOKED_AT = 2000
"""About so many validation examples of a seed tell how far two networks are apart on each."""
Held = tuple[np.ndarray, Floats]
"""Validation examples of a seed, by their places in the data, and its network's score on each."""


def smallest_worth(trainer: Trainings, runs: Sequence[Run], results: Sequence[Result], constant: float) -> float:
    """delta of the data's score. runs, results: the baseline's on fresh seeds. constant: what a diverged run counts.

    Of accuracies as smallest_difference and smallest_balanced_difference say; of other scores 0.01, or one standard
    error of the difference that a test part of this size would show between two seeds of the baseline, whichever is
    larger. Their own error is more than that: two networks are wrong on the same examples.
    """
    dataset, metric = trainer.dataset, rules_of(trainer.dataset).metric
    scores = [r.score for r in results if not math.isnan(r.score)]
    score = float(np.mean(scores)) if scores else constant
    if metric == Balanced.metric:
        shares = (torch.bincount(dataset.y) / len(dataset.y)).tolist()
        return smallest_balanced_difference([dataset.test.size * share for share in shares if share], score)
    if metric == ByRobustAccuracy.metric:
        return smallest_difference(min(MOST_ATTACKED, dataset.test.size), score)
    if metric == Classification.metric:
        return smallest_difference(dataset.test.size, score)
    return max(OTHER_DELTA, luck_error(_held_out(trainer, runs, results), dataset.test.size))


def luck_error(held: Iterable[Held], tested: int) -> float:
    """One standard error of the difference of two seeds' scores on so many examples; 0 where they share no two.

    sqrt(v / tested), v the variance of the difference on one example, pooled over every two seeds and the examples that
    both held out: Σ (d − mean d)² / Σ (n − 1).
    """
    squares, free = 0.0, 0
    for (places, one), (others, other) in itertools.combinations(held, 2):
        _, here, there = np.intersect1d(places, others, assume_unique=True, return_indices=True)
        d = one[here] - other[there]
        if len(d) > 1:
            squares += float(((d - d.mean()) ** 2).sum())
            free += len(d) - 1
    return math.sqrt(squares / free / tested) if free else 0.0


def _held_out(trainer: Trainings, runs: Sequence[Run], results: Sequence[Result]) -> list[Held]:
    """Of each run that did not diverge; of many validation examples those that lie in one drawn part of the data."""
    dataset, found = trainer.dataset, list[Held]()
    looked_at = generator(0, "worth").permutation(len(dataset.x))
    for run, result in zip(runs, results, strict=True):
        if result.state is None:
            continue
        member = trained_member(run, trainer.network, dataset, result.state)
        share = min(1.0, MOST_LOOKED_AT / len(member.validation))
        places = np.intersect1d(member.validation, looked_at[: math.ceil(share * len(looked_at))])
        x, y = dataset.x[torch.from_numpy(places)], dataset.y[torch.from_numpy(places)]
        each = each_score(member.rules, outputs_by_pieces(member.objective.network, x), member.targets(y))
        if each is not None:
            found.append((places, each))
    return found
