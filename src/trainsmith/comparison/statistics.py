"""What few seeds can say: t intervals, exact sign-flip tests for many techniques at once, and verdicts.

Percentile bootstraps are far too narrow for few seeds, so intervals are Student's (1908). P-values come from
flipping signs (Fisher 1935, section 21): if a technique makes no difference, each paired difference is as
likely to be negative as positive. With n seeds no exact two-sided p-value is below 2^(1−n).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainsmith.errors import InvalidInput

Floats = NDArray[np.float64]
Kind = Literal["better", "worse", "no difference worth having", "cannot tell yet"]

OTHER_DELTA = 0.01
"""The smallest difference worth having of a score that is no accuracy."""
SIGNIFICANCE = 0.05
LEAST_SEEDS = 6
"""The fewest seeds whose smallest exact p-value, 2^(1−n), is below SIGNIFICANCE."""
EXACT_SEEDS = 16
"""Up to here all 2^(n−1) flips are tried; above, as many random ones as MONTE_CARLO_FLIPS."""
MONTE_CARLO_FLIPS = 1 << 15
FLIPS_AT_ONCE = 1 << 12
TIE = 1e-10
"""Scores are counts, so flips often tie exactly; rounding must not break the ties."""


@dataclass(frozen=True)
class Interval:
    """A mean of n values and its confidence interval [low, high]."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Paired:
    """The mean of n paired differences, its interval, their sd, and the correlation of the two scores."""

    mean: float
    low: float
    high: float
    n: int
    sd: float
    correlation: float


@dataclass(frozen=True)
class Verdict:
    """One of four answers, and the words for it: "cannot tell yet: about 14 seeds would"."""

    kind: Kind
    words: str


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """mean ± t(n−1, (1 + confidence) / 2) · sd / sqrt(n) of `values` (n,), sd with n − 1 in its denominator.

    Equal values have an interval of width zero; a single value an infinite one. confidence: in (0, 1).
    Raises InvalidInput for no values and for values that are not finite.
    """
    v = _finite(values, axes=1)
    if np.ptp(v) == 0:  # the mean of equal values may differ from them in the last digit
        half = 0.0 if len(v) > 1 else math.inf
        return Interval(float(v[0]), float(v[0]) - half, float(v[0]) + half, len(v))
    half = _t_quantile(len(v), confidence) * float(v.std(ddof=1)) / math.sqrt(len(v))
    mean = float(v.mean())
    return Interval(mean, mean - half, mean + half, len(v))


