"""A study made ready: what will be trained, packed by measurement, and about what it will take."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from trainsmith.catalogue import Recipe, Technique, Trial
from trainsmith.comparison import cautions
from trainsmith.comparison import plan as planning
from trainsmith.comparison.budget import Budget
from trainsmith.comparison.costs import cost_notes, equal_shares
from trainsmith.comparison.designs import ONE_AT_A_TIME, applicable_combinations, combination_warnings, combined
from trainsmith.comparison.limit import Limit
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.suits import check_network
from trainsmith.comparison.trainings import Trainings, shortened
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.network import Factory
from trainsmith.population import Training
from trainsmith.store import Store

SIZES = (
    (16, 16, 1.0), (12, 12, 1.0), (8, 12, 1.0), (8, 8, 1.0), (6, 8, 1.0), (4, 8, 1.0), (4, 6, 1.0), (4, 6, 0.5),
    (3, 6, 0.5), (3, 6, 0.25), (2, 6, 0.25), (2, 6, 0.1),
)  # fmt: skip
"""(trials, fresh seeds, share of the steps), the most worth having first. Fewer than 6 seeds can show nothing."""


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before the first training.

    notes: what was left out or shortened, and why. words: how runs are packed. seconds: about what the whole study
    takes, None where nothing was measured; preparation: those of them that it took to decide.
    """

    network: str | Factory
    dataset: Dataset
    baseline: Recipe
    candidates: tuple[Candidate, ...]
    budget: Budget
    trainer: Trainings
    packed: str
    notes: tuple[str, ...]
    preparation: float = 0.0

    @property
    def confirmed(self) -> int:
        """Recipes trained on fresh seeds: with a design all, since its effects are averages over its recipes."""
        n = len(self.candidates)
        return self.budget.confirmed(n) if all(len(c.techniques) < 2 for c in self.candidates) else n

    @property
    def _equal_shares(self) -> list[float]:
        """The shares of the steps of those that are also trained at equal cost; where some are cut, at most so many."""
        shares = sorted(equal_shares(self.candidates).values(), reverse=True)
        return shares[: self.confirmed - 1]

    @property
    def runs(self) -> int:
        b = self.budget
        return len(self.candidates) * b.tuning_runs + (self.confirmed + len(self._equal_shares)) * b.fresh_seeds

    @property
    def most_runs(self) -> int:
        """Runs if the trials are extended."""
        return self.runs + self.budget.extended_runs(len(self.candidates))[0]

    @property
    def cost(self) -> float:
        """What they cost, in runs of the whole length."""
        b = self.budget
        return len(self.candidates) * b.tuning_cost + (self.confirmed + sum(self._equal_shares)) * b.fresh_seeds

    @property
    def most_cost(self) -> float:
        """What they cost if the trials are extended."""
        return self.cost + self.budget.extended_runs(len(self.candidates))[1]

    @property
    def training(self) -> Training:
        return self.trainer.training

    @property
    def seconds(self) -> float | None:
        trainings = self.trainer.expected(self.most_cost, _populations(self.candidates, self.budget))
        return None if trainings is None else self.preparation + trainings

    def trials(self) -> list[list[Trial]]:
        """Each candidate's trials."""
        return [c.trials(self.budget.trials) for c in self.candidates]

    @property
    def words(self) -> str:
        """The plan in one sentence."""
        t = self.training
        return (
            f"{self.runs} runs: {self._parts()}{self._extension()}, {t.steps} steps of {t.batch_size} examples, "
            f"{_many(self.trainer.workers)}, {self.packed}{_about(self.seconds)}"
        )

    def _parts(self) -> str:
        b, n = self.budget, len(self.candidates)
        equal = f" + {len(self._equal_shares)} at equal cost x {b.fresh_seeds}" if self._equal_shares else ""
        if not b.fast:
            return f"{n} recipes x ({b.tuning_runs} to tune + {b.fresh_seeds} fresh seeds){equal}"
        steps = [(r, shortened(self.training, r.share).steps) for r in b.rungs]
        rungs = " + ".join(f"{r.settings} settings x {r.seeds} for {n} steps" for r, n in steps)
        return (
            f"{n} recipes x ({rungs}) to tune + the best {self.confirmed} with the baseline x {b.fresh_seeds} fresh "
            f"seeds{equal}, together {self.cost:.0f} runs' worth"
        )

    def _extension(self) -> str:
        n = self.budget.further
        return f", {n} more trials each if a best learning rate lies at the end of its range" if n else ""

    def to_dict(self) -> dict[str, Any]:
        """The plan as values that JSON knows."""
        named = [c.techniques[0] for c in self.candidates if len(c.techniques) == 1]
        return {
            "data": self.dataset.describe(),
            "baseline": self.baseline.record(),
            "techniques": {f: [t.name for t in ts] for f, ts in itertools.groupby(named, lambda t: t.family)},
            "combinations": sum(len(c.techniques) > 1 for c in self.candidates),
            "runs": self.runs,
            "cost": self.cost,
            "budget": asdict(self.budget),
            "training": asdict(self.training),
            "processes": self.trainer.workers,
            "seconds": self.seconds,
            "megabytes": self.trainer.megabytes,
            "memory": self.trainer.memory,
            "words": self.words,
            "notes": list(self.notes),
        }


