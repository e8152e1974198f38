"""Learning-rate schedules: what the learning rate is multiplied by at each step.

A schedule is a function factor(step, steps, **numbers) of the step, from 1, and the training's length. `scheduler`
makes an ordinary torch LR scheduler of it. `Plateau` alone needs to see the losses.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from trainsmith.errors import InvalidInput, unknown_name


def constant(step: int, steps: int) -> float:
    """1 at every step."""
    _check(step, steps)
    return 1.0


def staircase(step: int, steps: int, stairs: int = 3, gamma: float = 0.1) -> float:
    """Multiplied by gamma at the start of each of `stairs` equal parts but the first: gamma^floor(stairs (t-1) / T)."""
    _check(step, steps)
    return gamma ** (stairs * (step - 1) // steps)


def exponential(step: int, steps: int, final: float = 0.01) -> float:
    """The same share less at each step, down to `final` after the last: final^((t-1) / T)."""
    _check(step, steps)
    return final ** ((step - 1) / steps)


def cosine(step: int, steps: int, warmup: float = 0.05) -> float:
    """Up in a line over the first share `warmup` of the steps, then down to 0 by half a cosine.

    After r = warmup T steps (1 + cos(pi (t - r) / (T - r + 1))) / 2: Loshchilov & Hutter 2017, SGDR, equation 5, one
    period. The last step's factor is above 0.
    """
    rise = _rise(step, steps, warmup)
    if step <= rise:
        return step / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise + 1)))


def linear(step: int, steps: int, warmup: float = 0.05) -> float:
    """Up in a line over the first share `warmup` of the steps, then down in a line: (T - t + 1) / (T - r + 1)."""
    rise = _rise(step, steps, warmup)
    return step / rise if step <= rise else (steps - step + 1) / (steps - rise + 1)


def warm_up(step: int, steps: int, warmup: float = 0.05) -> float:
    """Up in a line over the first share `warmup` of the steps, then 1."""
    return min(1.0, step / _rise(step, steps, warmup))


def stable_decay(step: int, steps: int, warmup: float = 0.05, decay: float = 0.2) -> float:
    """Warm-up, stable, decay: up in a line, then 1, then down in a line over the last share `decay` of the steps.

    Hu et al. 2024, MiniCPM, section 4.3, with the linear decay of Hägele et al. 2024, Scaling laws and compute-optimal
    training beyond fixed training durations, section 3.
    """
    rise = _rise(step, steps, warmup)
    _check_share("decay", decay)
    fall = max(1, round(decay * steps))
    return min(1.0, step / rise, (steps - step + 1) / (fall + 1))


def one_cycle(step: int, steps: int, rise: float = 0.3, start: float = 0.04, final: float = 4e-6) -> float:
    """From `start` up to 1 over the share `rise` of the steps and down to `final`, both by half a cosine.

    Smith & Topin 2018, Super-convergence; with torch.optim.lr_scheduler.OneCycleLR's shape and numbers.
    """
    _check(step, steps)
    _check_share("rise", rise)
    top = rise * steps - 1
    if step - 1 <= top:
        return _between(start, 1.0, (step - 1) / top if top > 0 else 1.0)
    return _between(1.0, final, (step - 1 - top) / (steps - 1 - top))


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "staircase": staircase,
    "exponential": exponential,
    "cosine": cosine,
    "linear": linear,
    "warm-up": warm_up,
    "stable-decay": stable_decay,
    "one-cycle": one_cycle,
}
WORDS = {
    "constant": "a constant learning rate",
    "staircase": "a tenth of the learning rate after each third",
    "exponential": "exponential decay to a hundredth",
    "cosine": "cosine to 0",
    "linear": "linear to 0",
    "warm-up": "a constant learning rate",
    "stable-decay": "a constant learning rate, linear to 0 over the last 20%",
    "one-cycle": "one cycle: up by a cosine over the first 30%, then down to 0",
    "plateau": "a tenth of the learning rate whenever the training loss has not fallen for 3 checks",
}
"""What each does with its default numbers, after its warm-up, for the plan of a study."""
PLATEAU, PATIENCE = "plateau", 2
"""The schedule that hangs on the losses, and for how many looks it waits in a training that has few."""


class Schedule:
    """The schedule of SCHEDULES called `name` over a training of `steps` steps: step, from 1, -> factor.

    warmup: the share of the steps in which the factor first rises, for the schedules that have such a rise. The other
    numbers are the schedule's defaults. Raises InvalidInput for a name that is none, with the nearest one. "plateau"
    is a warm-up, and then hangs on the losses: it `watches`, and who trains multiplies by the factor of a `plateau()`.

    >>> [round(Schedule("linear", 4, warmup=0.25)(step), 2) for step in (1, 2, 3, 4)]
    [1.0, 0.75, 0.5, 0.25]
    """

    def __init__(self, name: str, steps: int, warmup: float = 0.05) -> None:
        if name not in (*SCHEDULES, PLATEAU):
            raise unknown_name("schedule", str(name), (*SCHEDULES, PLATEAU))
        self.name, self.steps, self.watches = name, steps, name == PLATEAU
        self._factor = SCHEDULES.get(name, warm_up)
        self._numbers = {"warmup": warmup} if "warmup" in inspect.signature(self._factor).parameters else {}
        self(1)

    def __call__(self, step: int) -> float:
        return self._factor(step, self.steps, **self._numbers)

    def plateau(self) -> "Plateau":
        """What watches the losses of one training."""
        return Plateau(patience=PATIENCE)

    def __str__(self) -> str:
        rise = f"{self._numbers['warmup']:.0%} linear warm-up, then " if self._numbers else ""
        return rise + WORDS[self.name]


class _Factor:
    """A schedule as torch calls it: with the number of steps done. An object, so that it can be pickled."""

    def __init__(self, schedule: Callable[..., float], steps: int, numbers: dict[str, Any]) -> None:
        self.schedule, self.steps, self.numbers = schedule, steps, numbers

    def __call__(self, done: int) -> float:
        return self.schedule(min(done + 1, self.steps), self.steps, **self.numbers)


def scheduler(
    optimizer: torch.optim.Optimizer, schedule: Callable[..., float], steps: int, **numbers: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """An ordinary LR scheduler; call its step() after each of the `steps` steps. Later steps keep the last factor."""
    schedule(1, steps, **numbers)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, _Factor(schedule, steps, numbers))


class Plateau:
    """Reduce on plateau: the factor falls by `gamma` when the loss has not improved for more than `patience` looks.

    A loss improves when it is below (1 - threshold) times the best so far. torch's ReduceLROnPlateau is the same for
    its default mode. factor: the present factor.
    """

    def __init__(self, gamma: float = 0.1, patience: int = 10, threshold: float = 1e-4) -> None:
        if not 0 < gamma < 1:
            raise InvalidInput(f"gamma must be a number between 0 and 1; got {gamma!r}.")
        self.gamma, self.patience, self.threshold = gamma, patience, threshold
        self.best, self.waited, self.factor = math.inf, 0, 1.0

    def update(self, loss: float) -> float:
        """The factor from now on, after a look at the loss. A loss that is not a number is no improvement."""
        if loss < self.best * (1 - self.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.factor, self.waited = self.factor * self.gamma, 0
        return self.factor


def _between(first: float, last: float, share: float) -> float:
    """From first to last by half a cosine."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


def _rise(step: int, steps: int, warmup: float) -> int:
    _check(step, steps)
    _check_share("warmup", warmup)
    return max(1, round(warmup * steps))


def _check(step: int, steps: int) -> None:
    if not 1 <= step <= steps:
        raise InvalidInput(f"a step must be from 1 to the number of steps, {steps}; got {step}.")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InvalidInput(f"{name} must be a share of the steps, from 0 to 1; got {value!r}.")
