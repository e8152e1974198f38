"""The second training of runs whose early stopping trains anew on all examples once it has stopped."""

from collections.abc import Sequence

from trainsmith.population.course import Result, Training
from trainsmith.population.held_back import retrains
from trainsmith.population.member import Member


def best_steps(members: Sequence[Member], results: Sequence[Result], training: Training) -> dict[int, int]:
    """Of each member that trains anew, by position, after how many steps its first training was best."""
    checks = training.check_steps()
    return {
        i: checks[m.stopping.best_check - 1]
        for i, (m, r) in enumerate(zip(members, results, strict=True))
        if retrains(m.stopping) and m.stopping.best_check and r.status != "diverged"
    }


def followed(first: Result, second: Result) -> Result:
    """One result of both trainings: the second's score and weights, the steps of both, one behind the other."""
    curve = [(first.step + step, *rest) for step, *rest in second.curve]
    return Result(
        second.status if second.status == "diverged" else first.status,
        first.step + second.step,
        second.score,
        second.loss,
        [*first.curve, *curve],  # type: ignore[list-item]
        first.first_losses,
        second.state,
    )
