"""Tuning: equally many trials for every candidate, a wider range where a best value lies at its end, then rungs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from trainsmith.catalogue import Run, Trial
from trainsmith.comparison import plan as planning
from trainsmith.comparison.budget import Budget, Rung
from trainsmith.comparison.choosing import choose
from trainsmith.comparison.rows import attempts, best_first, best_positions
from trainsmith.comparison.study import Attempt
from trainsmith.population import Result

DECADE = 10.0
Told = list[list[list[Result]]]
"""The results of each trial of each candidate, of its last length of training."""


class Train(Protocol):
    """Trains runs for a share of the steps; results in their order."""

    def __call__(self, what: str, runs: Sequence[Run], *, share: float) -> Sequence[Result]: ...


@dataclass(frozen=True)
class Tuned:
    """A candidate's trials, the position of the best one, and what each came to.

    last: the results of the best one at the last rung, and at those before it of the same length, seed by seed.
    """

    trials: tuple[Trial, ...]
    best: int
    attempts: tuple[Attempt, ...]
    last: tuple[Result, ...] = ()

    @property
    def trial(self) -> Trial:
        return self.trials[self.best]


def tune(
    train: Train,
    trials: Sequence[Sequence[Trial]],
    budget: Budget,
    more: Callable[[int, float], None] = lambda runs, cost: None,
) -> list[Tuned]:
    """Each candidate's best trial.

    All trials are trained at the first of the budget's rungs. If then a candidate's best learning rate is the smallest
    or largest that it tried, every candidate gets `budget.further` trials beyond an end (see `beyond`): that
    at which its own best lies, or else, since all share their trials by quantile, one at which another's lies. At each
    further rung every candidate's best trials so far are trained with seeds of that rung's own, and in the end the one
    with the best mean score, from which noise was taken, wins (see `choose`). Runs of one length count together; of a
    trial that was trained longer the shorter ones count no more.
    more: told of further trials, and what they cost in runs of the whole length.
    """
    tried = [list(of_candidate) for of_candidate in trials]
    first, *others = budget.rungs
    results = _first_look(train, "tuning", tried, first)
    leading = [best_positions(r, 1)[0] for r in results]
    ends = [_end(t, best) for t, best in zip(tried, leading, strict=True)]
    if budget.further and any(ends):
        sides = [end or _nearer(t, best, ends) for t, best, end in zip(tried, leading, ends, strict=True)]
        extra = [beyond(t, best, side, budget.extension) for t, best, side in zip(tried, leading, sides, strict=True)]
        more(*budget.extended_runs(len(extra)))
        for known, found in zip(results, _first_look(train, "widening the range", extra, first), strict=True):
            known += found
        for known_trials, new in zip(tried, extra, strict=True):
            known_trials += new
    shares = [[first.share] * len(t) for t in tried]
    standing, seed = [list(range(len(t))) for t in tried], first.seeds
    for number, rung in enumerate(others, 2):
        standing = [best_first(r, s)[: rung.settings] for r, s in zip(results, standing, strict=True)]
        last = number == len(budget.rungs)
        what = "tuning the finalists" if last else f"tuning, rung {number} of {len(budget.rungs)}"
        _climb(partial(train, what), tried, results, shares, standing, rung, seed)
        seed += rung.seeds
    best = choose(results, standing)
    return [
        Tuned(tuple(t), b, attempts(t, r, s), tuple(r[b]))
        for t, b, r, s in zip(tried, best, results, shares, strict=True)
    ]


def _climb(
    train: Callable[..., Sequence[Result]],
    tried: Sequence[Sequence[Trial]],
    results: Told,
    shares: Sequence[list[float]],
    standing: Sequence[Sequence[int]],
    rung: Rung,
    seed: int,
) -> None:
    """Train each candidate's standing trials at the rung, with seeds from `seed` on, and put down what they came to."""
    chosen = [(c, position) for c, positions in enumerate(standing) for position in positions]
    runs = planning.tuning_runs([tried[c][position] for c, position in chosen], seed, rung.seeds)
    found = list(train(runs, share=rung.share)) if runs else []
    for n, (c, position) in enumerate(chosen):
        new = found[n * rung.seeds : (n + 1) * rung.seeds]
        results[c][position] = [*results[c][position], *new] if shares[c][position] == rung.share else new
        shares[c][position] = rung.share


def survivors(tuned: Sequence[Tuned], count: int) -> list[int]:
    """The positions, in order, of the first candidate, which is the baseline, and of the count − 1 best others.

    They are ranked by the last rung, whose runs are of the whole length and of the same seeds for all.
    """
    others = best_first([t.last for t in tuned], range(1, len(tuned)))
    return sorted([0, *others[: count - 1]])


def beyond(tried: Sequence[Trial], best: int, side: int, count: int) -> list[Trial]:
    """`count` trials like the best, with learning rates beyond the largest (side 1) or smallest (−1) that was tried.

    They go on from there in equal factors to ten times, or a tenth. Other numbers stay the best's. A technique without
    a learning rate has its best trial again, and so has one that is not defined so far out.
    """
    trial, name = tried[best], _learning_rate(tried[best])
    if name is None:
        return [trial] * count
    end = (max if side > 0 else min)(t.values[name] for t in tried)
    domain = dict(trial.recipe.hyperparameters())[name].domain
    wanted = [end * DECADE ** (side * (i + 1) / count) for i in range(count)]
    return [Trial(trial.recipe, {**trial.values, name: r if r in domain else trial.values[name]}) for r in wanted]


def _first_look(train: Train, what: str, trials: Sequence[Sequence[Trial]], rung: Rung) -> Told:
    """The results of each trial of each candidate at the first rung, in a list that others may follow in."""
    runs = [run for of_candidate in trials for run in planning.tuning_runs(of_candidate, 0, rung.seeds)]
    found = iter(train(what, runs, share=rung.share))
    return [[[next(found) for _ in range(rung.seeds)] for _ in of_candidate] for of_candidate in trials]


def _end(tried: Sequence[Trial], best: int) -> int:
    """Where the best learning rate lies among those tried: 1 at their upper end, −1 at the lower one, else 0."""
    name = _learning_rate(tried[best])
    rates = [t.values[name] for t in tried] if name else []
    return (rates[best] == max(rates)) - (rates[best] == min(rates)) if len(set(rates)) > 2 else 0


def _nearer(tried: Sequence[Trial], best: int, ends: Sequence[int]) -> int:
    """Of the ends at which other candidates' best rates lie, that which is nearer to this best, in factors."""
    name = _learning_rate(tried[best])
    if name is None or len(set(ends) - {0}) == 1:
        return next(end for end in ends if end)
    rates = [t.values[name] for t in tried]
    return 1 if max(rates) / rates[best] <= rates[best] / min(rates) else -1


def _learning_rate(trial: Trial) -> str | None:
    return next((name for name in trial.values if name.endswith(".lr")), None)
