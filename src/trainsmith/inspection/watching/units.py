"""For how many measured examples on end each unit was silent, or on: of all layers' units in one go."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

DEAD_AFTER = 1000
"""A unit is dead, or always on, if it was so on at least so many measured examples in a row."""


class Counted(Protocol):
    """A layer whose units are counted.

    counts: for how many examples on end each unit of each member was silent, and on (2, members, units). seen: how many
    were looked at.
    """

    counts: np.ndarray
    seen: int


class Units:
    """The units of some layers side by side. The layers' own counts are views of these, and outlive them."""

    def __init__(self, layers: Sequence[Counted], sizes: Sequence[int], members: int) -> None:
        self.layers, self.sizes, self.members = list(layers), list(sizes), members
        for layer, size in zip(layers, sizes, strict=True):
            if layer.counts.shape != (2, members, size):
                layer.counts, layer.seen = np.zeros((2, members, size)), 0
        self._counts = np.concatenate([layer.counts for layer in layers], 2)
        ends = np.cumsum(self.sizes)
        self._starts = np.concatenate([[0], ends[:-1]])
        for layer, start, end in zip(layers, self._starts, ends, strict=True):
            layer.counts = self._counts[:, :, start:end]
        self._examples, self._repeated = [0], np.zeros(0)

    def count(self, low: np.ndarray, high: np.ndarray, examples: list[int]) -> np.ndarray:
        """Of each layer the shares of its units that are dead, always on, and finite (layers, 3, rows), at each of some
        steps. rows: of each step all members.

        low, high: of all units (steps, members, units), each one's in its step. examples: how many each layer saw.
        """
        if examples != self._examples:
            self._examples, self._repeated = examples, np.repeat(np.array(examples, dtype=np.float64), self.sizes)
        for layer, more in zip(self.layers, examples, strict=True):
            layer.seen += more * len(low)
        each = np.empty((3, *low.shape))
        each[0] = (low == 0) & (high == 0)
        each[1] = low > 0
        each[2] = np.isfinite(low) & np.isfinite(high)
        for step in range(len(low)):
            self._counts += self._repeated
            self._counts *= each[:2, step]
            each[:2, step] = self._counts
        each[:2] = each[:2] >= DEAD_AFTER
        shares = np.add.reduceat(each, self._starts, axis=3) / self.sizes
        return shares.transpose(3, 0, 1, 2).reshape(len(self.sizes), 3, -1)


def units_of(layers: Sequence[Counted], sizes: Sequence[int], members: int, last: Units | None) -> Units:
    """The units of these layers: those looked at last, where the layers are the same."""
    known = last is not None and (last.sizes, last.members) == (list(sizes), members)
    if known and last is not None and all(a is b for a, b in zip(last.layers, layers, strict=True)):
        return last
    return Units(layers, sizes, members)
