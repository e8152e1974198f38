"""What looks at the steps of a population without taking part in them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk


@dataclass(frozen=True)
class Looked:
    """What was done before a step. after: to be called after it. losses: those of all rows, where the observer took the
    step's pass: gradients and buffers are then what the chunk's own program leaves, to the last bit."""

    after: Callable[[], None]
    losses: Tensor | None = None


class Observer(Protocol):
    """Told of steps before they are taken; it changes nothing of what it is shown."""

    def prepare(self, chunk: Chunk, keys: Tensor, x: Tensor, y: Tensor) -> None:
        """Before threads run: batches like x, y (rows, n, ...) with keys of noise will come."""

    def next(self, number: int) -> int:
        """The first step from `number` on that it wants to be told of; nothing happens if it is told of others."""

    def before(self, chunk: Chunk, number: int, keys: Tensor, x: Tensor, y: Tensor) -> Looked | None:
        """Step `number`, from 1, is about to be taken."""

    def prepare_alone(self, trainer: Alone) -> None:
        """The same for a member that is trained by the loop."""

    def before_alone(self, trainer: Alone, number: int) -> None:
        """The same for a member that is trained by the loop."""
