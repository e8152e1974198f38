"""For how many measured examples on end each unit was silent, or on: of all layers' units in one go."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

DEAD_AFTER = 1000
"""A unit is dead, or always on, if it was so on at least so many measured examples in a row."""


class Counted(Protocol):
    """A layer whose units are counted: of each, for how many examples it was silent and on; how many were seen."""

    silent: np.ndarray
    on: np.ndarray
    seen: int
    examples: int


class Units:
    """The units of some layers side by side. The layers' own counts are views of these, and outlive them."""

    def __init__(self, layers: Sequence[Counted], sizes: Sequence[int]) -> None:
        self.layers, self.sizes = list(layers), list(sizes)
        for layer, size in zip(layers, sizes, strict=True):
            if len(layer.silent) != size:
                layer.silent, layer.on, layer.seen = np.zeros(size), np.zeros(size), 0
        self._silent = np.concatenate([layer.silent for layer in layers])
        self._on = np.concatenate([layer.on for layer in layers])
        ends = np.cumsum(self.sizes)
        self._starts = np.concatenate([[0], ends[:-1]])
        for layer, start, end in zip(layers, self._starts, ends, strict=True):
            layer.silent, layer.on = self._silent[start:end], self._on[start:end]

    def count(self, lowest: Sequence[np.ndarray], highest: Sequence[np.ndarray]) -> list[list[float]]:
        """Of each layer the shares of its units that are dead, always on, and finite.

        lowest, highest: of each layer, each unit's in this step.
        """
        low, high = np.concatenate(lowest), np.concatenate(highest)
        examples = np.repeat([layer.examples for layer in self.layers], self.sizes)
        for layer in self.layers:
            layer.seen += layer.examples
        self._silent += examples
        self._silent *= (low == 0) & (high == 0)
        self._on += examples
        self._on *= low > 0
        each = np.empty((3, low.size))
        each[0], each[1] = self._silent >= DEAD_AFTER, self._on >= DEAD_AFTER
        each[2] = np.isfinite(low) & np.isfinite(high)
        shares: list[list[float]] = (np.add.reduceat(each, self._starts, axis=1) / self.sizes).T.tolist()
        return shares


def units_of(layers: Sequence[Counted], sizes: Sequence[int], last: Units | None) -> Units:
    """The units of these layers: those looked at last, where the layers are the same."""
    if last is not None and last.sizes == list(sizes) and all(a is b for a, b in zip(last.layers, layers, strict=True)):
        return last
    return Units(layers, sizes)
