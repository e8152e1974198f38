"""What the learning rates of members are multiplied by, step by step: one number for all, or one for each."""

import copy
from collections.abc import Callable, Sequence

from trainsmith.errors import InvalidInput
from trainsmith.optimizer import Plateau, Schedule
from trainsmith.population.members.learner import Learner
from trainsmith.population.program.kernels import Rate

Scheduled = str | Callable[[int], float] | Plateau | None
"""What a schedule may be given as: by name, as a function of the step, or as what watches the losses."""


class Rates:
    """The factors on the learning rates of `members` over a training: each one's schedule, and what else it has.

    schedules: for each member step, from 1, -> factor, over a training of `steps` steps, before which the members had
    `first`. A pace of a member's own goes by all steps that it has had. plateaus: for each what further lowers its
    factor, if anything, at its mean training loss since the look before, after the steps `looks`.
    """

    def __init__(
        self,
        schedules: Sequence[Callable[[int], float]],
        steps: int,
        members: Sequence[Learner],
        plateaus: Sequence[Plateau | None] = (),
        looks: Sequence[int] = (),
        first: int = 0,
    ) -> None:
        self.schedules, self.steps, self.members, self.looks = list(schedules), steps, list(members), frozenset(looks)
        self.first = first
        self.plateaus = [copy.deepcopy(p) for p in plateaus or [None] * len(self.members)]
        alike = len({id(s) for s in self.schedules}) == 1 and not any(self.plateaus)
        self.differ = not alike or any(m.pace is not None for m in members)
        self.seen: list[list[float]] = [[] for _ in members]

    def __call__(self, step: int, active: Sequence[int] | None = None) -> Rate:
        """The factors at `step`, from 1, of the `active` members, by position; of all by default."""
        if not self.differ:
            return self.schedules[0](step)
        return [self._own(k, step) for k in (range(len(self.members)) if active is None else active)]

    def _own(self, k: int, step: int) -> float:
        factor, pace, plateau = self.schedules[k](step), self.members[k].pace, self.plateaus[k]
        own = factor if pace is None else pace(self.first + step, self.first + self.steps, factor)
        return own if plateau is None else own * plateau.factor

    def note(self, step: int, losses: Sequence[float], active: Sequence[int] | None = None) -> None:
        """Tell of the training losses of a step of the active members."""
        for k, loss in zip(range(len(self.members)) if active is None else active, losses, strict=True):
            plateau = self.plateaus[k]
            if plateau is None:
                continue
            self.seen[k].append(loss)
            if step in self.looks:
                plateau.update(sum(self.seen[k]) / len(self.seen[k]))
                self.seen[k] = []


def rates_of(
    schedule: Scheduled | Sequence[Scheduled], members: Sequence[Learner], first: int, steps: int, looks: Sequence[int]
) -> Rates:
    """The factors of `steps` steps behind the first `first`, from one schedule for all members or a list of one each.

    looks: the steps after which a plateau looks at the losses.
    """
    if not isinstance(schedule, (list, tuple)):
        found = [_course(schedule, first, steps)] * len(members)  # type: ignore[arg-type]  # no other sequence is given
    elif len(schedule) == len(members):
        found = [_course(s, first, steps) for s in schedule]
    else:
        raise InvalidInput(
            f"a list of schedules must have one for each of {len(members)} members; got {len(schedule)}."
        )
    plateaus = [plateau for _, plateau in found]
    return Rates([course for course, _ in found], steps, members, plateaus, looks if any(plateaus) else (), first)


def _course(schedule: Scheduled, first: int, steps: int) -> tuple[Callable[[int], float], Plateau | None]:
    """(step of these `steps` steps, from 1, -> factor, what watches the losses)."""
    if isinstance(schedule, str):
        named = Schedule(schedule, steps)
        return named, named.plateau() if named.watches else None
    if schedule is None or isinstance(schedule, Plateau):
        return lambda step: 1.0, schedule
    if not callable(schedule):
        raise InvalidInput(
            "schedule must be a name, a function of the step, a Plateau or a list of such, one a member; got "
            f"{type(schedule).__name__}."
        )
    return lambda step: schedule(first + step), None
