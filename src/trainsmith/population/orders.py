"""Which examples each member of a population sees at each step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainsmith.errors import InvalidInput
from trainsmith.population.luck import batches
from trainsmith.population.several import Kind, networks_in, own_batches


def examples_of(
    seeds: Sequence[int],
    n: int,
    batch_size: int | None,
    steps: range,
    examples: Sequence[Any] | None,
    unlabelled: Sequence[int],
    further: Sequence[int],
    ensemble: Kind | None = None,
) -> tuple[list[np.ndarray], int]:
    """Each member's examples at each of the steps (steps, batch), and how many of a batch have targets.

    examples: for each member those it may see out of n, as indices or as a mask (n,). unlabelled: how many it takes
    without targets, behind the others, for each with one; they are of its own and of `further`. ensemble: of
    which each member is one, if any; its networks' batches lie side by side. Members with the same luck share an array.
    """
    if len(steps) < 1:
        raise InvalidInput(f"steps must be at least 1; got {len(steps)}.")
    if examples is not None and len(examples) != len(seeds):
        raise InvalidInput(f"examples must hold indices for each of {len(seeds)} members; got {len(examples)}.")
    made: dict[tuple[int, bytes, int], np.ndarray] = {}
    orders, sizes = [], set()
    for k, seed in enumerate(seeds):
        own = np.arange(n) if examples is None else _indices(examples[k], n)
        if len(own) == 0 or own.min() < 0 or own.max() >= n:
            raise InvalidInput(f"examples of member {k} must be indices from 0 to {n - 1}.")
        size = len(own) if batch_size is None else batch_size
        if not 2 <= size <= len(own):
            raise InvalidInput(f"batch_size must lie between 2 and the {len(own)} examples; got {size}.")
        key = (seed, own.tobytes(), unlabelled[k])
        if key not in made:
            made[key] = own_batches(ensemble, seed, own, batch_size, steps)
            if unlabelled[k]:
                pool = np.concatenate([own, np.asarray(further, np.int64)])
                others = batches(seed, pool, unlabelled[k] * size, len(steps), steps.start, words=("unlabelled",))
                made[key] = np.hstack([made[key], others])
        orders.append(made[key])
        sizes.add(size)
    if len(sizes) > 1:
        raise InvalidInput("with batch_size=None all members must have the same number of examples.")
    return orders, networks_in(ensemble) * sizes.pop()


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
