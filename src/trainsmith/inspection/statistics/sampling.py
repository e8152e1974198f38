"""Which values of outputs and gradients are looked at, and what the samples of many layers say, in few operations."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from trainsmith.population.program.layout import axes_in_memory

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
    """`sample` of a tensor that comes anew at each measured step, written where it was written last.

    looked_up: how often a tensor came that was not like the one before, anywhere.
    """

    looked_up = 0

    def __init__(self) -> None:
        self.values = torch.empty(0, 0)
        self._like: tuple[object, ...] = ()
        self._spaced: tuple[tuple[int, int], tuple[int, int]] = (0, 0), (0, 0)
        self._gaps = False

    def take(self, x: Tensor) -> None:
        """The sample of x (n, ...), which asks for no gradient, until the next is taken."""
        like = x.shape, x.stride(), x.device
        if like != self._like:
            Sampled.looked_up += 1
            ordered = in_memory_order(x)
            self._gaps = ordered.data_ptr() != x.data_ptr()
            self._like, self._spaced = like, _spaced(ordered, VALUES)
            if self.values.shape != self._spaced[0] or self.values.device != x.device:
                self.values = x.new_empty(self._spaced[0], dtype=torch.float32)
        if self._gaps:
            x = x.contiguous()
        self.values.copy_(x.as_strided(*self._spaced, x.storage_offset()))


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
    """Samples (rows, columns) of one network, their columns side by side.

    slots: where each lies. outputs: of how many, the first ones, the exact zeros are counted. numel: how many values.
    """

    members = 1

    def __init__(self, samples: Sequence[Tensor], outputs: int) -> None:
        self._lay_out(samples, outputs)
        self._whole = samples[0].new_empty(samples[0].shape[0], sum(self.widths), dtype=torch.float32)
        self.slots = [*self._whole.split(self.widths, 1)]

    def _lay_out(self, samples: Sequence[Tensor], outputs: int) -> None:
        each = [s.shape[-1] for s in samples]
        self.like, self.numel = ([s.shape for s in samples], outputs), sum(s.numel() for s in samples)
        self.widths = [width for width in each for _ in range(self.members)]
        self.device = samples[0].device
        self._starts = np.cumsum([0, *self.widths[:-1]])
        self._divisors = np.array(self.widths, dtype=np.float64)
        self._counted = self.members * sum(each[:outputs])
        self._columns = samples[0].new_zeros(3, sum(self.widths), dtype=torch.float32)

    @property
    def values(self) -> Tensor:
        """All samples' (rows, columns)."""
        return self._whole

    def fill(self, samples: Sequence[Tensor]) -> None:
        """Other samples of the same shapes; those that are slots are in their place."""
        for slot, s in zip(self.slots, samples, strict=True):
            if s is not slot:
                slot.copy_(s)

    def let_go(self) -> None:
        """Hold no sample any more that lies elsewhere."""

    def columns(self, scratch: Tensor) -> Tensor:
        """Of each column mean and variance, and of those of outputs the share of exact zeros, else 0 (3, columns).

        scratch: as many numbers as there are values, or more.
        """
        return self._of_columns(self._whole, self._whole[:, : self._counted], 0, scratch)

    def _of_columns(self, values: Tensor, outputs: Tensor, rows: int, scratch: Tensor) -> Tensor:
        """`columns`, of values whose rows are this axis; what is left of the others is as flat as the columns."""
        mean, variance, zeros = self._columns
        shape = [n for axis, n in enumerate(values.shape) if axis != rows]
        torch.mean(values, rows, out=mean.view(shape))
        if outputs.numel():  # ones as floats: several times faster than as bool
            ones = torch.eq(outputs, 0, out=_shaped(scratch, outputs))
            torch.mean(ones, rows, out=zeros[: self._counted].view([*shape[:-1], outputs.shape[-1]]))
        centred = torch.sub(values, mean.view(shape).unsqueeze(rows), out=_shaped(scratch, values))
        torch.mean(centred.square_(), rows, out=variance.view(shape))
        return self._columns

    def moments(self, columns: np.ndarray) -> np.ndarray:
        """Of each sample mean, variance within columns, share of zeros, variance between columns (samples, 4, rows),
        from the `columns` of some steps (steps, 3, columns). rows: of each step all members."""
        each = np.empty((len(columns), 4, columns.shape[2]))
        each[:, :3] = columns
        with np.errstate(invalid="ignore", over="ignore"):  # infinite ones
            np.multiply(each[:, 0], each[:, 0], out=each[:, 3])
            found = np.add.reduceat(each, self._starts, axis=2)
            found /= self._divisors
            found[:, 3] -= found[:, 0] * found[:, 0]
            np.maximum(found[:, 3], 0, out=found[:, 3])
        split = found.reshape(len(columns), 4, -1, self.members)
        return split.transpose(2, 1, 0, 3).reshape(split.shape[2], 4, -1)


