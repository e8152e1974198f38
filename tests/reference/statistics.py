"""The statistics of a comparison from their definitions, slowly: every flip, every draw, one at a time."""

import itertools
import math

from scipy import stats


def mean_and_sd(values):
    """Textbook mean and sd with n − 1."""
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def t_interval(values, confidence=0.95):
    """(low, high) of Student's interval."""
    mean, sd = mean_and_sd(values)
    half = stats.t.ppf(1 - (1 - confidence) / 2, len(values) - 1) * sd / math.sqrt(len(values))
    return mean - half, mean + half


def absolute_t(values):
    """|t| of a one-sample t test: infinite where equal values are not 0, 0 where all are."""
    mean, sd = mean_and_sd(values)
    if sd <= 1e-13 * max(map(abs, values), default=0):
        return math.inf if any(values) else 0.0
    return abs(mean) / (sd / math.sqrt(len(values)))


def max_t_sign_flip(rows):
    """Single-step max-T p-values, all 2^n flips, the same for every row."""
    own = [absolute_t(row) for row in rows]
    reached = [0] * len(rows)
    flips = list(itertools.product((1, -1), repeat=len(rows[0])))
    for signs in flips:
        strongest = max(absolute_t([s * d for s, d in zip(signs, row, strict=True)]) for row in rows)
        for i, t in enumerate(own):
            reached[i] += strongest >= t * (1 - 1e-9) if math.isfinite(t) else strongest == t
    return [r / len(flips) for r in reached]


def expected_best(scores):
    """Mean of the maximum over every ordered draw of k scores with replacement, k = 1 … T."""
    return [
        math.fsum(max(draw) for draw in itertools.product(scores, repeat=k)) / len(scores) ** k
        for k in range(1, len(scores) + 1)
    ]


def seeds_needed(sd, delta, confidence=0.95):
    """The first n from 2 on whose half-width is at most delta."""
    return next(n for n in itertools.count(2) if stats.t.isf((1 - confidence) / 2, n - 1) * sd / math.sqrt(n) <= delta)
