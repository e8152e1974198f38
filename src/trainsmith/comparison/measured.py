"""The parts that a study's rows are made of. Numbers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainsmith.catalogue import Recipe
from trainsmith.comparison.statistics import Interval, Paired
from trainsmith.inspection.faults.fault import Finding


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the low and high end of its 95 % t interval."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(found: Interval | Paired) -> Estimate:
        """The mean of scores, or of their paired differences, with its interval."""
        return Estimate(found.mean, found.low, found.high)


@dataclass(frozen=True)
class Attempt:
    """One trial of the tuning: its searched hyper-parameters, its mean validation score and loss over `seeds`.

    share: of the steps, that its last training took; below 1 only in a fast study.
    """

    values: Mapping[str, float]
    score: float
    loss: float
    seeds: int = 1
    share: float = 1.0


@dataclass(frozen=True)
class Curve:
    """Mean validation score over the seeds at each check, with its 95 % t interval."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Pace:
    """How soon runs reach `target`, the median of the baseline's final validation scores (both as in Row.scores).

    steps: median over the seeds of the first check at which it was reached, None where half of the runs or more missed
    it. reached: how many runs did. Checks before the last look at 1,000 validation examples at most.
    """

    target: float
    steps: float | None
    reached: int


@dataclass(frozen=True)
class EqualCost:
    """A technique that takes several gradients a step, trained for so few steps that it costs what the baseline costs.

    The same setting and fresh seeds as in its row, the same meaning of difference, p, verdict and words.
    """

    steps: int
    score: Estimate
    difference: Estimate
    p: float
    verdict: str
    words: str
    diverged: int = 0


@dataclass(frozen=True)
class Cost:
    """What a step of a technique's recipe takes on this machine, alone, by the plain loop on one thread.

    gradients: by the catalogue. seconds: of a step. megabytes: of weights, gradients and optimizer state.
    """

    family: str
    technique: str
    gradients: int
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class McNemar:
    """The winner's network that is exported and the baseline's of the same seed on the same test examples.

    winner, baseline: examples that this one alone has right. p: exact and two-sided: McNemar's test.
    """

    seed: int
    winner: int
    baseline: int
    p: float


@dataclass(frozen=True)
class Explained:
    """Why a run diverged: it was trained again alone, with every step measured.

    values: its hyper-parameters. step: at which its loss was not finite, or the last one, from 0. findings: the first
    of each kind, each with the step at which it was first seen. words: all of it.
    """

    recipe: Recipe
    values: Mapping[str, float]
    seed: int
    step: int
    findings: tuple[Finding, ...]
    words: str


@dataclass(frozen=True)
class Robustness:
    """A technique's accuracy on validation examples of its fresh seeds, clean and under attack.

    difference: of the accuracy under attack from the baseline's, paired by seed (None for the baseline). eps: how far
    the attack moves an input number, as a share of its range; steps: of the attack. norm: "inf", each number moves by
    at most eps; "2", the root mean square of the move over an example's numbers is at most eps.
    """

    technique: str
    clean: Estimate
    attacked: Estimate
    difference: Estimate | None
    eps: float
    steps: int
    norm: str = "inf"

    @property
    def attack(self) -> str:
        """What the attack was, in words."""
        far = "" if self.norm == "inf" else ", as the root mean square over an example's numbers"
        moved = f"every number moved by at most {self.eps:g} of its range{far}"
        return f"projected gradient descent, {self.steps} steps, {moved}"
