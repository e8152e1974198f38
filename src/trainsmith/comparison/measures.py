"""What runs that were trained anyway say beside their scores: chance of being better, tuning curve, steps to target."""

import math
from collections.abc import Sequence

import numpy as np

from trainsmith.comparison.statistics import expected_best
from trainsmith.comparison.study import Attempt, Estimate, Pace
from trainsmith.errors import InvalidInput
from trainsmith.population import Result

NORMAL_QUANTILE = 1.959963984540054
"""Of the standard normal distribution at 0.975."""


def wilson(count: float, n: int) -> Estimate:
    """The share count / n in [0, 1] with Wilson's 95 % score interval (Wilson 1927).

    (p + z²/2n ± z·sqrt(p(1 − p)/n + z²/4n²)) / (1 + z²/n), p = count / n, z = 1.96. Unlike p ± 1.96 sd it is not
    empty where all or none of few runs count. Raises InvalidInput unless 0 ≤ count ≤ n and n ≥ 1.
    """
    if not (n >= 1 and 0 <= count <= n):
        raise InvalidInput(f"a share needs 0 <= count <= n and n >= 1; got {count!r} of {n!r}.")
    p, z2 = count / n, NORMAL_QUANTILE**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_QUANTILE * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))


def chance_of_better(scores: np.ndarray, baseline: np.ndarray) -> Estimate:
    """The share of seeds whose score is above the baseline's with the same seed, both (n,), ties counting half."""
    d = scores - baseline
    return wilson(float((d > 0).sum() + (d == 0).sum() / 2), len(d))


def tuning_curve(tried: Sequence[Attempt], planned: int, constant_score: float) -> tuple[float, ...]:
    """Expected best validation score of k = 1 ... `planned` trials (see expected_best), diverged ones as a constant.

    Further trials beyond a range's end are left out: they were placed where the others were good.
    """
    scores = [constant_score if math.isnan(a.score) else a.score for a in tried[:planned]]
    return tuple(map(float, expected_best(scores)))


def pace(results: Sequence[Result], target: float) -> Pace:
    """At which check each run's validation score first reached `target`; a run that diverged missed it."""
    first = [
        next((step for step, _, _, score in r.curve if score >= target), math.inf)
        if not math.isnan(r.score)
        else math.inf
        for r in results
    ]
    median = float(np.median(first))
    return Pace(target, median if math.isfinite(median) else None, sum(map(math.isfinite, first)))
