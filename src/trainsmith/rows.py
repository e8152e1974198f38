"""Rows of a large tensor, chosen by index and read as they are asked for, and what a pass over them says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

PIECE = 2**20
"""Numbers that are read at once, at most; fewer are fitted to as a whole."""


@runtime_checkable
class Examples(Protocol):
    """What can be looked at like a tensor of examples (n, ...): one, or rows of one."""

    @property
    def shape(self) -> torch.Size: ...

    @property
    def ndim(self) -> int: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def __len__(self) -> int: ...

    def __getitem__(self, which: Any, /) -> Tensor: ...

    def is_floating_point(self) -> bool: ...


class Rows:
    """Rows of x (n, ...), chosen by index; whatever is asked of them is copied, the rest stays where it is."""

    def __init__(self, x: Tensor, chosen: np.ndarray) -> None:
        self.x, self.chosen = x, chosen

    @property
    def shape(self) -> torch.Size:
        """(chosen rows, ...)."""
        return torch.Size((len(self.chosen), *self.x.shape[1:]))

    @property
    def ndim(self) -> int:
        """Axes, that of the examples included."""
        return self.x.ndim

    @property
    def dtype(self) -> torch.dtype:
        """The type of the numbers."""
        return self.x.dtype

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, which: Any) -> Tensor:
        return self.x[torch.from_numpy(np.ascontiguousarray(self.chosen[which]))]

    def is_floating_point(self) -> bool:
        """Whether they hold numbers, not indices of characters."""
        return self.x.is_floating_point()


def pieces(x: Examples, most: int = PIECE) -> Iterator[Tensor]:
    """Consecutive examples of x, so many numbers at once; always one example, and an empty piece if there is none."""
    each = max(1, most // max(1, x.shape[1:].numel()))
    for begin in range(0, max(1, len(x)), each):
        yield x[begin : begin + each]


def float_type(x: Examples) -> torch.dtype:
    """The type of numbers that are computed from examples: their own, or torch's default where these are whole."""
    return x.dtype if x.is_floating_point() else torch.get_default_dtype()


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (divided by n), least and largest of examples, in float64: of each column, or of all."""

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    @staticmethod
    def of(x: Examples, each: bool) -> Summary:
        """In one pass by pieces. each: of each number of an example by itself, not of all together.

        The pieces' means and squared deviations are put together as in Chan, Golub & LeVeque 1983, Algorithms for
        computing the sample variance, equation 2.1.
        """
        seen, mean, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        low, high = torch.tensor(torch.inf).double(), torch.tensor(-torch.inf).double()
        for piece in pieces(x):
            part = piece.double()
            part = part if each else part.flatten()
            own, count = part.mean(0), len(part)
            apart = own - mean
            squares = squares + (part - own).square_().sum(0) + apart.square() * (seen * count / (seen + count))
            mean = mean + apart * (count / (seen + count))
            low, high = torch.minimum(low, part.amin(0)), torch.maximum(high, part.amax(0))
            seen += count
        return Summary(mean, (squares / seen).sqrt(), low, high)


_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""Of each large tensor the summaries of rows of it: runs of one seed train on the same ones."""


def _known(x: Examples, each: bool) -> Summary:
    if not isinstance(x, Rows):
        return Summary.of(x, each)
    found = _KNOWN.setdefault(x.x, {})
    key = (each, hashlib.blake2b(np.ascontiguousarray(x.chosen).data, digest_size=16).digest())
    if key not in found:
        found[key] = Summary.of(x, each)
    return found[key]


T = TypeVar("T")


def fit(module: T, x: Examples) -> T:
    """Fit a module to training examples: by its `fit`, or, if they are many and it can, to a summary of them.

    The same is done whether they lie in memory or on the disk. A module that has `fit_to(summary, dtype)` is as exact,
    and no more than a piece is in memory; the others get all examples at once.
    """
    whole = x.shape.numel() <= PIECE or not hasattr(module, "fit_to")
    return module.fit(x[:]) if whole else module.fit_to(_known(x, x.ndim == 2), float_type(x))  # type: ignore[attr-defined]
