"""A study: what was asked, what was tried, what came out. Numbers only; report draws them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainsmith.catalogue import Recipe, Trial
from trainsmith.comparison.measured import (
    Attempt,
    Cost,
    Curve,
    EqualCost,
    Estimate,
    Explained,
    McNemar,
    Pace,
    Robustness,
)
from trainsmith.inspection.statistics.histogram import Histogram
from trainsmith.population import COSTS


@dataclass(frozen=True)
class Row:
    """What a study says about one technique.

    values: the tuned hyper-parameters that won the tuning, by full name such as "adam.lr". edges: those
    of them that lie at the edge of the trials tried, so that a better value may lie outside. scores: the
    validation score of each fresh seed; a diverged run counts as the constant prediction's score.
    difference: from the baseline, paired by seed (None for the baseline itself). p: adjusted for all
    techniques of the family (max-T). correlation: of the paired scores. attempts: the tuning.
    chance: the share of seeds in which it is better than the baseline, with Wilson's interval. tuning_curve: the
    expected best validation score of 1, 2, ... trials, by the trials' own splits; its first value is that of an
    arbitrary setting from the ranges. pace: steps to the baseline's score. Empty in studies made before there were any.
    equal_cost: of a technique that costs more gradients a step than the baseline. p_study: as p, adjusted for all
    techniques of all families.
    """

    family: str
    technique: str
    title: str
    recipe: Recipe
    values: Mapping[str, float]
    edges: tuple[str, ...]
    scores: tuple[float, ...]
    score: Estimate
    diverged: int
    difference: Estimate | None
    p: float
    correlation: float
    verdict: str
    words: str
    attempts: tuple[Attempt, ...]
    curve: Curve
    chance: Estimate | None = None
    tuning_curve: tuple[float, ...] = ()
    pace: Pace | None = None
    equal_cost: EqualCost | None = None
    p_study: float = math.nan

    @property
    def is_baseline(self) -> bool:
        return self.difference is None

    @property
    def trial(self) -> Trial:
        return Trial(self.recipe, self.values)


@dataclass(frozen=True)
class Cut:
    """A recipe that a fast study did not train on fresh seeds.

    values: its best setting. score: the mean validation score at the last rung, of the whole length, over `seeds`
    tuning seeds; behind: how much higher the last recipe's was that was not cut. attempts: its tuning.
    """

    family: str
    technique: str
    recipe: Recipe
    values: Mapping[str, float]
    score: float
    behind: float
    seeds: int
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Effect:
    """What one technique adds (a main effect), or two add together beyond their sum (an interaction).

    difference: of the score, averaged over `recipes` recipes that it was added to, by seed, with its 95 % t interval.
    p: adjusted over the family, or over all interactions (max-T). verdict, words: as in Row, for interactions in words
    of their own.
    """

    families: tuple[str, ...]
    techniques: tuple[str, ...]
    difference: Estimate
    p: float
    verdict: str
    words: str
    recipes: int


@dataclass(frozen=True)
class Share:
    """A family's share, in [0, 1], of the variance between a grid's recipes; two families': their interaction's."""

    families: tuple[str, ...]
    share: Estimate


@dataclass(frozen=True)
class Receipt:
    """How far replayed members lie from themselves trained alone.

    deviation: the largest relative difference of a training loss in the first steps. members: how many
    were replayed. tolerance: above it the receipt is red. loops: why some runs could not be batched.
    """

    deviation: float
    members: int
    steps: int
    tolerance: float
    loops: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.deviation <= self.tolerance


@dataclass(frozen=True)
class TestScore:
    """The winning recipe on the locked test data, opened once: its seeds' mean, and the baseline's.

    sampling_error: one standard error of the score that comes from the test set's own size (nan where it is not known,
    as where all runs diverged). difference_error: the same of the difference from the baseline, from the examples they
    disagree about, averaged over the seeds, but not of balanced and robust accuracy; mcnemar: whether one network of
    each differs, of accuracies. Both where the baseline did not win.
    """

    __test__ = False

    technique: str
    score: Estimate
    baseline: Estimate
    examples: int
    sampling_error: float
    difference_error: float = math.nan
    mcnemar: McNemar | None = None


@dataclass(frozen=True)
class Activations:
    """What one layer gives on a batch of training examples, at the start and after training, counted in the same bins.

    role: "baseline" or "winner", whose first fresh seed it is. kind: the layer's class. layers: how many the network
    has, of which the record may hold some. spreads: the standard deviations.
    """

    role: str
    name: str
    kind: str
    layers: int
    start: Histogram
    end: Histogram
    start_spread: float
    end_spread: float


@dataclass(frozen=True)
class Study:
    """A whole comparison. `rows` holds each family's techniques, the baseline among them, best first.

    metric: "accuracy", "R²", ...; of a metric in COSTS, of which less is better, every score is the negative, so that
    more is better in all. delta: the smallest difference worth having. design, effects, interactions, shares: what
    combinations were trained, and what they say of techniques and families (see designs.py and effects.py).
    activations: of the baseline's and the winner's layers; empty in studies made before there were any. cut: what a
    fast study left out of `rows` after tuning, best first. costs: of each technique in `rows`, measured; the baseline's
    has no family. robust: accuracy under attack, the baseline's first, where one trains against an adversary.
    explained: why some runs diverged.
    """

    data: str
    about: str
    network: str
    metric: str
    delta: float
    baseline: Recipe
    plan: Mapping[str, Any]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    test: TestScore
    receipt: Receipt
    environment: Mapping[str, Any]
    states: Mapping[int, Mapping[str, np.ndarray]] = dataclasses.field(repr=False)
    """The weights of the winning recipe's runs, by seed."""
    design: str = "one-at-a-time"
    effects: tuple[Effect, ...] = ()
    interactions: tuple[Effect, ...] = ()
    shares: tuple[Share, ...] = ()
    activations: tuple[Activations, ...] = ()
    cut: tuple[Cut, ...] = ()
    costs: tuple[Cost, ...] = ()
    robust: tuple[Robustness, ...] = ()
    explained: tuple[Explained, ...] = ()

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is a cost, so that scores are its negative."""
        return self.metric in COSTS

    def shown(self, estimate: Estimate) -> Estimate:
        """A score or a difference of scores in the metric's own direction."""
        if not self.lower_is_better:
            return estimate
        return Estimate(-estimate.mean, -estimate.high, -estimate.low)

    def families(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.family for row in self.rows))

    def family(self, name: str) -> tuple[Row, ...]:
        """The rows of one family, best first."""
        return tuple(row for row in self.rows if row.family == name)

    def best(self) -> Row:
        """The winning recipe's row: of the techniques judged better the one furthest ahead, else the baseline."""
        return winner(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the weights, as values that JSON knows; numbers that are not finite become None.

        winner: the technique, or "baseline" if none is better.
        """
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "states"}
        best = self.best()
        return {"winner": "baseline" if best.is_baseline else best.technique, **_plain(plain)}


def winner(rows: tuple[Row, ...]) -> Row:
    """See Study.best."""
    better = [r for r in rows if r.verdict == "better" and r.difference is not None]
    if better:
        return max(better, key=lambda r: r.difference.mean if r.difference else -math.inf)
    return next(r for r in rows if r.is_baseline)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