def paired_difference(treatment: ArrayLike, baseline: ArrayLike, confidence: float = 0.95) -> Paired:
    """treatment − baseline, two scores (n,) of the same n seeds, with the t interval of its mean.

    sd: of the differences; nan for one seed. correlation: Pearson's, between the two scores; it says what
    pairing was worth, and is nan where it is undefined (one seed, or scores that do not vary).
    """
    a, b = _finite(treatment, axes=1), _finite(baseline, axes=1)
    if len(a) != len(b):
        raise InvalidInput(f"paired scores must come from the same seeds; got {len(a)} and {len(b)} scores.")
    d = a - b
    interval = t_interval(d, confidence)
    sd = math.nan if len(d) < 2 else 0.0 if np.ptp(d) == 0 else float(d.std(ddof=1))
    correlation = math.nan
    if np.ptp(a) > 0 and np.ptp(b) > 0:
        u, w = a - a.mean(), b - b.mean()
        correlation = float(np.clip(u @ w / math.sqrt((u @ u) * (w @ w)), -1, 1))
    return Paired(interval.mean, interval.low, interval.high, len(d), sd, correlation)


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided p-value of the differences (n,): the share of sign flips whose |mean| is at least theirs.

    Exact up to 16 differences; above, from 32,768 random flips, always the same ones.
    """
    return float(max_t_sign_flip(_finite(differences, axes=1)[None])[0])


def max_t_sign_flip(differences: ArrayLike) -> Floats:
    """p-values (techniques,) of paired differences (techniques, n), adjusted for how many there are.

    Each technique's p is the share of sign flips, the same for all techniques, whose largest |t| over the
    techniques is at least the technique's own (single-step max-T; Westfall & Young 1993, section 2.3). The
    chance of a single false alarm among techniques that all make no difference is at most p.

    |t| grows with |s·d| / (sqrt(n) |d|), where s are the signs, and that is what is compared: it is 1 where t
    is infinite (differences that are all equal) and taken as 0 where all differences are 0, whose p is 1.
    """
    d = _finite(differences, axes=2)
    n = d.shape[1]
    largest = np.abs(d).max(axis=1, keepdims=True)
    d = d / np.where(largest > 0, largest, 1)
    norm = math.sqrt(n) * np.linalg.norm(d, axis=1, keepdims=True)
    unit = d / np.where(norm > 0, norm, 1)
    own = np.abs(unit.sum(axis=1))
    reached = np.zeros(len(d), np.int64)
    total = 0
    for signs in _sign_flips(n):
        strongest = np.abs(signs @ unit.T).max(axis=1)
        reached += (strongest[:, None] >= own - TIE).sum(axis=0)
        total += len(signs)
    if n > EXACT_SEEDS:  # the data themselves are one of the flips
        return (reached + 1) / (total + 1)
    return reached / total


def _sign_flips(n: int) -> Iterator[Floats]:
    """Blocks (flips, n) of ±1. Flipping all signs leaves |t| as it is, so the last sign stays +."""
    if n <= EXACT_SEEDS:
        count = 1 << (n - 1)
        for start in range(0, count, FLIPS_AT_ONCE):
            flips = np.arange(start, min(start + FLIPS_AT_ONCE, count))
            yield np.where(flips[:, None] >> np.arange(n) & 1, -1.0, 1.0)
        return
    luck = np.random.Generator(np.random.Philox(key=n))
    for _ in range(0, MONTE_CARLO_FLIPS, FLIPS_AT_ONCE):
        yield np.where(luck.integers(0, 2, (FLIPS_AT_ONCE, n)), -1.0, 1.0)


def seeds_needed(sd: float, delta: float, confidence: float = 0.95) -> int:
    """The fewest seeds n ≥ 2 whose interval is at most `delta` wide to either side: t(n−1) · sd / sqrt(n) ≤ delta.

    sd: of the paired differences, ≥ 0, and delta > 0, both in units of the score.
    """
    if not (delta > 0 and sd >= 0 and math.isfinite(sd)):
        raise InvalidInput(f"the sd must be finite and at least 0 and delta above 0; got {sd!r} and {delta!r}.")

    def enough(n: int) -> bool:
        return _t_quantile(n, confidence) * sd / math.sqrt(n) <= delta

    high = 2
    while not enough(high):
        high *= 2
    low = high // 2  # the half-width falls with n, so bisection finds the first n that is enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_difference(test_size: int, score: float) -> float:
    """delta, the smallest difference worth having, of an accuracy a = score in [0, 1], under attack or not.

    0.002 or its standard error sqrt(a (1 − a) / test_size), whichever is larger. test_size: of the tested examples.
    """
    if test_size < 1 or not 0 <= score <= 1:
        raise InvalidInput(
            "the smallest difference needs a test part and an accuracy in [0, 1]; got "
            f"{test_size!r} examples and {score!r}."
        )
    return max(0.002, math.sqrt(score * (1 - score) / test_size))


def balanced_error(sizes: Sequence[float], score: float) -> float:
    """One standard error of a balanced accuracy a = score in [0, 1], the mean over classes of the share of each found.

    sqrt(a (1 − a) Σ 1 / n_c) / k where each of k classes is found as often. sizes: n_c, of the test examples
    those of each class.
    """
    return math.sqrt(score * (1 - score) * sum(1 / n for n in sizes)) / len(sizes)


def smallest_balanced_difference(sizes: Sequence[float], score: float) -> float:
    """delta of a balanced accuracy: 0.01, or its standard error (see balanced_error), whichever is larger."""
    return max(OTHER_DELTA, balanced_error(sizes, score))


def verdict(difference: Paired, adjusted_p: float, delta: float, compared: int = 1) -> Verdict:
    """What a paired difference allows to be said, where differences smaller than `delta` are not worth having.

    no difference worth having: the whole interval lies inside ±delta, even if it excludes zero; fewer than 6
    differences that are all equal say nothing, since scores that are counts often tie. better, worse:
    the interval lies on one side of zero and adjusted_p < 0.05. cannot tell yet: neither, with the number of
    seeds at which an interval around the same mean with the same sd would be one of them: of half-width
    delta − |mean|, or |mean| at the confidence 0.95^(1/compared) that p-values adjusted for so many techniques ask for
    (Šidák 1967), and not fewer than 6, below which no p-value is small enough.
    """
    if not delta > 0:
        raise InvalidInput(f"delta, the smallest difference worth having, must be above 0; got {delta!r}.")
    alike_by_chance = difference.sd == 0 and difference.n < LEAST_SEEDS
    if -delta < difference.low and difference.high < delta and not alike_by_chance:
        return _plain("no difference worth having")
    if adjusted_p < SIGNIFICANCE and difference.low > 0:
        return _plain("better")
    if adjusted_p < SIGNIFICANCE and difference.high < 0:
        return _plain("worse")
    if math.isnan(difference.sd):
        return Verdict("cannot tell yet", f"cannot tell yet: at least {LEAST_SEEDS} seeds are needed")
    size = abs(difference.mean)
    ways = [(size, (1 - SIGNIFICANCE) ** (1 / compared)), (delta - size, 1 - SIGNIFICANCE)]
    needed = min(seeds_needed(difference.sd, half, confidence) for half, confidence in ways if half > 0)
    needed = max(needed, LEAST_SEEDS, difference.n + 1)
    return Verdict("cannot tell yet", f"cannot tell yet: about {needed} seeds would")


def _plain(kind: Kind) -> Verdict:
    return Verdict(kind, kind)


def expected_best(scores: ArrayLike) -> Floats:
    """The tuning curve (T,): the expected best of k trials, k = 1 … T, estimated from T trials' scores (T,).

    sum_i v_(i) · [(i/T)^k − ((i−1)/T)^k], v_(1) ≤ … ≤ v_(T): the expected maximum of k draws from the scores
    with replacement (Dodge et al. 2019, Show Your Work). A diverged trial needs a score too: the worst.
    """
    v = np.sort(_finite(scores, axes=1))
    share = np.arange(len(v) + 1) / len(v)
    k = np.arange(1, len(v) + 1)[:, None]
    return np.diff(share**k, axis=1) @ v


def mcnemar_p(ahead: int, behind: int) -> float:
    """Exact two-sided p-value of two classifiers that differ on ahead + behind examples, in each one's favour.

    McNemar 1947: where both are as good, each example they differ on is a fair coin. Twice the smaller tail of the
    binomial distribution, 1 at most. Raises InvalidInput unless both are counts.
    """
    from scipy.special import bdtr

    if min(ahead, behind) < 0:
        raise InvalidInput(f"examples are counted from 0; got {ahead!r} and {behind!r}.")
    return min(1.0, 2 * float(bdtr(min(ahead, behind), ahead + behind, 0.5)))


def _t_quantile(n: int, confidence: float) -> float:
    from scipy.special import stdtrit

    if not 0 < confidence < 1:
        raise InvalidInput(f"the confidence must be a number between 0 and 1; got {confidence!r}.")
    return float(stdtrit(n - 1, (1 + confidence) / 2))


def _finite(values: ArrayLike, axes: int) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != axes or array.size == 0 or not np.isfinite(array).all():
        raise InvalidInput(
            f"scores and differences must be finite numbers in a non-empty array with {axes} "
            f"ax{'i' if axes == 1 else 'e'}s; got shape {array.shape}"
            f"{'' if np.isfinite(array).all() else ' with values that are NaN or infinite'}. "
            "Give a diverged run the score of the best constant prediction."
        )
    return array
