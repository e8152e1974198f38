"""compare: tune every technique equally, confirm on fresh seeds, open the test data once."""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trainsmith.catalogue import Recipe, Run, Technique
from trainsmith.comparison import plan as planning
from trainsmith.comparison.activations import activations
from trainsmith.comparison.designs import ONE_AT_A_TIME
from trainsmith.comparison.effects import interactions, main_effects, scores_of, shares
from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.plan import Budget, Candidate
from trainsmith.comparison.prepared import Limit, Prepared, prepare
from trainsmith.comparison.rows import fresh_scores, make_rows
from trainsmith.comparison.statistics import OTHER_DELTA, smallest_difference, t_interval
from trainsmith.comparison.study import Activations, Estimate, Receipt, Study, TestScore, winner
from trainsmith.comparison.trainings import Trainings
from trainsmith.comparison.tuning import tune
from trainsmith.data import Dataset
from trainsmith.network import Factory
from trainsmith.optimizer import Schedule
from trainsmith.population import (
    FIRST_LOSSES,
    Result,
    Training,
    make_member,
    rules_of,
)
from trainsmith.store import Store


class Announce:
    """What compare tells while it works. The default tells nothing; a progress bar overrides it."""

    def planned(self, runs: int, member_steps: int, plan: str) -> None:
        """Called once, before any training."""

    def going_on(self, words: str) -> None:
        """Called first, if a study that was interrupted is gone on with: how far it is."""

    def extended(self, runs: int, member_steps: int) -> None:
        """Called when more is trained than was planned."""

    def progress_made(self, what: str, member_steps: int, runs: int) -> None:
        """Called often: what is being trained, member-steps and runs just done."""


def compare(
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
    announce: Announce | None = None,
    store: Store | None = None,
) -> Study:
    """Compare techniques, one family at a time around a baseline recipe, and say which is better.

    Every technique, the baseline included, gets the same number of tuning trials over its own range; the
    best by validation score is trained again on fresh seeds, each with its own split; only those runs are
    reported, as differences from the baseline paired by seed. The test data are opened once, at the end,
    for the winning recipe and the baseline. See docs/protocol.md. within: trials, seeds and steps are chosen so that
    it takes no more. design: which combinations are trained besides (see DESIGNS). store: keeps what is finished, and
    gives what was finished before; the numbers are the same.
    """
    started = time.perf_counter()
    announce = announce or Announce()
    ready = prepare(
        network, dataset, baseline=baseline, vary=vary, techniques=techniques, budget=budget, training=training,
        within=within, design=design, processes=processes, report=announce.progress_made, store=store,
    )  # fmt: skip
    trainer, candidates, budget, baseline = ready.trainer, ready.candidates, ready.budget, ready.baseline
    runs, words = ready.runs, ready.words
    announce.planned(runs, runs * trainer.training.steps, words)
    if store is not None:
        store.note("planned", {"runs": runs, "words": words})

    def more(further: int) -> None:
        announce.extended(further, further * trainer.training.steps)
        if store is not None:
            store.note("planned", {"runs": runs + further, "words": words})

    chosen = tune(trainer, ready.trials(), budget, more)
    fresh = [planning.fresh_runs(t.trial, budget) for t in chosen]
    results = _confirm(trainer, fresh)
    constant = rules_of(dataset).constant(dataset.y)
    delta = _delta(dataset, results[0], constant)
    rows = make_rows(candidates, [(t.best, t.attempts) for t in chosen], results, constant, delta, budget.trials)
    factorial = scores_of(candidates, fresh_scores(results, constant)) if design != ONE_AT_A_TIME else {}
    deviation, tolerance = trainer.worst
    best = next(i for i, c in enumerate(candidates) if c.recipe == winner(rows).recipe)
    return Study(
        data=dataset.name,
        about=dataset.describe(),
        network=network if isinstance(network, str) else getattr(network, "__qualname__", repr(network)),
        metric=rules_of(dataset).metric,
        delta=delta,
        baseline=baseline,
        rows=rows,
        notes=ready.notes,
        test=_test(trainer, candidates, fresh, results, best, constant),
        receipt=Receipt(deviation, len(trainer.deviations), FIRST_LOSSES, tolerance, tuple(trainer.loops)),
        plan=_plan(ready, len(chosen[0].trials) - budget.trials, time.perf_counter() - started),
        environment=describe_environment(),
        states={run.seed: r.state for run, r in zip(fresh[best], results[best], strict=True) if r.state is not None},
        design=design,
        effects=main_effects(factorial, delta),
        interactions=interactions(factorial, delta),
        shares=shares(factorial),
        activations=_activations(trainer, fresh, results, best),
    )


