"""Which setting of each candidate is taken after the last rung: what candidates have in common is told from noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainsmith.comparison.rows import best_first, rank
from trainsmith.population import Result

TRANSLATION = 1.0
"""A mean score is moved by at most so many of its standard errors."""


def choose(results: Sequence[Sequence[Sequence[Result]]], standing: Sequence[Sequence[int]]) -> list[int]:
    """Of each candidate's standing positions the best, by scores that noise was taken from.

    results: of each candidate's trials, one a seed, the seeds being the same for all. The mean scores m of candidate c
    at position q, which is the same quantile of everybody's ranges, are taken apart into

        m(c, q) = a(c) + b(q) + r(c, q),

    and r is shrunk by the share of it that is noise, 1 − λ = min(1, s² / mean square of r), but by no more than
    TRANSLATION · s, with s the standard error of a mean score, from how seeds differ at different positions. With
    candidates that all prefer the same setting only b decides, which is known best; a candidate that stands apart by
    more than noise keeps its own. Where seeds do not tell what noise is, the best mean score wins.

    Source: Efron and Morris 1971, Limiting the risk of Bayes and empirical Bayes estimators I, section 3: limited
    translation. We shrink the interaction of a two-way table, not means towards one value.
    """
    cells = [(c, q) for c, of_candidate in enumerate(standing) for q in of_candidate]
    cells = [(c, q) for c, q in cells if np.isfinite(rank(results[c][q])[0])]  # one diverged run: there is no mean
    shrunk = _shrunk(cells, [[r.score for r in results[c][q]] for c, q in cells])
    chosen = []
    for c, of_candidate in enumerate(standing):
        order = best_first(results[c], of_candidate)
        scores = {q: shrunk[c, q] for q in order if (c, q) in shrunk}
        chosen.append(max(scores, key=scores.__getitem__, default=order[0]))
    return chosen


def _shrunk(cells: Sequence[tuple[int, int]], scores: Sequence[Sequence[float]]) -> dict[tuple[int, int], float]:
    """The mean score of each cell, its interaction shrunk; as it is where noise cannot be told."""
    means = np.array([np.mean(s) for s in scores])
    as_they_are = dict(zip(cells, means.tolist(), strict=True))
    if not cells or len({len(s) for s in scores}) != 1:
        return as_they_are
    seeds = len(scores[0])
    levels = [(i, level) for i in (0, 1) for level in sorted({cell[i] for cell in cells})]
    columns = [[cell[i] == level for cell in cells] for i, level in levels]  # of candidates, then of positions
    design = np.array(columns, dtype=float).T
    fitted, _, rank_of_design, _ = np.linalg.lstsq(design, means, rcond=None)
    common = design @ fitted
    own = means - common
    free = len(cells) - int(rank_of_design)
    within, free_within = _within(cells, np.array(scores))
    if not free or not free_within:
        return as_they_are
    squared_error = within / free_within / seeds
    square = float(own @ own) / free
    noise = min(1.0, squared_error / square) if square else 1.0
    limit = TRANSLATION * squared_error**0.5
    return dict(zip(cells, (means - np.clip(noise * own, -limit, limit)).tolist(), strict=True))


def _within(cells: Sequence[tuple[int, int]], scores: np.ndarray) -> tuple[float, int]:
    """The sum of squares, and its degrees of freedom, of how positions of a candidate differ from seed to seed.

    scores: (cells, seeds). What a seed does to all positions of a candidate alike changes no choice and is no noise.
    """
    total, free = 0.0, 0
    for c in {c for c, _ in cells}:
        own = scores[[k == c for k, _ in cells]]
        rest = own - own.mean(0) - own.mean(1, keepdims=True) + own.mean()
        total += float((rest**2).sum())
        free += (own.shape[0] - 1) * (own.shape[1] - 1)
    return total, free
