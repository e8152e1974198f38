"""Tuning: equally many trials for every candidate, a wider range where a best value lies at its end, finalists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainsmith.catalogue import Run, Trial
from trainsmith.comparison import plan as planning
from trainsmith.comparison.plan import Budget
from trainsmith.comparison.rows import attempts, best_positions, rank
from trainsmith.comparison.study import Attempt
from trainsmith.population import Result

DECADE = 10.0
Train = Callable[[str, Sequence[Run]], Sequence[Result]]
"""Trains runs; results in their order."""


@dataclass(frozen=True)
class Tuned:
    """A candidate's trials, the position of the best one, and what each came to."""

    trials: tuple[Trial, ...]
    best: int
    attempts: tuple[Attempt, ...]

    @property
    def trial(self) -> Trial:
        return self.trials[self.best]


def tune(
    train: Train, trials: Sequence[Sequence[Trial]], budget: Budget, more: Callable[[int], None] = lambda runs: None
) -> list[Tuned]:
    """Each candidate's best trial.

    All trials are trained with one seed. If then a candidate's best learning rate is the smallest or largest that it
    tried, every candidate gets `budget.extension` further trials (see `further`). The `budget.finalists` best are
    trained with `budget.final_seeds` more seeds, and the best mean score wins. more: told of further trials.
    """
    tried = [list(of_candidate) for of_candidate in trials]
    results = _first_look(train, "tuning", tried)
    leading = [best_positions(r, 1)[0] for r in results]
    if budget.extension and any(_at_edge(t, best) for t, best in zip(tried, leading, strict=True)):
        extra = [further(t, best, budget.extension) for t, best in zip(tried, leading, strict=True)]
        more(sum(map(len, extra)))
        for known, found in zip(results, _first_look(train, "widening the range", extra), strict=True):
            known += found
        for known_trials, new in zip(tried, extra, strict=True):
            known_trials += new
    top = [best_positions(r, budget.finalists) for r in results]
    finalists = [(c, position) for c, positions in enumerate(top) for position in positions]
    runs = planning.final_runs([tried[c][position] for c, position in finalists], budget)
    again = list(train("tuning the finalists", runs)) if runs else []
    for n, (c, position) in enumerate(finalists):
        results[c][position] += again[n * budget.final_seeds : (n + 1) * budget.final_seeds]
    best = [max(positions, key=lambda i, r=r: rank(r[i])) for positions, r in zip(top, results, strict=True)]  # type: ignore[misc]
    return [Tuned(tuple(t), b, attempts(t, r)) for t, b, r in zip(tried, best, results, strict=True)]


def further(tried: Sequence[Trial], best: int, count: int) -> list[Trial]:
    """`count` trials beside the best: up to a decade beyond the end at which its learning rate lies, or around it.

    Beyond an end the learning rate goes on in equal factors to ten times, or a tenth of, the best; elsewhere factors
    are spread evenly, on a logarithmic scale, over half a decade to either side. Other numbers stay as they are. A
    technique without a learning rate has its best trial again, and so has one that is not defined so far out.
    """
    trial, name = tried[best], _learning_rate(tried[best])
    if name is None:
        return [trial] * count
    rates = [t.values[name] for t in tried]
    side = (rates[best] == max(rates)) - (rates[best] == min(rates)) if len(set(rates)) > 1 else 0
    if side:
        powers = [side * (i + 1) / count for i in range(count)]
    else:
        powers = [(i + 0.5) / count - 0.5 for i in range(count)]
        powers = [p or 0.5 / count for p in powers]  # the best itself was tried
    domain = dict(trial.recipe.hyperparameters())[name].domain
    wanted = [rates[best] * DECADE**p for p in powers]
    return [Trial(trial.recipe, {**trial.values, name: r if r in domain else rates[best]}) for r in wanted]


def _first_look(train: Train, what: str, trials: Sequence[Sequence[Trial]]) -> list[list[list[Result]]]:
    """The result of each trial of each candidate with the first tuning seed, in a list that others may follow in."""
    found = iter(train(what, [run for of_candidate in trials for run in planning.first_runs(of_candidate)]))
    return [[[next(found)] for _ in of_candidate] for of_candidate in trials]


def _at_edge(tried: Sequence[Trial], best: int) -> bool:
    name = _learning_rate(tried[best])
    if name is None:
        return False
    rates = {t.values[name] for t in tried}
    return len(rates) > 2 and tried[best].values[name] in (min(rates), max(rates))


def _learning_rate(trial: Trial) -> str | None:
    return next((name for name in trial.values if name.endswith(".lr")), None)
