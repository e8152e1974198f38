"""What designs of several families say: main effects, interactions, and each family's share of the variance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np

from trainsmith.catalogue import PLACES
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.statistics import Floats, Verdict, max_t_sign_flip, paired_difference, t_interval, verdict
from trainsmith.comparison.study import Effect, Estimate, Share
from trainsmith.population import Result

Techniques = frozenset[tuple[str, str]]
"""(place, name) of each technique that stands in a recipe in the baseline's place; empty for the baseline."""
Scores = Mapping[Techniques, Floats]
"""The scores (n,) of a recipe's fresh seeds, the same n seeds for all recipes."""
Excess = tuple[Floats, bool]
"""A sum and difference of scores (n,), and whether no recipe in it was ever trained to its end."""
NOTHING_TRAINED = Verdict("cannot tell yet", "cannot tell yet: all runs of all these recipes diverged")
"""Of an effect that is nothing but differences of constant predictions."""
INTERACTION = {
    "better": "better together than the sum of both",
    "worse": "worse together than the sum of both",
    "no difference worth having": "they add up",
}


def scores_of(candidates: Sequence[Candidate], scores: Sequence[Floats]) -> dict[Techniques, Floats]:
    """The scores by what each recipe has of its own."""
    return {_own(c): s for c, s in zip(candidates, scores, strict=True)}


def lost_of(candidates: Sequence[Candidate], results: Sequence[Sequence[Result]]) -> set[Techniques]:
    """The recipes, by what each has of its own, of whose fresh runs every one diverged."""
    each = zip(candidates, results, strict=True)
    return {_own(c) for c, of_recipe in each if all(r.status == "diverged" for r in of_recipe)}


def _own(candidate: Candidate) -> Techniques:
    return frozenset((t.place, t.name) for t in candidate.techniques)


def main_effects(scores: Scores, delta: float, lost: Set[Techniques] = frozenset()) -> tuple[Effect, ...]:
    """Of each technique, in the order of PLACES: what it adds on average over the recipes it was added to.

    mean over C of y(C + a) − y(C), by seed, where C goes through the recipes without a technique in a's place, if both
    were trained. p-values are adjusted over those of one place (max-T). lost: recipes all of whose runs diverged; an
    effect of such alone has no verdict.
    """
    found: list[Effect] = []
    for place in PLACES:
        techniques = [t for t in _techniques(scores) if t[0] == place]
        averages = [_average(_additions(scores, t, lost)) for t in techniques]
        found += _judged([(t,) for t in techniques], averages, delta)
    return tuple(found)


def interactions(scores: Scores, delta: float, lost: Set[Techniques] = frozenset()) -> tuple[Effect, ...]:
    """Of each two techniques of different families: what they add together beyond the sum of what each adds.

    mean over C of y(C + a + b) − y(C + a) − y(C + b) + y(C), by seed, where C goes through the recipes without either
    family for which all four were trained. p-values are adjusted over all pairs (max-T). Largest first.
    lost: as in main_effects.
    """
    pairs, averages = [], []
    for a, b in itertools.combinations(_techniques(scores), 2):
        excess = list(_excesses(scores, a, b, lost))
        if a[0] != b[0] and excess:
            pairs.append((a, b))
            averages.append(_average(excess))
    found = _judged(pairs, averages, delta)
    return tuple(sorted(found, key=lambda e: -abs(e.difference.mean)))


def shares(scores: Scores) -> tuple[Share, ...]:
    """How much of the variance between the recipes of a complete grid each family, and each two, account for.

    ω² of the analysis of variance with seeds as blocks (Fisher; Olejnik & Algina 2003 on ω²): (SS_f − df_f · MSE) over
    the same of all recipes, MSE from recipe x seed, so that luck counts for nothing. Two families' share is their
    interaction's alone. Intervals: jackknife over seeds, Student's t. Largest first; empty if the grid is not complete
    or the recipes differ by no more than luck.
    """
    levels: dict[str, list[tuple[str, str] | None]] = {}
    for technique in _techniques(scores):
        levels.setdefault(technique[0], [None]).append(technique)
    cells = [frozenset(t for t in cell if t is not None) for cell in itertools.product(*levels.values())]
    n = len(next(iter(scores.values()), ()))
    if len(levels) < 2 or n < 3:
        return ()
    if any(cell not in scores for cell in cells):
        return ()
    y = np.stack([scores[cell] for cell in cells]).reshape(*map(len, levels.values()), n)
    whole = _omega_squared(y)
    without = [_omega_squared(np.delete(y, seed, axis=-1)) for seed in range(n)]
    if whole is None or any(w is None for w in without):
        return ()
    families = tuple(levels)
    found = []
    for group, value in whole.items():
        pseudo = [n * value - (n - 1) * w[group] for w in without if w is not None]
        interval = t_interval(pseudo)
        estimate = Estimate(*(min(1.0, max(0.0, v)) for v in (value, interval.low, interval.high)))
        found.append(Share(tuple(families[axis] for axis in group), estimate))
    return tuple(sorted(found, key=lambda s: -s.share.mean))