def _activations(
    trainer: Trainings, fresh: Sequence[Sequence[Run]], results: Sequence[Sequence[Result]], best: int
) -> tuple[Activations, ...]:
    """Of the first fresh seed of the baseline, and of the winner if it is another."""
    roles = {"baseline": 0, "winner": best} if best else {"baseline": 0}
    network, dataset, examples = trainer.network, trainer.dataset, trainer.training.batch_size
    found = [activations(r, fresh[i][0], results[i][0], network, dataset, examples) for r, i in roles.items()]
    return tuple(itertools.chain.from_iterable(found))


def _confirm(trainer: Trainings, fresh: Sequence[Sequence[Run]]) -> list[list[Result]]:
    """The results of each candidate's fresh runs, with their weights."""
    confirmed = trainer("confirming on fresh seeds", [run for runs in fresh for run in runs], keep_states=True)
    n = len(fresh[0])
    return [confirmed[i : i + n] for i in range(0, len(confirmed), n)]


def _delta(dataset: Dataset, baseline: Sequence[Result], constant: float) -> float:
    scores = [r.score for r in baseline if not math.isnan(r.score)]
    if rules_of(dataset).metric != "accuracy":
        return OTHER_DELTA
    return smallest_difference(dataset.task, dataset.test.size, float(np.mean(scores)) if scores else constant)


def _plan(ready: Prepared, extension: int, seconds: float) -> dict[str, Any]:
    trainer, training, budget = ready.trainer, ready.training, ready.budget
    return {
        "words": ready.words,
        "recipes": len(ready.candidates),
        "runs": trainer.runs,
        "trials": budget.trials,
        "finalists": min(budget.finalists, budget.trials),
        "final_seeds": budget.final_seeds,
        "extension": extension,
        "tuning_runs": len(ready.candidates) * (budget.tuning_runs + extension),
        "fresh_seeds": budget.fresh_seeds,
        "seeds": [planning.FIRST_FRESH_SEED + i for i in range(budget.fresh_seeds)],
        "populations": trainer.populations,
        "processes": trainer.workers,
        "expected": ready.seconds,
        "megabytes": trainer.megabytes,
        "seconds": seconds,
        "steps": training.steps,
        "batch_size": training.batch_size,
        "schedule": str(Schedule(training.schedule, training.steps, training.warmup)),
    }


def _test(
    trainer: Trainings,
    candidates: Sequence[Candidate],
    runs: Sequence[Sequence[Run]],
    results: Sequence[Sequence[Result]],
    best: int,
    constant: float,
) -> TestScore:
    """Open the test data, once, and score every fresh run of the winner and of the baseline on it."""
    x, y = trainer.dataset.test.open()

    def estimate(i: int) -> Estimate:
        scores = [
            constant if result.state is None else _test_score(trainer, run, result, x, y)
            for run, result in zip(runs[i], results[i], strict=True)
        ]
        interval = t_interval(np.array(scores))
        return Estimate(interval.mean, interval.low, interval.high)

    won = estimate(best)
    accuracy = rules_of(trainer.dataset).metric == "accuracy"
    error = math.sqrt(won.mean * (1 - won.mean) / len(y)) if accuracy else math.nan
    return TestScore(candidates[best].name, won, estimate(0) if best else won, len(y), error)


@torch.no_grad()
def _test_score(trainer: Trainings, run: Run, result: Result, x: torch.Tensor, y: torch.Tensor) -> float:
    """The score of a run's network, built as an ordinary module and given the trained weights."""
    member = make_member(run, trainer.network, trainer.dataset)
    module = member.objective.network
    state = result.state or {}
    module.load_state_dict({name: torch.from_numpy(t) for name, t in state.items()})
    return member.rules.score(module.eval()(x), member.targets(y))[1]
