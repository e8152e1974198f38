"""The receipt: members replayed alone, and how far they lie from what they got in their population."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from trainsmith.luck import torch_generator
from trainsmith.network.dispatch import Watch
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.member import Member
from trainsmith.population.program.kernels import Rate
from trainsmith.population.program.threads import one_thread
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.course import Result, Training

TOLERANCE = 1e-4
"""Largest relative deviation of a training loss in the first steps that rounding in float32 explains.

Sums in another order differ by about 1e-7; ten steps at a high learning rate amplify that."""
AMPLIFIED = 10.0
"""Where a deviation is larger, so many times what a change of the weights' last bit makes of the member alone.

Adam takes full steps along a gradient that is nothing but rounding errors, such as that of a bias before a batch
normalization; such a network deviates from itself."""
CHANGES = 8
"""So many such changes are tried, one after another until one explains the deviation: where a rule takes a gradient's
sign, as Lion does, only some of them turn one over."""
MOST_EXPLAINED = 1e-2
"""No deviation beyond this is taken for rounding, but one of the first step that a change of the last bit makes too."""
TWICE = 2.0
"""So many times what such a change makes of the first loss: where a network subtracts the mean of inputs near 1e8, no
digits are left in single precision, and nobody's first loss is more exact."""


def receipt(
    make: Callable[[], Member], x: Tensor, y: Tensor, training: Training, result: Result
) -> tuple[float, float]:
    """How far a run of a population lies from the same member alone, and how much of that rounding explains.

    make: builds the member anew from its run, so that nothing is shared with the population that gave `result`.
    """
    losses = result.first_losses
    return compared(make, lambda member: course(member, x, y, training, losses, len(losses)), losses)


ROUNDED = 4.0
"""Losses computed in half precision may differ by so many times its rounding error, if that is more than TOLERANCE."""

L = TypeVar("L", bound=Learner)
Batch = tuple[Rate, Tensor, Tensor]
"""The schedule's factor on the learning rate, and the examples x (n, ...), y (n, ...) of one step."""


def course(
    member: Member, x: Tensor, y: Tensor, training: Training, losses: Sequence[float], steps: int
) -> Iterable[Batch]:
    """The batches of the first steps of a member's training. losses: those of the steps, at least of those done."""
    rates = training.rates([member])
    for i, chosen in enumerate(member.order(training.batch_size, steps), 1):
        yield rates(i), x[chosen], member.targets(y[chosen[: member.targeted(training.batch_size)]])
        if rates.looks:
            rates.note(i, [losses[i - 1]])


def replay(learner: Learner, course: Iterable[Batch]) -> list[float]:
    """The losses of the learner trained alone, on one thread, as members are."""
    alone = Alone(learner)
    with one_thread():
        return [alone.step(i, rate, x[None], y[None]).item() for i, (rate, x, y) in enumerate(course, 1)]


def compared(
    make: Callable[[], L], course: Callable[[L], Iterable[Batch]], there: Sequence[float]
) -> tuple[float, float]:
    """(deviation, tolerance) of the losses `there` from those of the learner alone, where they stand worst.

    The tolerance of a step is AMPLIFIED times what changes of the weights' last bit make of the learner alone up to
    that step, at least TOLERANCE, or ROUNDED times the rounding error of the coarsest numbers that it computes with.
    Steps at which that exceeds MOST_EXPLAINED say nothing any more and are left out: from there on rounding, not the
    training, decides. The first step always counts, by TWICE what such changes make of it if that is more.
    """
    plain = make()
    alone = replay(plain, course(plain))
    found = relative_deviations(alone, there)
    if not len(found) or found.max() <= TOLERANCE:
        return float(found.max(initial=0.0)), TOLERANCE
    eps = coarsest(make(), course)
    least = max(TOLERANCE, ROUNDED * eps)
    most = max(MOST_EXPLAINED, least)
    own = np.zeros(len(found))
    for number in range(CHANGES):
        shaken = _shaken(make(), number)
        own = np.maximum(own, relative_deviations(alone, replay(shaken, course(shaken))))
        limits = np.maximum(least, AMPLIFIED * np.maximum.accumulate(own))
        telling = max(1, int((limits <= most).sum()))
        limits = np.minimum(limits, most)[:telling]
        if found[0] > limits[0]:
            limits[0] = max(limits[0], TWICE * own[0])
        worst = int((found[:telling] / limits).argmax())
        if found[worst] <= limits[worst]:
            break
    return float(found[worst]), float(limits[worst])


@torch.no_grad()
def _shaken(learner: L, number: int) -> L:
    """The learner with the last bit of each weight changed, up or down by a draw of its own for each number."""
    words = ("shaken", number) if number else ("shaken",)
    for name, p in learner.objective.named_parameters():
        signs = torch.randint(2, p.shape, generator=torch_generator(learner.seed, *words, name)) * 2 - 1
        p.mul_(1 + torch.finfo(p.dtype).eps * signs.to(p))
    return learner


def coarsest(learner: L, course: Callable[[L], Iterable[Batch]]) -> float:
    """The rounding error of the coarsest numbers that the learner's first step computes with: its eps."""
    seen = _Precisions()
    with seen:
        replay(learner, [next(iter(course(learner)))])
    return max((torch.finfo(kind).eps for kind in seen.kinds), default=0.0)


class _Precisions(Watch):
    """Notes the types of the numbers that operations give."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        leaves = torch.utils._pytree.tree_leaves(found)
        self.kinds |= {t.dtype for t in leaves if isinstance(t, Tensor) and t.is_floating_point()}
        return found


def relative_deviations(here: Sequence[float], there: Sequence[float]) -> np.ndarray:
    """|a - b| of each step, relative to the largest |a| so far; infinite where only one is finite, 0 where neither."""
    a, b = np.asarray(here, float), np.asarray(there, float)
    finite = np.isfinite(a)
    scale = np.maximum.accumulate(np.where(finite, np.abs(a), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(finite, np.abs(a - b) / scale, 0.0)
    found = np.where(finite & (a == b), 0.0, found)
    return np.where(finite == np.isfinite(b), found, math.inf)
