"""What techniques cost: gradients a step, time, memory; and what they give where every run costs the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trainsmith.catalogue import Recipe, Run
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.rows import fresh_scores
from trainsmith.comparison.statistics import Floats, max_t_sign_flip, paired_difference, t_interval, verdict
from trainsmith.comparison.study import Cost, EqualCost, Estimate
from trainsmith.comparison.trainings import Trainings, shortened
from trainsmith.population import Result, cost_alone, make_member
from trainsmith.population.program.threads import one_thread

STAGE = "confirming at equal cost"


def gradients(recipe: Recipe) -> int:
    """About how many gradients one step takes: the product of what the catalogue states of each technique."""
    return math.prod(t.gradients for t in recipe.techniques())


def equal_shares(candidates: Sequence[Candidate]) -> dict[int, float]:
    """Of each candidate that costs more gradients a step than the baseline, the first: by what share of the steps it
    costs as much as the baseline does by all."""
    usual = gradients(candidates[0].recipe)
    shares = {i: usual / gradients(c.recipe) for i, c in enumerate(candidates)}
    return {i: share for i, share in shares.items() if share < 1}


def cost_notes(candidates: Sequence[Candidate], fast: bool) -> list[str]:
    """Of each technique that costs more gradients a step than the baseline, what that is, and what is done about it.

    fast: whether some are cut after tuning.
    """
    usual = gradients(candidates[0].recipe)
    unless = ", if it is not cut after tuning" if fast else ""
    return [
        f"{candidates[i].name} costs about {gradients(candidates[i].recipe)} gradients a step where the baseline costs "
        f"{usual}; all train the same number of steps, and it is held against the baseline at equal cost too{unless}."
        for i in equal_shares(candidates)
        if len(candidates[i].techniques) == 1
    ]


def at_equal_cost(
    trainer: Trainings,
    candidates: Sequence[Candidate],
    fresh: Sequence[Sequence[Run]],
    baseline: Floats,
    constant: float,
    delta: float,
) -> dict[int, EqualCost]:
    """What the costlier candidates come to with fewer steps, and so many gradients as the baseline has.

    Each trains its chosen setting on the same fresh seeds through its own complete schedule of that length, and is held
    against the baseline's scores (seeds,). p is adjusted over the family's costlier ones (max-T).
    """
    shares = equal_shares(candidates)
    results: dict[int, list[Result]] = {}
    for share in dict.fromkeys(shares.values()):
        chosen = [i for i, s in shares.items() if s == share]
        found = iter(trainer(STAGE, [run for i in chosen for run in fresh[i]], share=share))
        results |= {i: [next(found) for _ in fresh[i]] for i in chosen}
    costly = sorted(results)
    scores = dict(zip(costly, fresh_scores([results[i] for i in costly], constant), strict=True))
    judged: dict[int, EqualCost] = {}
    for family in dict.fromkeys(candidates[i].family for i in scores):
        members = [i for i in scores if candidates[i].family == family]
        adjusted = max_t_sign_flip(np.stack([scores[i] - baseline for i in members]))
        for i, p in zip(members, map(float, adjusted), strict=True):
            steps = shortened(trainer.training, shares[i]).steps
            judged[i] = _judged(scores[i], baseline, p, delta, len(members), steps, results[i])
    return judged


def _judged(
    scores: Floats, baseline: Floats, p: float, delta: float, compared: int, steps: int, results: Sequence[Result]
) -> EqualCost:
    paired = paired_difference(scores, baseline)
    said = verdict(paired, p, delta, compared)
    return EqualCost(
        steps=steps,
        score=Estimate.of(t_interval(scores)),
        difference=Estimate.of(paired),
        p=p,
        verdict=said.kind,
        words=said.words,
        diverged=sum(r.status == "diverged" for r in results),
    )


def measured_costs(trainer: Trainings, candidates: Sequence[Candidate], runs: Sequence[Run]) -> tuple[Cost, ...]:
    """What a step of each candidate takes alone, by the plain loop on one thread, measured on its first fresh run.

    A study that goes on after it was finished keeps what was measured.
    """
    if trainer.store is not None and (noted := trainer.store.about("costs", list)) is not None:
        try:
            return tuple(Cost(**cost) for cost in noted)
        except TypeError as error:
            raise trainer.store.damaged("costs") from error
    with one_thread():
        found = tuple(_cost(trainer, c, run) for c, run in zip(candidates, runs, strict=True))
    if trainer.store is not None:
        trainer.store.note("costs", [vars(cost) for cost in found])
    return found


def _cost(trainer: Trainings, candidate: Candidate, run: Run) -> Cost:
    member = make_member(run, trainer.network, trainer.dataset)
    seconds, held = cost_alone(member, *member.batch(trainer.dataset, trainer.training.batch_size))
    return Cost(candidate.family or "", candidate.name, gradients(candidate.recipe), seconds, held / 2**20)
