"""The second training of runs whose early stopping trains on all examples once it has stopped, anew or on."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from trainsmith.data import Dataset
from trainsmith.optimizer import Schedule
from trainsmith.population.members.held_back import afterwards
from trainsmith.population.members.member import Member
from trainsmith.population.members.pace import Pace
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.course import Result, Training, watched_losses
from trainsmith.regularization import UntilMatched


def goes_on(member: Member) -> bool:
    """Whether its best weights are needed, to train on from them."""
    return afterwards(member.stopping) == "on"


def second_trainings(
    members: Sequence[Member],
    results: Sequence[Result],
    make: Callable[[int], Member],
    training: Training,
    dataset: Dataset,
) -> dict[int, Member]:
    """By position, of each member that trains further on all examples, what is to be trained.

    make: of a position the run's member made anew, for a second training.
    """
    checks, found = training.check_steps(), {}
    for i, (first, result) in enumerate(zip(members, results, strict=True)):
        way = afterwards(first.stopping)
        if not way or not first.stopping.best_check or result.status == "diverged":
            continue
        member, best = make(i), checks[first.stopping.best_check - 1]
        if way == "anew":
            member.ends = best
        elif not _goes_on_from(member, first, result.state or {}, best, training, dataset):
            continue
        found[i] = member
    return found


def _goes_on_from(
    member: Member, first: Member, state: Mapping[str, np.ndarray], best: int, training: Training, dataset: Dataset
) -> bool:
    """Give the member the best weights of its first training, after `best` steps; whether anything is left to train."""
    left = [step for step in training.check_steps() if step <= training.steps - best]
    member.objective.network.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in state.items()})
    member.objective.begin()
    (target,) = watched_losses(Alone(member), dataset.inputs, dataset.y, [first.train])
    if not left or first.stopping.best <= target:
        return False
    member.stopping, member.ends = UntilMatched(target), left[-1]
    member.pace = _later(member.pace, training.schedule_of(member), best)
    return True


def _later(pace: Pace | None, schedule: Schedule, before: int) -> Pace:
    """The factors on the learning rate from the step behind `before` on, of a pace of its own or the schedule."""

    def later(step: int, steps: int, factor: float) -> float:
        factor = schedule(before + step)
        return factor if pace is None else pace(before + step, steps, factor)

    return later


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
