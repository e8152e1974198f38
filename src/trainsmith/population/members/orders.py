"""Which examples each member of a population sees at each step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trainsmith.errors import InvalidInput
from trainsmith.luck import batches
from trainsmith.population.members.several import Kind, networks_in, own_batches

Draw = Callable[[range], np.ndarray]
"""The examples of some steps of the members' own count (steps, batch)."""


class Order:
    """A member's examples at each step of a training, drawn as they are asked for: all steps' are more than fit.

    draw: see Draw. steps: those of the training. block: so many are drawn at once, which saves drawing a pass twice.
    """

    def __init__(self, draw: Draw, steps: range, block: int) -> None:
        self._draw, self._steps, self._size = draw, steps, block
        self._block: tuple[int, np.ndarray] = (0, np.empty((0, 0), np.int64))

    def between(self, start: int, stop: int) -> np.ndarray:
        """The examples of the training's steps from `start` on, before `stop` (steps, batch)."""
        first, drawn = self._block
        if not first <= start <= stop <= first + len(drawn):
            last = min(len(self._steps), max(stop, start + self._size))
            first, drawn = self._block = start, self._draw(self._steps[start:last])
        return drawn[start - first : stop - first]


def examples_of(
    seeds: Sequence[int],
    n: int,
    batch_size: int | None,
    steps: range,
    examples: Sequence[Any] | None,
    unlabelled: Sequence[int],
    further: Sequence[int],
    ensemble: Kind | None = None,
) -> tuple[list[Order], int]:
    """Each member's examples at each of the steps, and how many of a batch have targets.

    examples: for each member those it may see out of n, as indices or as a mask (n,). unlabelled: how many it takes
    without targets, behind the others, for each with one; they are of its own and of `further`. ensemble: of
    which each member is one, if any; its networks' batches lie side by side. Members with the same luck, or that see
    all their examples at each step, share an order.
    """
    if examples is not None and len(examples) != len(seeds):
        raise InvalidInput(f"examples must hold indices for each of {len(seeds)} members; got {len(examples)}.")
    made: dict[tuple[int | None, bytes, int], Order] = {}
    orders, sizes = [], set()
    drawn = batch_size is not None or getattr(ensemble, "resampled", False)
    for k, seed in enumerate(seeds):
        own = np.arange(n) if examples is None else _indices(examples[k], n)
        if len(own) == 0 or own.min() < 0 or own.max() >= n:
            raise InvalidInput(f"examples of member {k} must be indices from 0 to {n - 1}.")
        size = len(own) if batch_size is None else batch_size
        if not 2 <= size <= len(own):
            raise InvalidInput(f"batch_size must lie between 2 and the {len(own)} examples; got {size}.")
        key = (seed if drawn or unlabelled[k] else None, own.tobytes(), unlabelled[k])
        if key not in made:
            pool = np.concatenate([own, np.asarray(further, np.int64)])
            draw = _draws(ensemble, seed, own, batch_size, unlabelled[k] * size, pool)
            made[key] = Order(draw, steps, 1 if batch_size is None else -(-len(own) // size))
        orders.append(made[key])
        sizes.add(size)
    if len(sizes) > 1:
        raise InvalidInput("with batch_size=None all members must have the same number of examples.")
    return orders, networks_in(ensemble) * sizes.pop()


def _draws(ensemble: Kind | None, seed: int, own: np.ndarray, size: int | None, others: int, pool: np.ndarray) -> Draw:
    """What draws a member's examples, of its own, and behind them so many `others` without targets of the pool."""

    def draw(steps: range) -> np.ndarray:
        labelled = own_batches(ensemble, seed, own, size, steps)
        if not others:
            return labelled
        behind = batches(seed, pool, others, len(steps), steps.start, words=("unlabelled",))
        return np.hstack([labelled, behind])

    return draw


def _indices(given: Any, n: int) -> np.ndarray:
    """Indices of examples, or a mask of all n, as indices."""
    own = np.asarray(given)
    if own.dtype == bool:
        if own.shape != (n,):
            raise InvalidInput(f"a mask of examples must hold one value for each of {n}; got {own.shape}.")
        return np.flatnonzero(own)
    if own.dtype.kind not in "iu":
        raise InvalidInput(f"examples must be indices or a mask of the {n} examples; got {own.dtype}.")
    return own.astype(np.int64)