def prepare(
    network: str | Factory,
    dataset: Dataset,
    *,
    baseline: Recipe | None = None,
    vary: Sequence[str] | None = None,
    techniques: Sequence[Technique] | None = None,
    budget: Budget | None = None,
    training: Training | None = None,
    within: Limit | None = None,
    design: str = ONE_AT_A_TIME,
    processes: int | None = None,
    report: Any = lambda what, member_steps, runs: None,
    store: Store | None = None,
) -> Prepared:
    """Decide everything; nothing is trained but a few steps to measure packings.

    within: choose trials, seeds and steps such that the study takes no more; a study that goes on keeps what was chosen
    at its begin. Raises InvalidInput for what cannot be compared.
    """
    started = time.perf_counter()
    budget, training = budget or Budget(), training or Training()
    baseline = baseline or planning.default_baseline(dataset, network)
    planning.check_training(training, dataset)
    check_network(network, dataset)
    candidates, notes = planning.candidates(baseline, dataset, vary, techniques, training.schedule)
    candidates, skipped = planning.applicable(candidates, network, dataset, training.batch_size)
    if len(candidates) == 1:
        raise planning.nothing_left(skipped)
    combinations, left_out = applicable_combinations(combined(candidates, design), network, dataset)
    notes += [
        *dataset.notes,
        *cautions.imbalance(dataset),
        *cautions.unscaled(dataset, baseline),
        *cautions.few_seeds(budget),
        *cost_notes(candidates, budget.fast),
        *skipped,
        *left_out,
    ]
    notes += [*cautions.warnings(candidates, training.batch_size)]
    notes += combination_warnings(candidates, combinations, training.batch_size)
    candidates += combinations
    trainer = Trainings(network, dataset, training, processes, report, store=store)
    ready = Prepared(network, dataset, baseline, tuple(candidates), budget, trainer, "", tuple(notes))
    packed = trainer.prepare(baseline, ready.cost, _populations(candidates, budget))
    ready = replace(ready, packed=packed, preparation=time.perf_counter() - started)
    if within is None:
        return ready
    if store is not None and (noted := store.about("fitted", dict)) is not None:
        try:
            return _shortened(ready, noted)
        except (KeyError, TypeError) as error:
            raise store.damaged("fitted") from error
    chosen = _fitted(ready, within)
    if store is not None:
        store.note("fitted", chosen)
    return _shortened(ready, chosen)


def _populations(candidates: Sequence[Candidate], budget: Budget) -> int:
    """In how many populations they are trained, at least; recipes that differ in initialization alone share one."""
    kinds = {replace(c.recipe, initialization="zeros") for c in candidates}
    return budget.stages * len(kinds)


def _many(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def _fitted(ready: Prepared, within: Limit) -> Mapping[str, Any]:
    """Trials, seeds and steps of the largest study that fits, or of the smallest there is."""
    steps, seconds = ready.training.steps, None
    for trials, seeds, share in SIZES:
        smaller = {"trials": trials, "seeds": seeds, "steps": max(1, round(steps * share)), "within": str(within)}
        tried = _shortened(ready, smaller)
        seconds = tried.seconds
        if within.unit == "runs" and tried.most_cost <= within.amount:
            return smaller
        if within.unit == "seconds" and seconds is None:
            raise InvalidInput(
                "so short a study is not timed before it starts; give a number of runs, such as --budget 300runs."
            )
        if within.unit == "seconds" and seconds is not None and seconds <= within.amount:
            return smaller
    least = f"{math.ceil(tried.most_cost)} runs" if within.unit == "runs" else _about(seconds).removeprefix(", ")
    raise InvalidInput(
        f"{len(ready.candidates)} recipes cannot be compared within {within}: the smallest study that can show "
        f"anything takes {least}. Choose fewer techniques with --techniques or --vary, or a larger budget."
    )


def _shortened(ready: Prepared, chosen: Mapping[str, Any]) -> Prepared:
    budget = replace(ready.budget, trials=chosen["trials"], fresh_seeds=chosen["seeds"])
    trainer = replace(ready.trainer, training=replace(ready.training, steps=chosen["steps"]))
    usual, steps = Budget(), ready.training.steps
    changes = [
        f"{now} {what} instead of {then}"
        for what, now, then in (
            ("tuning trials", budget.trials, usual.trials),
            ("fresh seeds", budget.fresh_seeds, usual.fresh_seeds),
            ("steps", chosen["steps"], steps),
        )
        if now != then
    ]
    said = f"to use the budget of {chosen['within']}: {', '.join(changes) or 'the usual trials, seeds and steps'}."
    return replace(ready, budget=budget, trainer=trainer, notes=(*ready.notes, said))


def _about(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {seconds:.0f} s" if seconds < 120 else f", about {np.ceil(seconds / 60):.0f} min"
