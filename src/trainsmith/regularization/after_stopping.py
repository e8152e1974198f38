"""What to do with the held-back examples once early stopping has stopped. To be used alone.

Goodfellow et al. 2016, Deep Learning, section 7.8, gives two ways. The first starts again, the second goes on.
"""

import math
from collections.abc import Callable

from trainsmith.errors import InvalidInput


def retrain(restart: Callable[[], None], step: Callable[[], object], steps: int) -> None:
    """Train a fresh network on all examples for as many steps as were best: Goodfellow et al. 2016, algorithm 7.2.

    restart: draw the weights anew (and a new optimizer). step: one step on a batch of all examples, those that were
    held back among them. steps: the step of the best check.

    Pitfall: the set is larger now, so that as many steps are fewer passes over it; the book leaves open which to keep.
    For as many passes give steps times the ratio of the sizes. A learning-rate schedule has to end at `steps` too.

    Raises InvalidInput for a number of steps below 1.

    >>> done = []
    >>> retrain(lambda: done.append("restart"), lambda: done.append("step"), 2)
    >>> done
    ['restart', 'step', 'step']
    """
    if steps < 1:
        raise InvalidInput(f"steps must be a whole number of at least 1; got {steps!r}.")
    restart()
    for _ in range(steps):
        step()


def continue_until(
    train: Callable[[], object], held_back_loss: Callable[[], float], target: float, rounds: int
) -> tuple[int, bool]:
    """Go on from the best weights on all examples until the held-back loss matches.

    Goodfellow et al. 2016, algorithm 7.3.

        while held_back_loss() > target: train()

    train: some steps on all examples. held_back_loss: the mean loss on the examples that were held back. target: the
    loss on the examples trained on so far, at the moment early stopping stopped. Returns the rounds trained, and
    whether the target was reached.

    Differs: 1. It ends after `rounds` rounds, or at a loss that is not finite: the book's may never end, as it says.

    Pitfall: the held-back examples are trained on, so that what remains says nothing of new data.

    Raises InvalidInput for a target that is no number, or a number of rounds below 1.

    >>> losses = iter([0.9, 0.6, 0.3])
    >>> continue_until(lambda: None, lambda: next(losses), target=0.4, rounds=10)
    (2, True)
    """
    if math.isnan(target):
        raise InvalidInput("target must be a number, the training loss when early stopping stopped; got nan.")
    if rounds < 1:
        raise InvalidInput(f"rounds must be a whole number of at least 1; got {rounds!r}.")
    for done in range(rounds):
        loss = held_back_loss()
        if loss <= target:
            return done, True
        if not math.isfinite(loss):
            return done, False
        train()
    return rounds, held_back_loss() <= target
