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
    size, steps = _spaced(x, values)
    return x.as_strided(size, steps, x.storage_offset()).to(torch.float32, copy=True)


def _spaced(x: Tensor, values: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size and strides of a sample of x (n, ...), whose examples have no gaps in memory."""
    rows, row_step, columns, column_step = grid(x.shape, values)
    return (rows, columns), (row_step * x.stride(0), column_step)


class Sampled:
    """`sample` of a tensor that comes anew at each measured step, written where it was written last."""

    def __init__(self) -> None:
        self.values = torch.empty(0, 0)
        self._like: tuple[object, ...] = ()
        self._spaced: tuple[tuple[int, int], tuple[int, int]] = (0, 0), (0, 0)
        self._gaps = False

    def take(self, x: Tensor) -> Tensor:
        """The sample of x (n, ...), until the next is taken."""
        x = x.detach()
        like = x.shape, x.stride(), x.device
        if like != self._like:
            ordered = in_memory_order(x)
            self._gaps = ordered.data_ptr() != x.data_ptr()
            self._like, self._spaced = like, _spaced(ordered, VALUES)
            if self.values.shape != self._spaced[0] or self.values.device != x.device:
                self.values = x.new_empty(self._spaced[0], dtype=torch.float32)
        if self._gaps:
            x = x.contiguous()
        return self.values.copy_(x.as_strided(*self._spaced, x.storage_offset()))


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
    """Samples (rows, columns) or of all members (members, rows, columns), their columns side by side.

    slots: where each lies, of all members (rows, members x columns). outputs: of how many, the first ones, the exact
    zeros are counted.
    """

    def __init__(self, samples: Sequence[Tensor], outputs: int, members: int) -> None:
        self.like, self.members = ([s.shape for s in samples], outputs), members
        rows, each = samples[0].shape[-2], [s.shape[-1] for s in samples]
        self.widths = [width for width in each for _ in range(members)]
        self._starts = np.cumsum([0, *self.widths[:-1]])
        self._divisors = np.array(self.widths, dtype=np.float64)
        self.values = samples[0].new_empty(rows, sum(self.widths), dtype=torch.float32)
        self.slots = [*self.values.split([members * width for width in each], 1)]
        self._outputs = self.values[:, : members * sum(each[:outputs])]
        self._columns = self.values.new_full((3, self.values.shape[1]), math.nan)
        mean, variance, zeros = self._columns
        self._rows = mean, variance, zeros[: self._outputs.shape[1]]
        self._host = np.empty((4, self.values.shape[1]))

    def fill(self, samples: Sequence[Tensor]) -> None:
        """Other samples of the same shapes; those that are slots are in their place."""
        for slot, s in zip(self.slots, samples, strict=True):
            if s is not slot:
                whole = s if s.ndim == 2 else s.movedim(0, 1)
                slot.view(whole.shape).copy_(whole)

    def columns(self, scratch: Tensor) -> Tensor:
        """Of each column mean and variance, and of those of outputs the share of exact zeros, else NaN (3, columns).

        scratch: as many numbers as there are values, or more.
        """
        mean, variance, zeros = self._rows
        torch.mean(self.values, 0, out=mean)
        if len(zeros):  # ones as floats: several times faster than as bool
            torch.mean(torch.eq(self._outputs, 0, out=_shaped(scratch, self._outputs)), 0, out=zeros)
        centred = torch.sub(self.values, mean, out=_shaped(scratch, self.values))
        torch.mean(centred.square_(), 0, out=variance)
        return self._columns

    def moments(self, columns: np.ndarray) -> np.ndarray:
        """Of each sample mean, variance within columns, share of zeros, variance between columns (samples, 4, members),
        from `columns`."""
        self._host[:3] = columns
        with np.errstate(invalid="ignore", over="ignore"):  # infinite ones
            np.multiply(self._host[0], self._host[0], out=self._host[3])
            found = np.add.reduceat(self._host, self._starts, axis=1)
            found /= self._divisors
            found[3] -= found[0] * found[0]
            np.maximum(found[3], 0, out=found[3])
        return found.reshape(4, -1, self.members).swapaxes(0, 1)


def _shaped(scratch: Tensor, like: Tensor) -> Tensor:
    return scratch[: like.numel()].view(like.shape)


class Blocks:
    """Samples side by side, in the same memory at each step where shapes are the same."""

    def __init__(self) -> None:
        self._blocks: dict[object, SideBySide] = {}
        self._scratch = torch.empty(0)

    def gather(
        self, samples: Sequence[Tensor], outputs: int, members: int
    ) -> list[tuple[list[int], SideBySide, Tensor]]:
        """Blocks of samples with their places among all, and what `columns` gives. outputs: how many of the samples,
        the first ones, are of outputs.

        Of one network those with equally many rows come together, as operations cost more than numbers; of several
        members each sample comes by itself, so that it stays in the caches.
        """
        groups: dict[object, list[int]] = {}
        for i, s in enumerate(samples):
            groups.setdefault((s.shape[-2], s.device) if members == 1 else i, []).append(i)
        found = []
        for key, places in groups.items():
            own, counted = [samples[i] for i in places], sum(i < outputs for i in places)
            block = self._blocks.get(key)
            if block is None or (block.like, block.members) != (([s.shape for s in own], counted), members):
                block = self._blocks[key] = SideBySide(own, counted, members)
            block.fill(own)
            if self._scratch.numel() < block.values.numel() or self._scratch.device != block.values.device:
                self._scratch = torch.empty_like(block.values).view(-1)
            found.append((places, block, block.columns(self._scratch)))
        return found


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
