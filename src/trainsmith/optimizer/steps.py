"""Where a step lies in a training: what the schedules of the learning rate are made of."""

import math

from trainsmith.catalogue import Hyperparameter, Interval
from trainsmith.errors import InvalidInput

SHARE = Interval(0, 1)
WARMUP = Hyperparameter("share of the steps in which it rises", (0.0, 0.3), "linear", SHARE, tuned=True)
FALL = Hyperparameter("what each fall multiplies it by", (0.03, 0.7), "log", Interval(0, 1, True, True), tuned=True)


def check_step(step: int, steps: int) -> None:
    """Raises InvalidInput for a step before the first or behind the last."""
    if not 1 <= step <= steps:
        raise InvalidInput(f"a step must be from 1 to the number of steps, {steps}; got {step}.")


def rise_of(step: int, steps: int, warmup: float) -> int:
    """How many steps a warm-up over the share `warmup` of the steps takes: 1 at least. Raises InvalidInput as above."""
    check_step(step, steps)
    return max(1, round(warmup * steps))


def half_cosine(first: float, last: float, share: float) -> float:
    """What lies between first and last after the share of half a cosine."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))
