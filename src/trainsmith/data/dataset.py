"""A data set as every room sees it: a development part to work with, a test part under lock."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from trainsmith.errors import shown

Kind = Literal["image", "table", "text"]
Task = Literal["classification", "balanced", "regression", "multilabel", "autoencoding", "language"]
"""One class an example; the same with every class counting alike; numbers; labels, any number of them; its inputs; the
next character at every position of a text."""


class LockedTest:
    """The test part. Whoever wants it must open it, and every opening is counted.

    x: (n, *features) float32. y: see Dataset.
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

    def reconstructing(self) -> "LockedTest":
        """The same examples with their own inputs (n, features) as targets. Nobody sees them by this."""
        return LockedTest(self._x, self._x.flatten(1))

    def __repr__(self) -> str:
        return f"<LockedTest of {self.size} examples, opened {self.opened} times>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples to train and validate on, and a locked test part.

    x: (n, *features) float32, the development part only: images are (n, channels, height, width), tables
    (n, columns); texts are (n, context) int64, indices of characters. y: (n,) int64 class indices; (n,) or (n, k)
    float32 numbers; (n, k) float32 labels, 0 or 1; or,
    autoencoding, (n, features) float32, the inputs; (n, context) int64, the characters that come next. classes: the
    classes' names, or the characters, in the order of their indices, () for other tasks. origin: what `load` was
    given, if the data were loaded by it: the name, or the absolute path, under "given", and its other arguments that
    were not None, but for left_out. metric: what a study judges by, "" for the task's own. labels: how many of a
    run's training examples keep their label, 0 for all (see few.py). unlabelled: further training inputs
    (m, *features) that have none. class_weights: "", "balanced", or of each class what its examples count in the loss
    (see class_weights.py). predicted: the column of a table that holds the targets, "" for other data. notes: sentences
    on what was read otherwise than one may think, such as a column that loses digits. left_out: the columns of a table
    that the user had left out.
    """

    name: str
    kind: Kind
    task: Task
    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    test: LockedTest
    origin: Mapping[str, str] | None = None
    metric: str = ""
    labels: int = 0
    unlabelled: Tensor | None = None
    class_weights: str | tuple[float, ...] = ""
    predicted: str = ""
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])

    @functools.cached_property
    def inputs(self) -> Tensor:
        """All inputs to train on: x and, behind them, the unlabelled ones."""
        return self.x if self.unlabelled is None else torch.cat([self.x, self.unlabelled])

    @property
    def outputs(self) -> int:
        """How many outputs a network for it has: one for each class, number, label, feature or character."""
        if self.classifies or self.task == "language":
            return len(self.classes)
        return 1 if self.y.ndim == 1 else self.y.shape[1]

    @property
    def classifies(self) -> bool:
        """Whether each example has one class."""
        return self.task in ("classification", "balanced")

    def autoencoding(self) -> "Dataset":
        """The same examples, each with its own inputs as its targets."""
        return replace(self, task="autoencoding", y=self.x.flatten(1), classes=(), test=self.test.reconstructing())

    def _wanted(self) -> str:
        k = self.outputs
        column = f" in column '{shown(self.predicted)}'" if self.predicted else ""
        return {
            "classification": f"{k} classes{column}",
            "balanced": f"{k} classes{column} that count alike",
            "multilabel": f"{k} labels, any number of them right",
            "autoencoding": "the examples themselves to reconstruct",
            "language": f"{k} different ones, the next one to predict",
            "regression": f"a number to predict{column}" if k == 1 else f"{k} numbers to predict",
        }[self.task]

    def describe(self) -> str:
        """One line: "digits: 1,797 images of 8×8, 10 classes; 360 locked for the test"."""
        total = f"{len(self.x) + self.test.size:,}"
        if self.kind == "image":
            shape = self.input_shape[1:] if self.input_shape[0] == 1 else self.input_shape
            examples = f"{total} images of {'×'.join(map(str, shape))}"
        elif self.kind == "text":
            examples = f"{total} pieces of {self.input_shape[0]} characters"
        else:
            columns = self.input_shape[0]
            examples = f"{total} rows of {columns:,} column{'s' if columns != 1 else ''}"
        if self.left_out:
            examples += f" (left out: {', '.join(map(shown, self.left_out))})"
        said = f"{self.name}: {examples}, {self._wanted()}; {self.test.size:,} locked for the test"
        return f"{said}{self._few()}{self._weighted()}"

    def _few(self) -> str:
        further = "" if self.unlabelled is None else f"; {len(self.unlabelled):,} more without labels"
        return f"; labels of {self.labels:,} training examples seen{further}" if self.labels else further

    def _weighted(self) -> str:
        if not self.class_weights:
            return ""
        if isinstance(self.class_weights, str):
            return f"; class weights {self.class_weights}"
        return f"; class weights {', '.join(f'{w:g}' for w in self.class_weights)}"

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {self.task}, {len(self.x)} development examples of {self.input_shape}>"
