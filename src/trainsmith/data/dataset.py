"""A data set as every room sees it: a development part to work with, a test part under lock."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["image", "table"]
Task = Literal["classification", "regression"]


class LockedTest:
    """The test part. Whoever wants it must open it, and every opening is counted.

    x: (n, *features) float32. y: (n,) int64 class indices, or float32 targets.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self._x, self._y = x, y
        self.opened = 0
        """How many times the test part was opened."""

    @property
    def size(self) -> int:
        """How many examples are locked."""
        return len(self._y)

    def open(self) -> tuple[Tensor, Tensor]:
        """The test part (x, y). Opening it before the last decision is made makes its score worthless."""
        self.opened += 1
        return self._x, self._y

    def __repr__(self) -> str:
        return f"<LockedTest of {self.size} examples, opened {self.opened} times>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples to train and validate on, and a locked test part.

    x: (n, *features) float32, the development part only: images are (n, channels, height, width), tables
    (n, columns). y: (n,) int64 class indices, or float32 targets. classes: the classes' names in the order
    of their indices, () for regression.
    """

    name: str
    kind: Kind
    task: Task
    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    test: LockedTest

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        """How many outputs a network for it has: one per class, or 1."""
        return len(self.classes) if self.task == "classification" else 1

    def describe(self) -> str:
        """One line: "digits: 1,797 images of 8×8, 10 classes; 360 locked for the test"."""
        total = f"{len(self.x) + self.test.size:,}"
        if self.kind == "image":
            shape = self.input_shape[1:] if self.input_shape[0] == 1 else self.input_shape
            examples = f"{total} images of {'×'.join(map(str, shape))}"
        else:
            columns = self.input_shape[0]
            examples = f"{total} rows of {columns:,} column{'s' if columns != 1 else ''}"
        wanted = f"{self.outputs} classes" if self.task == "classification" else "a number to predict"
        return f"{self.name}: {examples}, {wanted}; {self.test.size:,} locked for the test"

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {self.task}, {len(self.x)} development examples of {self.input_shape}>"