def _omega_squared(y: Floats) -> dict[tuple[int, ...], float] | None:
    """The share of each axis and of each two axes of y (levels ..., seeds); None if nothing is left to share."""
    *sizes, n = y.shape
    cells = math.prod(sizes)
    mean = y.mean()
    of_cells = y.mean(axis=-1)
    residual = y - of_cells[..., None] - (y.mean(axis=tuple(range(len(sizes)))) - mean)
    error = float((residual**2).sum()) / ((cells - 1) * (n - 1))
    total = n * float(((of_cells - mean) ** 2).sum()) - (cells - 1) * error
    if total <= TINY * n * cells * max(1.0, float(mean**2)):
        return None
    found: dict[tuple[int, ...], float] = {}
    axes = range(len(sizes))
    alone = {a: of_cells.mean(axis=tuple(b for b in axes if b != a)) - mean for a in axes}
    for a in axes:
        squares = n * cells / sizes[a] * float((alone[a] ** 2).sum())
        found[(a,)] = (squares - (sizes[a] - 1) * error) / total
    for a, b in itertools.combinations(axes, 2):
        both = of_cells.mean(axis=tuple(c for c in axes if c not in (a, b))) - mean
        excess = both - alone[a][:, None] - alone[b][None]
        squares = n * cells / (sizes[a] * sizes[b]) * float((excess**2).sum())
        found[(a, b)] = (squares - (sizes[a] - 1) * (sizes[b] - 1) * error) / total
    return found


TINY = 1e-12
"""Squared differences of this size, relative to the scores', are rounding."""


def _techniques(scores: Scores) -> list[tuple[str, str]]:
    """Every technique that stands in a recipe alone, in the order of the places."""
    met = dict.fromkeys(t for cell in scores if len(cell) == 1 for t in cell)
    return sorted(met, key=lambda t: PLACES.index(t[0]))


def _additions(scores: Scores, a: tuple[str, str], lost: Set[Techniques]) -> Iterator[Excess]:
    for cell, y in scores.items():
        if a in cell and cell - {a} in scores:
            yield y - scores[cell - {a}], {cell, cell - {a}} <= lost


def _excesses(scores: Scores, a: tuple[str, str], b: tuple[str, str], lost: Set[Techniques]) -> Iterator[Excess]:
    for cell, y in scores.items():
        parts = [cell - {a}, cell - {b}, cell - {a, b}]
        if {a, b} <= cell and all(part in scores for part in parts):
            with_b, with_a, neither = (scores[part] for part in parts)
            yield y - with_a - with_b + neither, {cell, *parts} <= lost


def _average(excesses: Iterator[Excess] | Sequence[Excess]) -> tuple[Floats, int, bool]:
    """Their mean, how many there are, and whether no recipe in any of them was trained to its end."""
    rows, lost = zip(*excesses, strict=True)
    return np.mean(rows, axis=0), len(rows), all(lost)


def _judged(
    groups: Sequence[tuple[tuple[str, str], ...]], averages: Sequence[tuple[Floats, int, bool]], delta: float
) -> list[Effect]:
    """An effect of each group of techniques, p-values adjusted over all of them."""
    if not groups:
        return []
    adjusted = max_t_sign_flip(np.stack([d for d, *_ in averages]))
    found = []
    for group, (d, recipes, lost), p in zip(groups, averages, adjusted, strict=True):
        paired = paired_difference(d, np.zeros(len(d)))
        judged = NOTHING_TRAINED if lost else verdict(paired, float(p), delta, len(groups))
        words = judged.words if len(group) == 1 else INTERACTION.get(judged.kind, judged.words)
        families, names = (tuple(part) for part in zip(*group, strict=True))
        estimate = Estimate.of(paired)
        found.append(Effect(families, names, estimate, float(p), judged.kind, words, recipes))
    return found
