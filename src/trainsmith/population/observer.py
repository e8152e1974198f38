"""What looks at the steps of a population without taking part in them."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from trainsmith.population.alone import Alone
from trainsmith.population.chunk import Chunk


class Observer(Protocol):
    """Told of steps before they are taken; it changes nothing of what it is shown."""

    def prepare(self, chunk: Chunk, keys: Tensor, x: Tensor, y: Tensor) -> None:
        """Before threads run: batches like x, y (rows, n, ...) with keys of noise will come."""

    def before(self, chunk: Chunk, number: int, keys: Tensor, x: Tensor, y: Tensor) -> Callable[[], None] | None:
        """Step `number`, from 1, is about to be taken; what is returned is called after it."""

    def prepare_alone(self, trainer: Alone) -> None:
        """The same for a member that is trained by the loop."""

    def before_alone(self, trainer: Alone, number: int) -> None:
        """The same for a member that is trained by the loop."""
