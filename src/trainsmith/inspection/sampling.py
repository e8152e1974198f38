"""Which values of outputs and gradients are looked at, and what the samples of many layers say, in few operations."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from trainsmith.population.layout import axes_in_memory

ROWS, VALUES = 128, 4096
"""A sample holds at most so many examples, and so many values of all of them together."""


def sample(x: Tensor, values: int = VALUES) -> Tensor:
    """A copy (rows, columns) in single precision of at most `values` values of x (n, ...).

    They are the same evenly spaced values of at most 128 evenly spaced examples. The stride of the values shares no
    factor with the number of values an example has, so that no channel and no unit is left out by it.
    """
    x = in_memory_order(x.detach())
    rows, row_step, columns, column_step = grid(x.shape, values)
    if x.stride(-1) == 1 or x.ndim == 1:
        x = x.as_strided((rows, columns), (row_step * x.stride(0), column_step), x.storage_offset())
    else:
        x = x.reshape(len(x), -1)[::row_step, ::column_step]
    return x.to(torch.float32, copy=True)


def in_memory_order(x: Tensor) -> Tensor:
    """x (n, ...), or with the axes of an example in the order in which they lie in memory; a copy where it has gaps."""
    if x.is_contiguous():
        return x
    turned = x.permute(0, *axes_in_memory(x, 1))
    return turned if turned.is_contiguous() else x.contiguous()


@lru_cache(maxsize=1024)
def grid(shape: tuple[int, ...], values: int) -> tuple[int, int, int, int]:
    """Of a sample of so many values of x (n, ...): how many rows and columns, and their steps."""
    each, row_step = math.prod(shape[1:]), math.ceil(shape[0] / ROWS)
    rows = math.ceil(shape[0] / row_step)
    step = coprime(math.ceil(each * rows / values), each)
    return rows, row_step, math.ceil(each / step), step


def coprime(step: int, n: int) -> int:
    """The smallest stride of at least `step`, and 1, that shares no factor with n: no column is left out by it."""
    step = max(1, step)
    while math.gcd(step, n) > 1:
        step += 1
    return step


class SideBySide:
    """Samples with equally many rows, their columns side by side; the numbers of each column in one go.

    It can be filled again with samples of the same shapes, without new memory.
    """

    def __init__(self, samples: Sequence[Tensor]) -> None:
        self.rows, self.widths = len(samples[0]), [s.shape[1] for s in samples]
        self._starts = np.cumsum([0, *self.widths[:-1]])
        self._divisors = np.array(self.widths, dtype=np.float64)
        self.values = torch.cat(list(samples), 1)
        self._scratch = torch.empty_like(self.values)

    def fill(self, samples: Sequence[Tensor]) -> None:
        """Other samples of the same shapes."""
        torch.cat(list(samples), 1, out=self.values)

    def columns(self) -> Tensor:
        """Of each column mean, variance and share of exact zeros (3, columns)."""
        mean = self.values.mean(0)
        variance = torch.sub(self.values, mean, out=self._scratch).square_().mean(0)
        zeros = torch.eq(self.values, 0, out=self._scratch).mean(0)  # ones as floats: several times faster than as bool
        return torch.stack([mean, variance, zeros])

    def moments(self, columns: np.ndarray) -> np.ndarray:
        """Of each sample mean, variance between and within columns, and share of zeros (4, samples)."""
        each = np.empty((4, columns.shape[1]))
        each[:3] = columns
        with np.errstate(invalid="ignore", over="ignore"):  # infinite ones
            np.multiply(each[0], each[0], out=each[3])
            sums = np.add.reduceat(each, self._starts, axis=1)
            sums /= self._divisors
            centre, within, zeros, square = sums
            between = np.maximum(square - centre * centre, 0)
        return np.stack([centre, between, within, zeros])


def gather(samples: Sequence[Tensor], room: dict[object, SideBySide]) -> list[tuple[list[int], SideBySide]]:
    """The samples side by side, those with equally many rows together, with their places among the samples.

    room: what earlier calls made, which is filled again where the shapes are the same.
    """
    groups: dict[object, list[int]] = {}
    for i, s in enumerate(samples):
        groups.setdefault((s.shape[0], s.device), []).append(i)
    for key, places in groups.items():
        own = [samples[i] for i in places]
        if key in room and room[key].widths == [s.shape[1] for s in own]:
            room[key].fill(own)
        else:
            room[key] = SideBySide(own)
    return [(places, room[key]) for key, places in groups.items()]


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """All tensors' numbers, in single precision, in one transfer."""
    flat = torch.cat([t.reshape(-1) for t in in_single_precision(tensors, tensors[0].device)]).cpu().numpy()
    out, at = [], 0
    for t in tensors:
        out.append(flat[at : at + t.numel()].reshape(t.shape))
        at += t.numel()
    return out


def in_single_precision(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors in single precision on one device; those that are so already, as they are."""
    return [t if t.dtype == torch.float32 and t.device == device else t.to(device, torch.float32) for t in tensors]