class Stacked(SideBySide):
    """A sample of all members (members, rows, columns), each member's columns beside those of the others."""

    def __init__(self, samples: Sequence[Tensor], outputs: int) -> None:
        self.members = len(samples[0])
        self._lay_out(samples, outputs)

    @property
    def values(self) -> Tensor:
        """All members' (rows, columns)."""
        return self._whole.movedim(0, 1).flatten(1)

    def fill(self, samples: Sequence[Tensor]) -> None:
        """Another sample of the same shape, which is copied only where it has gaps."""
        self._whole = samples[0].to(torch.float32).contiguous()

    def let_go(self) -> None:
        """Hold no member's outputs any more, which may be large."""
        self._whole = self._columns.new_empty(0)

    def columns(self, scratch: Tensor) -> Tensor:
        """As those of one network."""
        counted = self._whole if self._counted else self._whole[:, :0]
        return self._of_columns(self._whole, counted, 1, scratch)


def _shaped(scratch: Tensor, like: Tensor) -> Tensor:
    return scratch[: like.numel()].view(like.shape)


class Blocks:
    """Samples side by side, in the same memory at each step where shapes are the same."""

    def __init__(self) -> None:
        self._blocks: dict[object, SideBySide] = {}
        self._like: object = None
        self._found: list[tuple[list[int], SideBySide]] = []

    def gather(self, samples: Sequence[Tensor], outputs: int) -> list[tuple[list[int], SideBySide]]:
        """`places_of` samples, filled with them."""
        found = self.places_of(samples, outputs)
        for places, block in found:
            block.fill([samples[i] for i in places])
        return found

    def places_of(self, samples: Sequence[Tensor], outputs: int) -> list[tuple[list[int], SideBySide]]:
        """Blocks of samples with their places among all. outputs: how many of the samples, the first ones, are of
        outputs.

        Of one network those with equally many rows come together, as operations cost more than numbers; of several
        members each sample comes by itself, so that it stays in the caches.
        """
        like = [(s.shape, s.device) for s in samples], outputs
        if like == self._like:
            return self._found
        self._like, self._found = like, []
        groups: dict[object, list[int]] = {}
        for i, s in enumerate(samples):
            groups.setdefault((s.shape[0], s.device) if s.ndim == 2 else i, []).append(i)
        for key, places in groups.items():
            own, counted = [samples[i] for i in places], sum(i < outputs for i in places)
            block = self._blocks.get(key)
            if block is None or block.like != ([s.shape for s in own], counted):
                kind = SideBySide if own[0].ndim == 2 else Stacked
                block = self._blocks[key] = kind(own, counted)
            self._found.append((places, block))
        return self._found


def to_host(steps: Sequence[Sequence[Sequence[Tensor]]]) -> list[np.ndarray]:
    """Parts of some steps, each of some tensors, in single precision, in one transfer: each part of all steps (steps,
    numbers), the numbers of its tensors one behind the other."""
    points = [i for i, part in enumerate(steps[0]) if part and not part[0].ndim]  # thus they take a third of the time
    others = [i for i in range(len(steps[0])) if i not in points]
    single = [t for parts in steps for i in points for t in parts[i]]
    joined = [t if t.ndim == 1 else t.reshape(-1) for parts in steps for i in others for t in parts[i]]
    flat = _joined([_joined(single, torch.stack), *joined] if single else joined, torch.cat).float().cpu().numpy()
    found: list[np.ndarray] = [flat] * len(steps[0])
    for places, numbers in ((points, flat[: len(single)]), (others, flat[len(single) :])):
        numbers, start = numbers.reshape(len(steps), -1), 0
        for i in places:
            end = start + sum(t.numel() for t in steps[0][i])
            found[i], start = numbers[:, start:end], end
    return found


def _joined(tensors: list[Tensor], how: Callable[[list[Tensor]], Tensor]) -> Tensor:
    try:
        return how(tensors)
    except RuntimeError:  # they lie on several devices
        return how([t.to(tensors[0].device) for t in tensors])


def in_single_precision(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors in single precision on one device; those that are so already, as they are."""
    return [t if t.dtype == torch.float32 and t.device == device else t.to(device, torch.float32) for t in tensors]
