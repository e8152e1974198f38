"""Splitting: the test part once and for all, a training and a validation part for every seed."""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainsmith.data.dataset import Dataset, LockedTest, Task
from trainsmith.data.mapped import rows_of
from trainsmith.errors import InvalidInput

SHARE = 0.2
"""The part of the data that is locked for the test, and the part of the rest that a seed validates on."""
CLASSES = ("classification", "balanced")
"""Tasks with one class an example, whose parts keep the classes' proportions."""


def split(dataset: Dataset, seed: int, share: float = SHARE) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The (train, validation) indices that `seed` draws from the development part, each in ascending order.

    Together they are the whole development part; validation is ceil(share · n) examples, 0 < share < 1.
    Classes keep their proportions within one example. A seed draws the same split on every platform and for
    every technique. Raises InvalidInput if the share leaves a part too small to hold every class.
    """
    return _draw(dataset.y, dataset.task, share, seed, "split", dataset.name)


def lock(
    x: Tensor, y: Tensor, task: Task, share: float = SHARE, name: str = "data"
) -> tuple[Tensor, Tensor, LockedTest]:
    """The development part (x, y) and the locked test part, ceil(share · n) examples: always the same ones.

    Classes keep their proportions within one example, and both parts the order of the data. Of a large memory map
    both are maps.
    """
    rest, locked = _draw(y, task, share, 0, "test", name)
    return rows_of(x, rest), y[rest], LockedTest(rows_of(x, locked), y[locked])


def _draw(
    y: Tensor, task: Task, share: float, seed: int, word: str, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = held_out(y, task, share, name)
    # the older interface has one stream for all versions; it is Philox's, which is the same everywhere
    digest = hashlib.blake2b(f"{seed}/{word}".encode(), digest_size=8).digest()
    luck = np.random.RandomState(np.random.Philox(key=int.from_bytes(digest, "little")))
    chosen = np.zeros(len(y), bool)
    chosen[_by_class(y.numpy(), count, luck) if task in CLASSES else luck.permutation(len(y))[:count]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _by_class(y: NDArray[np.int64], count: int, luck: np.random.RandomState) -> NDArray[np.int64]:
    """`count` examples of y (n,), of each class its share.

    The draws are those of scikit-learn's `train_test_split(stratify=y)`, with which an exported script splits;
    to import it here would take every process longer than to import torch.
    """
    _, of_class, sizes = np.unique(y, return_inverse=True, return_counts=True)
    kept = _shares(sizes, len(y) - count, luck)
    held = _shares(sizes - kept, count, luck)
    drawn = []
    for i, size in enumerate(sizes):
        order = luck.permutation(size)[kept[i] : kept[i] + held[i]]
        drawn.append(np.flatnonzero(of_class == i)[order])
    return np.concatenate(drawn)


def _shares(sizes: NDArray[np.int64], total: int, luck: np.random.RandomState) -> NDArray[np.int64]:
    """`total` in the proportions of `sizes`, in whole numbers: largest remainders get one more, by luck if equal."""
    exact = sizes / sizes.sum() * total
    shares = np.floor(exact)
    over, left = exact - shares, int(total - shares.sum())
    for remainder in sorted(set(over), reverse=True):
        if left <= 0:
            break
        equal = np.flatnonzero(over == remainder)
        more = luck.choice(equal, min(left, len(equal)), replace=False)
        shares[more] += 1
        left -= len(more)
    return shares.astype(np.int64)


def held_out(y: Tensor, task: Task, share: float, name: str) -> int:
    """How many of the examples y (n,) to hold out: ceil(share · n).

    Raises InvalidInput unless 0 < share < 1, every class has two examples, and both parts have room for one
    of each class.
    """
    if not 0 < share < 1:
        raise InvalidInput(f"the share held out must be a number between 0 and 1; got {share!r}.")
    count = math.ceil(round(share * len(y), 9))  # 0.07 · 100 is a little more than 7 in floating point
    counts = np.bincount(y.numpy()) if task in CLASSES else np.array([len(y)])
    classes = np.count_nonzero(counts)
    if min(count, len(y) - count) < classes or counts[counts > 0].min() < 2:
        raise InvalidInput(
            f"{name}: holding {share:.0%} of {len(y)} examples out needs two examples of each of the {classes} "
            f"classes and room for each class in both parts; give more examples or leave rare classes out."
        )
    return count
