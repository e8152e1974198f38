"""Accuracy under attack, beside the clean one, where a study compares techniques against adversaries."""

from collections.abc import Sequence

import numpy as np

from trainsmith.catalogue import Run
from trainsmith.comparison.measured import Estimate, Robustness
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.statistics import paired_difference, t_interval
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import Dataset
from trainsmith.network import Factory
from trainsmith.population import Result, rules_of, trained_member
from trainsmith.population.members.attacked import EPS, STEPS, attack, attacked_examples
from trainsmith.population.members.task import RULES, ByRobustAccuracy
from trainsmith.regularization import RootMeanSquare
from trainsmith.regularization.adversarial import Norm
from trainsmith.regularization.adversarial_training import InRange
from trainsmith.rows import Rows


def robustness(
    trainer: Trainings,
    candidates: Sequence[Candidate],
    fresh: Sequence[Sequence[Run]],
    results: Sequence[Sequence[Result]],
) -> tuple[Robustness, ...]:
    """Of every candidate, the baseline first, if one of them is trained against an adversary; else nothing.

    Also where the study is judged by accuracy under attack. Where one is trained in the Euclidean norm, all are
    attacked in that too, behind the others. A diverged run counts, clean and attacked, as the most common class: a
    constant prediction, which no attack moves.
    """
    judged = isinstance(rules_of(trainer.dataset), ByRobustAccuracy)
    adversaries = any(against_adversary(c) for c in candidates)
    if not (adversaries or judged) or not trainer.dataset.classifies:
        return ()
    euclidean = any(against_adversary(c, RootMeanSquare) for c in candidates)
    norms: tuple[Norm, ...] = ("inf", "2") if euclidean else ("inf",)
    return tuple(row for norm in norms for row in _rows(trainer, candidates, fresh, results, norm))


def _rows(
    trainer: Trainings,
    candidates: Sequence[Candidate],
    fresh: Sequence[Sequence[Run]],
    results: Sequence[Sequence[Result]],
    norm: Norm,
) -> list[Robustness]:
    constant = RULES["classification"].constant(trainer.dataset.y)  # an accuracy, whatever the study is judged by
    found = []
    for runs, outcomes in zip(fresh, results, strict=True):
        pairs = [
            (constant, constant)
            if r.state is None
            else under_attack(run, r, trainer.network, trainer.dataset, EPS, norm)
            for run, r in zip(runs, outcomes, strict=True)
        ]
        found.append(np.array(pairs).T)
    base = found[0][1]
    return [
        Robustness(
            candidate.name,
            Estimate.of(t_interval(clean)),
            Estimate.of(t_interval(attacked)),
            Estimate.of(paired_difference(attacked, base)) if i else None,
            EPS,
            STEPS,
            norm,
        )
        for i, (candidate, (clean, attacked)) in enumerate(zip(candidates, found, strict=True))
    ]


def against_adversary(candidate: Candidate, kind: type = InRange) -> bool:
    """Whether it trains on examples that are moved against the network, by a technique of this kind."""
    return any(isinstance(t.make, type) and issubclass(t.make, kind) for t in candidate.recipe.techniques())


def under_attack(
    run: Run, result: Result, network: str | Factory, dataset: Dataset, eps: float, norm: Norm = "inf"
) -> tuple[float, float]:
    """(clean accuracy, accuracy under attack) of a trained run, on the same validation examples; see `attack`."""
    member = trained_member(run, network, dataset, result.state or {})
    chosen = attacked_examples(run.seed, member.validation)
    x, y, trained_on = dataset.x[chosen], dataset.y[chosen], Rows(dataset.x, member.train)
    found = attack(member.objective.network, x, y, trained_on, run.seed, eps, norm)
    return found.clean, found.accuracy
