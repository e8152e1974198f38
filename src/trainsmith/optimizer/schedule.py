"""Learning-rate schedules by name: over a training of known length, for a study and for torch."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from trainsmith.catalogue import Technique, spelt, techniques
from trainsmith.errors import InvalidInput, unknown_name, whole
from trainsmith.optimizer.plateau import Plateau
from trainsmith.optimizer.schedules_falling import constant_rate, exponential, staircase
from trainsmith.optimizer.schedules_rising import cosine, linear_decay, one_cycle, stable_decay, warm_up

SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant_rate,
    "staircase": staircase,
    "exponential": exponential,
    "cosine": cosine,
    "linear": linear_decay,
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
PLATEAU = "plateau"
"""The schedule that hangs on the losses."""


class Schedule:
    """The schedule called `name` over a training of `steps` steps: step, from 1, -> factor.

    name: one of SCHEDULES, "plateau", or any other that the catalogue has for one. warmup: the share of the steps in
    which the factor first rises, for the schedules that have such a rise. The other numbers are the schedule's
    defaults. Raises InvalidInput for a name that is none, with the nearest one. "plateau" is a warm-up, and then hangs
    on the losses: it `watches`, and who trains multiplies by the factor of a `plateau()`.

    >>> [round(Schedule("linear", 4, warmup=0.25)(step), 2) for step in (1, 2, 3, 4)]
    [1.0, 0.75, 0.5, 0.25]
    """

    def __init__(self, name: str, steps: int, warmup: float = 0.05) -> None:
        name = _short(str(name))
        make = SCHEDULES.get(name, warm_up)
        takes = "warmup" in inspect.signature(make).parameters
        rise = f"{warmup:.0%} linear warm-up, then " if takes else ""
        falling: dict[str, float] | None = {} if name == PLATEAU else None
        self._set(name, make, steps, {"warmup": warmup} if takes else {}, falling, rise + WORDS[name])

    @classmethod
    def of(cls, technique: Technique, numbers: dict[str, float], steps: int) -> "Schedule":
        """That of the catalogue's entry with these numbers. A plateau has no warm-up here."""
        self = cls.__new__(cls)
        words = " ".join([technique.name, *(f"{name} {value:g}" for name, value in numbers.items())])
        if inspect.isclass(technique.make):
            self._set(technique.name, constant_rate, steps, {}, numbers, words)
        else:
            self._set(technique.name, technique.make, steps, numbers, None, words)
        return self

    def _set(
        self,
        name: str,
        make: Callable[..., float],
        steps: int,
        numbers: dict[str, float],
        falling: dict[str, float] | None,
        words: str,
    ) -> None:
        """falling: the numbers of the plateau that watches the losses, if one does."""
        make(1, steps, **numbers)  # which refuses numbers that have no meaning
        self.name, self.steps, self.watches = name, steps, falling is not None
        self._factor, self._numbers, self._falling, self._words = inspect.unwrap(make), numbers, falling or {}, words

    def __call__(self, step: int) -> float:
        return self._factor(step, self.steps, **self._numbers)

    def plateau(self) -> Plateau:
        """What watches the losses of one training."""
        return Plateau(**self._falling)

    def __str__(self) -> str:
        return self._words


def _short(name: str) -> str:
    """The name in SCHEDULES, or "plateau", of what the catalogue calls `name`."""
    short = {make: key for key, make in SCHEDULES.items()} | {Plateau: PLATEAU}
    entries = {n: t for t in techniques("optimizer") if t.role == "schedule" for n in (t.name, *t.aliases)}
    if (wanted := spelt(name)) not in entries:
        raise unknown_name("schedule", name, entries)
    return short[entries[wanted].make]


class _Factor:
    """A schedule as torch calls it: with the number of steps done. An object, so that it can be pickled.

    Its state is its numbers alone, not the function, so that torch.load takes it with weights_only.
    """

    __slots__ = ("__dict__", "schedule")

    def __init__(self, schedule: Callable[..., float], steps: int, numbers: dict[str, Any]) -> None:
        self.schedule, self.steps, self.numbers = schedule, steps, numbers

    def __call__(self, done: int) -> float:
        return self.schedule(min(done + 1, self.steps), self.steps, **self.numbers)


def scheduler(
    optimizer: torch.optim.Optimizer, schedule: str | Callable[..., float], steps: int, **numbers: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """An ordinary LR scheduler; call its step() after each of the `steps` steps. Later steps keep the last factor.

    schedule: one of the functions, or its name. Raises InvalidInput for any other name, for "plateau", which hangs on
    losses, and for steps or numbers without meaning.

    >>> import torch
    >>> from trainsmith.optimizer import cosine, scheduler
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule, rates = scheduler(optimizer, cosine, steps=4, warmup=0.5), []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     optimizer.step()
    ...     schedule.step()
    >>> [round(rate, 4) for rate in rates]
    [0.5, 1.0, 0.75, 0.25]
    """
    made: Any = {PLATEAU: Plateau, **SCHEDULES}[_short(schedule)] if isinstance(schedule, str) else schedule
    if made is Plateau or isinstance(made, Plateau):
        raise InvalidInput("a plateau hangs on losses: multiply the learning rate by what its update(loss) gives.")
    steps = whole("steps", steps)
    made(1, steps, **numbers)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, _Factor(made, steps, numbers))
