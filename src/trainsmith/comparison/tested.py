"""The end of a study: the locked test part is opened, once, for the winner and the baseline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from trainsmith.catalogue import Run
from trainsmith.comparison.example_errors import Each, difference_error, each_score, sampling_error
from trainsmith.comparison.measured import Estimate, McNemar
from trainsmith.comparison.plan import Candidate
from trainsmith.comparison.statistics import Floats, mcnemar_p, t_interval
from trainsmith.comparison.study import TestScore
from trainsmith.comparison.trainings import Trainings
from trainsmith.luck import generator
from trainsmith.population import Result, rules_of, trained_member
from trainsmith.population.members.attacked import attack
from trainsmith.population.members.objective import outputs_by_pieces
from trainsmith.population.members.task import ByRobustAccuracy, Classification
from trainsmith.rows import Rows

MOST_ATTACKED = 1000


def score_on_test(
    trainer: Trainings,
    candidates: Sequence[Candidate],
    runs: Sequence[Sequence[Run]],
    results: Sequence[Sequence[Result]],
    best: int,
    constant: float,
) -> TestScore:
    """Open the test data, once, and score every fresh run of the winner and of the baseline on it.

    best: the winner's position; the baseline's is 0. constant: what a diverged run counts. Accuracy under attack is
    that of MOST_ATTACKED examples at most, drawn once, the same for both.
    """
    x, y = trainer.dataset.test.open()
    if isinstance(rules_of(trainer.dataset), ByRobustAccuracy):
        chosen = generator(0, "attacked").permutation(len(y))[:MOST_ATTACKED]
        x, y = x[chosen], y[chosen]
    rules = rules_of(trainer.dataset)

    def scored(i: int) -> tuple[Estimate, Each]:
        scores, each = [], {}
        for run, result in zip(runs[i], results[i], strict=True):
            if result.state is None:
                scores.append(constant)
                continue
            score, found = _on_test(trainer, run, result, x, y)
            scores.append(score)
            if found is not None:
                each[run.seed] = found
        return Estimate.of(t_interval(np.array(scores))), each

    won, each = scored(best)
    base, base_each = scored(0) if best else (won, each)
    held = TestScore(candidates[best].name, won, base, len(y), sampling_error(rules, won.mean, y, each))
    if not best or not each.keys() & base_each.keys():
        return held
    held = replace(held, difference_error=difference_error(each, base_each))
    if rules.metric != Classification.metric:
        return held
    scores = {run.seed: r.score for run, r in zip(runs[best], results[best], strict=True) if r.state is not None}
    seed = median_seed(scores)
    return replace(held, mcnemar=mcnemar(seed, each, base_each) if seed in base_each else None)


def median_seed(scores: Mapping[int, float]) -> int:
    """The seed whose score is the median, of an even number the lower of both in the middle: the one exported."""
    middle = statistics.median_low(scores.values())
    return next(seed for seed, score in scores.items() if score == middle)


def mcnemar(seed: int, winner: Each, baseline: Each) -> McNemar:
    """McNemar's exact test of the two networks of this seed, by the examples that each has right."""
    ahead, behind = (int((a[seed] > b[seed]).sum()) for a, b in ((winner, baseline), (baseline, winner)))
    return McNemar(seed, ahead, behind, mcnemar_p(ahead, behind))


def _on_test(trainer: Trainings, run: Run, result: Result, x: Tensor, y: Tensor) -> tuple[float, Floats | None]:
    """Score of a run's network, an ordinary module, and its share of each example; under attack there is none."""
    member = trained_member(run, trainer.network, trainer.dataset, result.state or {})
    if isinstance(member.rules, ByRobustAccuracy):
        trained_on = Rows(trainer.dataset.x, member.train)
        return attack(member.objective.network, x, y, trained_on, run.seed).accuracy, None
    outputs, targets = outputs_by_pieces(member.objective.network, x), member.targets(y)
    return member.rules.score(outputs, targets)[1], each_score(member.rules, outputs, targets)
