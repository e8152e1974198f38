"""What the learning rates of members are multiplied by, step by step: one number for all, or one for each."""

import copy
from collections.abc import Callable, Sequence

from trainsmith.optimizer import Plateau
from trainsmith.population.learner import Learner
from trainsmith.population.update import Rate


class Rates:
    """The factors on the learning rates of `members` over a training: its schedule, and what each has of its own.

    schedule: step, from 1, -> factor, over a training of `steps` steps, before which the members had `first`. A pace of
    a member's own goes by all steps that it has had. plateau: what further lowers each member's
    factor, if anything, at its mean training loss since the look before, after the steps `looks`.
    """

    def __init__(
        self,
        schedule: Callable[[int], float],
        steps: int,
        members: Sequence[Learner],
        plateau: Plateau | None = None,
        looks: Sequence[int] = (),
        first: int = 0,
    ) -> None:
        self.schedule, self.steps, self.members, self.looks = schedule, steps, list(members), frozenset(looks)
        self.first = first
        self.differ = plateau is not None or any(m.pace is not None for m in members)
        self.plateaus = [copy.deepcopy(plateau) for _ in members] if plateau is not None else []
        self.seen: list[list[float]] = [[] for _ in members]

    def __call__(self, step: int, active: Sequence[int] | None = None) -> Rate:
        """The factors at `step`, from 1, of the `active` members, by position; of all by default."""
        factor = self.schedule(step)
        if not self.differ:
            return factor
        return [self._own(k, step, factor) for k in (range(len(self.members)) if active is None else active)]

    def _own(self, k: int, step: int, factor: float) -> float:
        pace = self.members[k].pace
        own = factor if pace is None else pace(self.first + step, self.first + self.steps, factor)
        return own * self.plateaus[k].factor if self.plateaus else own

    def note(self, step: int, losses: Sequence[float], active: Sequence[int] | None = None) -> None:
        """Tell of the training losses of a step of the active members."""
        for k, loss in zip(range(len(self.members)) if active is None else active, losses, strict=True):
            self.seen[k].append(loss)
            if step in self.looks:
                self.plateaus[k].update(sum(self.seen[k]) / len(self.seen[k]))
                self.seen[k] = []
