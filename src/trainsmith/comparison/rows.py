"""From results to rows: the choice of each technique's setting, and what its fresh seeds say."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from trainsmith.catalogue import FAMILIES, Trial
from trainsmith.comparison.measured import Attempt, Curve, EqualCost, Estimate
from trainsmith.comparison.measures import chance_of_better, pace, tuning_curve
from trainsmith.comparison.plan import COMBINATIONS, Candidate
from trainsmith.comparison.statistics import (
    Verdict,
    max_t_sign_flip,
    paired_difference,
    t_interval,
    verdict,
)
from trainsmith.comparison.study import Row
from trainsmith.population import Result

NOTHING_TRAINED = Verdict("cannot tell yet", "cannot tell yet: all runs of both diverged")
"""Of two that count as the same constant prediction on every seed, and differ by nothing."""


def rank(results: Sequence[Result]) -> tuple[float, float]:
    """What trials are ranked by: mean validation score, then mean loss; one diverged run ranks behind all."""
    score = float(np.mean([r.score for r in results]))
    loss = float(np.mean([r.loss for r in results]))
    return (-math.inf, -math.inf) if math.isnan(score) else (score, -loss)


def best_positions(results: Sequence[Sequence[Result]], count: int) -> list[int]:
    """The positions of the `count` best trials, best first; of equals the earlier one."""
    return best_first(results, range(len(results)))[:count]


def best_first(results: Sequence[Sequence[Result]], positions: Iterable[int]) -> list[int]:
    """These positions, that of the best results first; of equals the earlier one."""
    return sorted(positions, key=lambda i: rank(results[i]), reverse=True)


def attempts(
    trials: Sequence[Trial], results: Sequence[Sequence[Result]], shares: Sequence[float]
) -> tuple[Attempt, ...]:
    """Every trial with the mean of its tuning seeds, and for which share of the steps they trained."""
    return tuple(
        Attempt(
            dict(trial.values),
            float(np.mean([r.score for r in of_trial])),
            float(np.mean([r.loss for r in of_trial])),
            len(of_trial),
            share,
        )
        for trial, of_trial, share in zip(trials, results, shares, strict=True)
    )


def edges(candidate: Candidate, tried: Sequence[Attempt], chosen: int) -> tuple[str, ...]:
    """The tuned hyper-parameters whose best value is the smallest or largest that was tried."""
    found = []
    for name, _ in candidate.tuned():
        values = [a.values[name] for a in tried]
        if len(set(values)) > 2 and values[chosen] in (min(values), max(values)):
            found.append(name)
    return tuple(found)


def make_rows(
    candidates: Sequence[Candidate],
    chosen: Sequence[tuple[int, tuple[Attempt, ...]]],
    results: Sequence[Sequence[Result]],
    constant_score: float,
    delta: float,
    planned: int,
    equal: Mapping[int, EqualCost] | None = None,
) -> tuple[Row, ...]:
    """One row per technique and family, the baseline in each family, best first.

    results: of each candidate (the baseline first), its fresh seeds. constant_score: what a diverged run
    counts: the score of the best constant prediction. planned: trials of each before any extension, 0
    where they make no tuning curve. equal: of some candidates, what they come to at equal cost.
    """
    scores = fresh_scores(results, constant_score)
    target = float(np.median(scores[0]))
    tuning_curves = [tuning_curve(tried, planned, constant_score) if planned else () for _, tried in chosen]

    runs, lost = len(results[0]), all(r.status == "diverged" for r in results[0])
    others = [i for i, c in enumerate(candidates) if c.techniques]
    all_together = max_t_sign_flip(np.stack([scores[i] - scores[0] for i in others])) if others else ()
    in_study = dict(zip(others, all_together, strict=True))

    def measured(i: int, row: Row) -> Row:
        same_cost = (equal or {}).get(i)
        if lost and not row.is_baseline:
            row, same_cost = _untold(row, runs), same_cost and _untold(same_cost, runs)
        chance = None if row.is_baseline else chance_of_better(scores[i], scores[0])
        return replace(
            row,
            chance=chance,
            tuning_curve=tuning_curves[i],
            pace=pace(results[i], target),
            equal_cost=same_cost,
            p_study=float(in_study.get(i, math.nan)),
        )

    rows = []
    for family in (*FAMILIES, COMBINATIONS):
        members = [i for i, c in enumerate(candidates) if c.family == family]
        if not members:
            continue
        adjusted = max_t_sign_flip(np.stack([scores[i] - scores[0] for i in members]))
        compared = len(members)
        baseline = _row(
            family, candidates[0], chosen[0], results[0], scores[0], None, delta, math.nan, compared, constant_score
        )
        family_rows = [measured(0, baseline)]
        for i, p in zip(members, adjusted, strict=True):
            row = _row(
                family, candidates[i], chosen[i], results[i], scores[i], scores[0], delta, float(p), compared,
                constant_score,
            )  # fmt: skip
            family_rows.append(measured(i, row))
        rows += sorted(family_rows, key=lambda r: -r.score.mean)
    return tuple(rows)


Said = TypeVar("Said", Row, EqualCost)


def _untold(said: Said, runs: int) -> Said:
    """The same, beside a baseline whose runs all diverged, without a verdict if its own runs all did."""
    if said.diverged < runs:
        return said
    return replace(said, verdict=NOTHING_TRAINED.kind, words=NOTHING_TRAINED.words)


def fresh_scores(results: Sequence[Sequence[Result]], constant_score: float) -> list[np.ndarray]:
    """The scores (seeds,) of each candidate's fresh runs; a diverged one counts as the constant prediction."""
    return [np.array([constant_score if math.isnan(r.score) else r.score for r in rs]) for rs in results]


