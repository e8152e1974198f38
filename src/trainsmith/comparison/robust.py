"""Accuracy under attack, beside the clean one, where a study compares techniques against adversaries."""

from collections.abc import Sequence

import numpy as np
import torch

from trainsmith.catalogue import Run, find
from trainsmith.comparison.measured import Estimate, Robustness
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.statistics import paired_difference, t_interval
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import Dataset
from trainsmith.network import Factory
from trainsmith.population import Result, trained_member
from trainsmith.population.luck import generator, key
from trainsmith.population.objective import Predicting
from trainsmith.population.task import RULES
from trainsmith.regularization import pgd
from trainsmith.regularization.adversarial_training import InRange
from trainsmith.rows import Rows, fit

STEPS = 20
EXAMPLES = 500
"""Validation examples that are attacked in each run, at most; drawn by the seed, the same for all techniques."""


def robustness(
    trainer: Trainings,
    candidates: Sequence[Candidate],
    fresh: Sequence[Sequence[Run]],
    results: Sequence[Sequence[Result]],
) -> tuple[Robustness, ...]:
    """Of every candidate, the baseline first, if one of them is trained against an adversary; else nothing.

    A diverged run counts, clean and attacked, as the most common class: a constant prediction, which no attack moves.
    """
    if not any(against_adversary(c) for c in candidates) or not trainer.dataset.classifies:
        return ()
    eps = find("pgd-training").defaults["eps"]
    constant = RULES["classification"].constant(trainer.dataset.y)  # an accuracy, whatever the study is judged by
    found = []
    for runs, outcomes in zip(fresh, results, strict=True):
        pairs = [
            (constant, constant) if r.state is None else under_attack(run, r, trainer.network, trainer.dataset, eps)
            for run, r in zip(runs, outcomes, strict=True)
        ]
        found.append(np.array(pairs).T)
    base = found[0][1]
    return tuple(
        Robustness(
            candidate.name,
            Estimate.of(t_interval(clean)),
            Estimate.of(t_interval(attacked)),
            Estimate.of(paired_difference(attacked, base)) if i else None,
            eps,
            STEPS,
        )
        for i, (candidate, (clean, attacked)) in enumerate(zip(candidates, found, strict=True))
    )


def against_adversary(candidate: Candidate) -> bool:
    """Whether it trains on examples that are moved against the network."""
    return any(isinstance(t.make, type) and issubclass(t.make, InRange) for t in candidate.recipe.techniques())


def under_attack(run: Run, result: Result, network: str | Factory, dataset: Dataset, eps: float) -> tuple[float, float]:
    """(clean accuracy, accuracy under attack) of a trained run, on the same validation examples.

    The attack is projected gradient descent in the maximum norm (Madry et al. 2018) with a random start drawn by the
    seed: STEPS steps of 2.5 eps / STEPS, eps as a share of the range of the run's training inputs (of each column of a
    table). An example counts if it is right clean and at the attack's last point.
    """
    member = trained_member(run, network, dataset, result.state or {})
    module = Predicting(member.objective.network, frozenset()).eval()
    chosen = generator(run.seed, "attacked").permutation(member.validation)[:EXAMPLES]
    x, y = dataset.x[chosen], dataset.y[chosen]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(run.seed, "attack"))
        within = fit(InRange(eps, "inf"), Rows(dataset.x, member.train))
        moved = within.moved(module, x, lambda net, u: pgd(net, u, y, eps, steps=STEPS))
    with torch.no_grad():
        clean, attacked = (module(z).argmax(-1) == y for z in (x, moved))
    return float(clean.double().mean()), float((clean & attacked).double().mean())
