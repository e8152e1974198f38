"""A hyper-parameter: a number a technique takes, where it is defined and where it is searched."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from trainsmith.errors import InvalidInput

Scale = Literal["linear", "log", "logit"]


@dataclass(frozen=True)
class Interval:
    """The numbers for which a hyper-parameter has a meaning; an end may be open."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        return f"{'(' if self.low_open else '['}{self.low:g}, {self.high:g}{')' if self.high_open else ']'}"


REAL = Interval(-math.inf, math.inf, True, True)
POSITIVE = Interval(0, math.inf, True, True)
NON_NEGATIVE = Interval(0, math.inf, False, True)
FRACTION = Interval(0, 1, False, True)


@dataclass(frozen=True)
class Hyperparameter:
    """One number of a technique.

    meaning: what it is, with its unit. search: the published range a study searches (low, high), on
    `scale`. domain: where the technique is defined at all. tuned: whether a study with few trials
    searches it; the others stay at their default. The name and the default are read from the
    technique's own signature, so that neither is stated twice.
    """

    meaning: str
    search: tuple[float, float]
    scale: Scale = "linear"
    domain: Interval = REAL
    tuned: bool = False
    name: str = ""
    default: float = math.nan

    def named(self, name: str, default: float) -> "Hyperparameter":
        return replace(self, name=name, default=float(default))

    def check(self, value: float, owner: str) -> float:
        """`value`, or InvalidInput if the technique `owner` has no meaning there."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value not in self.domain:
            raise InvalidInput(f"{owner}: {self.name} must be a number in {self.domain}; got {value!r}.")
        return float(value)

    def at(self, quantile: float) -> float:
        """The value at `quantile` in [0, 1] of the search range, on its scale."""
        low, high = (_FORWARD[self.scale](end) for end in self.search)
        value = _BACKWARD[self.scale](low + quantile * (high - low))
        return min(max(value, self.search[0]), self.search[1])  # rounding must not lead out of the range


def number_in(buffer: Tensor) -> float:
    """The number in a module's 0-d hyper-parameter buffer: the shortest decimal that rounds to it (0.1 for float32)."""
    if buffer.dtype == torch.bfloat16:  # NumPy has no such numbers
        words = (f"{buffer.item():.{digits}g}" for digits in range(1, 10))
        return float(next(word for word in words if torch.tensor(float(word), dtype=buffer.dtype) == buffer.cpu()))
    return float(str(buffer.detach().cpu().numpy()))


_FORWARD: dict[Scale, Callable[[float], float]] = {
    "linear": float,
    "log": math.log,
    "logit": lambda p: math.log(p / (1 - p)),
}
_BACKWARD: dict[Scale, Callable[[float], float]] = {
    "linear": float,
    "log": math.exp,
    "logit": lambda z: 1 / (1 + math.exp(-z)),
}