def _row(
    family: str,
    candidate: Candidate,
    tuning: tuple[int, tuple[Attempt, ...]],
    results: Sequence[Result],
    scores: np.ndarray,
    baseline: np.ndarray | None,
    delta: float,
    p: float,
    compared: int,
    constant_score: float,
) -> Row:
    best, tried = tuning
    name, title = _named(candidate, family)
    difference, correlation, kind, words = None, math.nan, "baseline", "baseline"
    if baseline is not None:
        paired = paired_difference(scores, baseline)
        judged = verdict(paired, p, delta, compared)
        difference = Estimate.of(paired)
        correlation, kind, words = paired.correlation, judged.kind, judged.words
    return Row(
        family=family,
        technique=name,
        title=title,
        recipe=candidate.recipe,
        values={n: tried[best].values[n] for n, _ in candidate.tuned()},
        edges=edges(candidate, tried, best),
        scores=tuple(map(float, scores)),
        score=Estimate.of(t_interval(scores)),
        diverged=sum(r.status == "diverged" for r in results),
        difference=difference,
        p=p,
        correlation=correlation,
        verdict=kind,
        words=words,
        attempts=tuple(replace(a, values={n: a.values[n] for n, _ in candidate.tuned()}) for a in tried),
        curve=curve(results, constant_score),
    )


def _named(candidate: Candidate, family: str) -> tuple[str, str]:
    """Name and title of a candidate in a family's table; the baseline goes by what it has of the family."""
    if candidate.techniques:
        return candidate.name, " + ".join(t.page.title for t in candidate.techniques)
    if family == COMBINATIONS:
        return "as it is", str(candidate.recipe)
    named = [t for t in candidate.recipe.techniques() if t.family == family]
    return (named[0].name, named[0].page.title) if named else ("none", "no regularization")


def curve(results: Sequence[Result], constant_score: float) -> Curve:
    """Mean validation score at each check over the runs that reached it; runs that ended keep their last.

    One that is not finite counts as the constant prediction, and so does that of the check at which a run is found to
    have diverged: outputs that are no numbers have an accuracy, too.
    """
    noted = [_noted(r, constant_score) for r in results]
    steps = sorted({step for of_run in noted for step, _ in of_run})
    columns = []
    for step in steps:
        reached = [[score for s, score in of_run if s <= step] for of_run in noted]
        columns.append(t_interval(np.array([scores[-1] for scores in reached if scores])))
    return Curve(
        tuple(steps),
        tuple(c.mean for c in columns),
        tuple(c.low for c in columns),
        tuple(c.high for c in columns),
    )


def _noted(result: Result, constant_score: float) -> list[tuple[int, float]]:
    """(step, validation score) of each check, as far as there was one."""
    noted = [(step, score if math.isfinite(score) else constant_score) for step, _, _, score in result.curve]
    if result.status == "diverged" and noted:
        noted[-1] = (noted[-1][0], constant_score)
    return noted
