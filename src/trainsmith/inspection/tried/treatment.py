"""What the remedies tried against findings came to, and whether they help."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainsmith.inspection.passes.plain import plain

AS_IT_IS = "as it is"
WORTH = 0.01
"""Share of the first loss from which on a difference is worth having."""
SURE = 0.05
"""Of a verdict, how likely chance alone gives it: one less the level of the intervals."""


@dataclass(frozen=True)
class Remedy:
    """One technique tried: the loss after training, mean and 95 % interval over seeds.

    difference: of the loss to that of the network as it is, paired by seed, over the seeds in which both stayed finite;
    low, high: its 95 % interval. diverged: seeds whose loss did not stay finite. saved: seeds whose loss did, where
    that of the network as it is did not. spread: of the outputs of `layer`, the last with the finding, before training,
    and spread_before that without the remedy; NaN where the remedy changes the layers. cures: findings that are gone,
    of those that network and batch alone can give: others, such as of the learning rate, are not looked for again.
    worth: the difference that is worth having, a hundredth of the first loss.
    """

    name: str
    against: str
    loss: float
    loss_low: float
    loss_high: float
    difference: float
    low: float
    high: float
    diverged: int
    layer: str
    spread_before: float
    spread: float
    cures: tuple[str, ...]
    saved: int = 0
    worth: float = 0.0

    @property
    def verdict(self) -> str:
        """Whether it helps, as far as the interval of the difference says, or the number of seeds that it saves.

        Seeds that only one of two loses are judged by the sign test: 2^(1 - saved) is how likely chance is to spare as
        many, either way. An interval that lies within what is worth having shows that there is no difference worth it,
        even if it excludes zero.
        """
        if self.diverged:
            return f"diverges with {self.diverged} seed{'s' if self.diverged > 1 else ''}"
        if self.name == AS_IT_IS:
            return ""
        if not self.saved and -self.worth < self.low <= self.high < self.worth:
            return "no difference worth having"
        if self.high < 0 or (self.saved and 2.0 ** (1 - self.saved) <= SURE and not self.low > 0):
            return "better"
        return "worse" if self.low > 0 and not self.saved else "cannot tell"


@dataclass(frozen=True)
class Treatment:
    """What the remedies came to, best first, and the network as it is; skipped: why others could not be tried."""

    as_it_is: Remedy
    remedies: tuple[Remedy, ...]
    skipped: dict[str, str]
    steps: int
    seeds: int
    batch_size: int
    optimizer: str
    first_loss: float

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows."""
        whole: dict[str, Any] = plain(self)
        for row, remedy in zip(whole["remedies"], self.remedies, strict=True):
            row["verdict"] = remedy.verdict
        return whole


def interval(values: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Mean and 95 % t interval; from minus infinity to infinity for fewer than two values, or one that is not finite.

    The mean of no values is NaN.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return float(np.mean(values)) if len(values) else math.nan, -math.inf, math.inf
    from scipy.special import stdtrit

    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 1 - SURE / 2) * values.std(ddof=1) / len(values) ** 0.5)
    return mean, mean - half, mean + half


def compared(
    losses: np.ndarray[Any, Any], own: np.ndarray[Any, Any]
) -> tuple[tuple[float, float, float], tuple[float, float, float], int, int]:
    """Of the losses (seeds,) mean and interval, those of the difference to `own`, the diverged and the saved seeds.

    own: the losses of the network as it is, seed by seed; infinite where they did not stay finite.
    """
    finite, kept = np.isfinite(losses), np.isfinite(own)
    both = finite & kept
    difference = interval(losses[both] - own[both])
    return interval(losses), difference, int((~finite).sum()), int((finite & ~kept).sum())
