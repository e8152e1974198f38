"""The receipt: members replayed alone, and how far they lie from what they got in their population."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from trainsmith.population.alone import Alone
from trainsmith.population.course import Result, Training
from trainsmith.population.luck import batches, torch_generator
from trainsmith.population.member import Learner, Member

TOLERANCE = 1e-4
"""Largest relative deviation of a training loss in the first steps that rounding in float32 explains.

Sums in another order differ by about 1e-7; ten steps at a high learning rate amplify that."""
AMPLIFIED = 10.0
"""Where a deviation is larger, so many times what a change of the weights' last bit makes of the member alone.

Adam takes full steps along a gradient that is nothing but rounding errors, such as that of a bias before a batch
normalization; such a network deviates from itself."""
MOST_EXPLAINED = 1e-2
"""No deviation beyond this is taken for rounding."""


def deviation(member: Member, x: Tensor, y: Tensor, training: Training, result: Result) -> float:
    """The largest |loss alone - loss in the population| over the first steps, relative to the largest loss.

    member: built anew from its run, so that nothing is shared with the population that gave `result`.
    """
    return relative_deviation(replay(member, _course(member, x, y, training, result)), result.first_losses)


def tolerance(
    found: float, make: Callable[[], Member], x: Tensor, y: Tensor, training: Training, result: Result
) -> float:
    """How large a deviation rounding explains for this member; measured only where `found` is above TOLERANCE."""
    if found <= TOLERANCE:
        return TOLERANCE
    return explained(make, lambda member: _course(member, x, y, training, result))


L = TypeVar("L", bound=Learner)
Batch = tuple[float, Tensor, Tensor]
"""The schedule's factor on the learning rate, and the examples x (n, ...), y (n, ...) of one step."""


def _course(member: Member, x: Tensor, y: Tensor, training: Training, result: Result) -> Iterable[Batch]:
    steps = len(result.first_losses)
    for i, chosen in enumerate(batches(member.seed, member.train, training.batch_size, steps)):
        yield training.rate(i + 1), x[chosen], member.targets(y[chosen])


def replay(learner: Learner, course: Iterable[Batch]) -> list[float]:
    """The losses of the learner trained alone."""
    alone = Alone(learner)
    return [alone.step(i, rate, x[None], y[None]).item() for i, (rate, x, y) in enumerate(course, 1)]


def explained(make: Callable[[], L], course: Callable[[L], Iterable[Batch]]) -> float:
    """The deviation of a member from itself with the last bit of its weights changed, AMPLIFIED times."""
    plain, shaken = make(), make()
    with torch.no_grad():
        for name, p in shaken.objective.named_parameters():
            signs = torch.randint(2, p.shape, generator=torch_generator(shaken.seed, "shaken", name)) * 2 - 1
            p.mul_(1 + torch.finfo(p.dtype).eps * signs.to(p))
    own = relative_deviation(replay(plain, course(plain)), replay(shaken, course(shaken)))
    return min(MOST_EXPLAINED, max(TOLERANCE, AMPLIFIED * own))


def relative_deviation(here: Sequence[float], there: Sequence[float]) -> float:
    """max |a - b| / max |a| over the finite part; infinite if one is finite where the other is not."""
    a, b = np.asarray(here), np.asarray(there)
    finite = np.isfinite(a)
    if (finite != np.isfinite(b)).any():
        return math.inf
    return float(np.abs(a - b)[finite].max() / np.abs(a[finite]).max()) if finite.any() else 0.0
