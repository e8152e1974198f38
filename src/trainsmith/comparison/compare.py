"""compare: tune every technique equally, confirm on fresh seeds, open the test data once."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from trainsmith.catalogue import Recipe, Run, Technique
from trainsmith.comparison import plan as planning
from trainsmith.comparison.activations import activations
from trainsmith.comparison.budget import Budget
from trainsmith.comparison.costs import at_equal_cost, measured_costs
from trainsmith.comparison.cuts import cut_notes, cuts
from trainsmith.comparison.designs import ONE_AT_A_TIME
from trainsmith.comparison.effects import interactions, lost_of, main_effects, scores_of, shares
from trainsmith.comparison.environment import describe_environment, processor_notes, processors_of
from trainsmith.comparison.explained import explained
from trainsmith.comparison.limit import Limit
from trainsmith.comparison.prepared import Prepared, prepare
from trainsmith.comparison.robust import robustness
from trainsmith.comparison.rows import fresh_scores, make_rows
from trainsmith.comparison.study import Activations, Receipt, Study, winner
from trainsmith.comparison.taken import Taken
from trainsmith.comparison.tested import score_on_test
from trainsmith.comparison.trainings import Trainings, shortened
from trainsmith.comparison.tuning import survivors, tune
from trainsmith.comparison.worth import smallest_worth
from trainsmith.data import Dataset
from trainsmith.network import Factory
from trainsmith.optimizer import Schedule
from trainsmith.population import (
    COSTS,
    FIRST_LOSSES,
    Result,
    Training,
    rules_of,
)
from trainsmith.store import Store, network_name


class Announce:
    """What compare tells while it works. The default tells nothing; a progress bar overrides it."""

    def planned(self, runs: int, member_steps: int, plan: str) -> None:
        """Called once, before any training."""

    def going_on(self, words: str) -> None:
        """Called first, if a study that was interrupted is gone on with: how far it is."""

    def begun_beside(self, words: str) -> None:
        """Called first, if a study is begun anew beside an unfinished one that other versions began: which, and why."""

    def extended(self, runs: int, member_steps: int) -> None:
        """Called when more is trained than was planned."""

    def found(self, recipe: str, score: float, metric: str) -> None:
        """Called when a run's validation score, in the metric's own direction, is better than every one before."""

    def progress_made(self, what: str, member_steps: int, runs: int) -> None:
        """Called often: what is being trained, member-steps and runs just done, or read from the store."""

    def was_done(self, member_steps: int) -> None:
        """Called after progress_made told of so many member-steps that were read from the store: they took no time."""


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
    taken, announce, processors = Taken(store), announce or Announce(), processors_of(store)
    ready = prepare(
        network, dataset, baseline=baseline, vary=vary, techniques=techniques, budget=budget, training=training,
        within=within, design=design, processes=processes, report=taken.told(announce.progress_made), store=store,
    )  # fmt: skip
    trainer, budget, baseline = ready.trainer, ready.budget, ready.baseline
    runs, words = ready.runs, ready.words
    announce.planned(runs, round(ready.cost * trainer.training.steps), words)
    trainer.finished, trainer.read = _best_so_far(announce, rules_of(dataset).metric), announce.was_done
    if store is not None:
        store.note("planned", {"runs": runs, "words": words})

    def more(further: int, cost: float) -> None:
        announce.extended(further, round(cost * trainer.training.steps))
        if store is not None:
            store.note("planned", {"runs": runs + further, "words": words})

    tuned = tune(trainer, ready.trials(), budget, more)
    kept = survivors(tuned, ready.confirmed)
    candidates, chosen = [ready.candidates[i] for i in kept], [tuned[i] for i in kept]
    left_out = cuts(ready.candidates, tuned, kept)
    cut = cut_notes(left_out, len(ready.candidates), rules_of(dataset).metric)
    fresh = [planning.fresh_runs(t.trial, budget) for t in chosen]
    results = _confirm(trainer, fresh)
    constant = rules_of(dataset).constant(dataset.y)
    delta = smallest_worth(trainer, fresh[0], results[0], constant)
    scores = fresh_scores(results, constant)
    equal = at_equal_cost(trainer, candidates, fresh, scores[0], constant, delta)
    planned = 0 if budget.fast else budget.trials
    rows = make_rows(candidates, [(t.best, t.attempts) for t in chosen], results, constant, delta, planned, equal)
    factorial, lost = scores_of(candidates, scores) if design != ONE_AT_A_TIME else {}, lost_of(candidates, results)
    deviation, tolerance = trainer.worst
    best = next(i for i, c in enumerate(candidates) if c.recipe == winner(rows).recipe)
    taken.note()
    return Study(
        data=dataset.name,
        about=dataset.describe(),
        network=network if isinstance(network, str) else network_name(network).partition(":")[2],
        metric=rules_of(dataset).metric,
        delta=delta,
        baseline=baseline,
        rows=rows,
        notes=(*ready.notes, *cut, *trainer.notes(), *processor_notes(processors)),
        test=score_on_test(trainer, candidates, fresh, results, best, constant),
        receipt=Receipt(deviation, len(trainer.deviations), FIRST_LOSSES, tolerance, tuple(trainer.loops)),
        plan=_plan(ready, len(tuned[0].trials) - budget.trials, taken),
        environment={**describe_environment(), "cpu": "; ".join(processors)},
        states={run.seed: r.state for run, r in zip(fresh[best], results[best], strict=True) if r.state is not None},
        design=design,
        effects=main_effects(factorial, delta, lost),
        interactions=interactions(factorial, delta, lost),
        shares=shares(factorial),
        activations=_activations(trainer, fresh, results, best),
        cut=left_out,
        costs=measured_costs(trainer, candidates, [of[0] for of in fresh]),
        robust=robustness(trainer, candidates, fresh, results),
        explained=explained(trainer),
    )


def _best_so_far(announce: Announce, metric: str) -> Callable[[Run, Result], None]:
    """Tells of every run that is better than all before; a score is the negative of a cost."""
    best = -math.inf

    def finished(run: Run, result: Result) -> None:
        nonlocal best
        if result.score > best:
            best = result.score
            announce.found(str(run.trial.recipe), -best if metric in COSTS else best, metric)

    return finished


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


def _schedule(baseline: Recipe, training: Training) -> str:
    """What the learning rate is multiplied by where no technique sets it, in words."""
    if baseline.schedule != "none":
        return f"{baseline.schedule}, of the baseline"
    return str(Schedule(training.schedule, training.steps, training.warmup))


def _plan(ready: Prepared, extension: int, taken: Taken) -> dict[str, Any]:
    trainer, training, budget = ready.trainer, ready.training, ready.budget
    return {
        "words": ready.words,
        "recipes": len(ready.candidates),
        "runs": trainer.runs,
        "member_steps": trainer.member_steps,
        "fast": budget.fast,
        "rungs": [{**asdict(rung), "steps": shortened(training, rung.share).steps} for rung in budget.rungs],
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
        "memory": trainer.memory,
        "seconds": sum(taken.goes),
        "goes": len(taken.goes),
        "steps": training.steps,
        "batch_size": training.batch_size,
        "schedule": _schedule(ready.baseline, training),
    }
