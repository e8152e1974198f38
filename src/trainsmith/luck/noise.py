"""Noise as a function of a key: a hash in 32-bit integers, and distributions made of it without a logarithm.

Integer arithmetic, conversions, single products and sums, and look-ups in tables are exact by the IEEE and
two's complement rules, so that every device and every batching gives the same bits. Tables of quantiles are
computed once, in float64 on the CPU.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

FIRST, SECOND = 0x7FEB352D, 0x846CA68B - 2**32
"""Multipliers of Wellons 2018, "Prospecting for hash functions" (lowbias32), as int32."""


def words(shape: torch.Size, keys: Tensor) -> Tensor:
    """A 32-bit word (int32) for each element of `shape`, for the keys (2,) int32 of one place at one step.

    Element i's word mixes i with the two halves of the key: lowbias32 with the key's second half between its
    rounds. Its last shift is left out, which touches the low half only: compare words, or use their high bits.
    """
    x = _counters(shape, keys.device) ^ keys[0]
    x = x.bitwise_xor_(x >> 16).mul_(FIRST).add_(keys[1])
    return x.bitwise_xor_(x >> 15).mul_(SECOND)


@functools.lru_cache(maxsize=64)
def _counters(shape: torch.Size, device: torch.device) -> Tensor:
    """A 32-bit word for each element's number, all different: the part of the hash that no key changes."""
    numbers = np.arange(shape.numel(), dtype=np.uint32) * np.uint32(0x9E3779B1)
    numbers = (numbers ^ (numbers >> np.uint32(15))) * np.uint32(0x85EBCA77)
    return torch.from_numpy(numbers.view(np.int32)).to(device).view(shape)


def uniform(shape: torch.Size, keys: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform numbers in [0, 1), multiples of 2**-24; 2**-8 in bfloat16, 2**-11 in float16; complex in both parts."""
    if dtype.is_complex:
        return torch.complex(*uniform(torch.Size((2, *shape)), keys, dtype.to_real()))
    bits = {torch.bfloat16: 8, torch.float16: 11}.get(dtype, 24)
    return (words(shape, keys) >> (32 - bits)).to(dtype).mul_(2.0**-bits).add_(0.5)


def chance(shape: torch.Size, keys: Tensor, p: float) -> Tensor:
    """True with probability p, to the nearest multiple of 2**-32."""
    threshold = round(p * 2**32) - 2**31
    if threshold >= 2**31:
        return torch.ones(shape, dtype=torch.bool, device=keys.device)
    return words(shape, keys) < threshold


def integers(shape: torch.Size, keys: Tensor, count: int) -> Tensor:
    """Whole numbers (int64) in [0, count), count <= 2**31, each as often as the others to one part in 2**32 / count."""
    return ((words(shape, keys).long() + 2**31) * count) >> 32


def _whole(shape: torch.Size, keys: Tensor) -> Tensor:
    """Words of which all bits are good."""
    x = words(shape, keys)
    return x ^ ((x >> 16) & 0xFFFF)


CELLS = 2**7
"""Cells an octave of a table of quantiles; within a cell it is interpolated linearly."""
OCTAVES = 33
SMALLEST = 2.0**-33


def quantile(name: str, shape: torch.Size, keys: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers of the distribution `name` (see QUANTILES) by inversion, tails down to probability 2**-33 each.

    A word's sign says which tail, the rest how far out, u in (0, 1/2]. Cells are as wide as u is large, so that
    tails are as exact as the middle.
    """
    starts, slopes = _table(name, keys.device)
    word = _whole(shape, keys)
    u = (word & 0x7FFFFFFF).float().add_(0.5).view(torch.int32)  # 2**32 times u, as the bits of a float
    cell = ((u >> 16) - (126 << 7)) - (word >> 31) * (CELLS * OCTAVES)
    part = (u & 0xFFFF).float().mul_(2.0**-16)
    return part.mul_(slopes[cell]).add_(starts[cell]).to(dtype)


def gaussian(shape: torch.Size, keys: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers of mean 0 and variance 1; of complex ones each part has half of it."""
    if dtype.is_complex:
        return torch.complex(*gaussian(torch.Size((2, *shape)), keys, dtype.to_real())) * math.sqrt(0.5)
    return quantile("normal", shape, keys, dtype)


def _probit(u: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return ndtri(u)


Inverse = Callable[[np.ndarray], np.ndarray]
QUANTILES: dict[str, tuple[Inverse, Inverse]] = {
    "normal": (_probit, lambda u: -_probit(u)),
    "exponential": (lambda u: -np.log1p(-u), lambda u: -np.log(u)),
    "cauchy": (lambda u: -1 / np.tan(np.pi * u), lambda u: 1 / np.tan(np.pi * u)),
}
"""The inverse distribution function at u and at 1 - u, for u in (0, 1/2]."""


@functools.lru_cache(maxsize=16)
def _table(name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    edges = SMALLEST * np.concatenate([2.0**k * (1 + np.arange(CELLS) / CELLS) for k in range(OCTAVES)])
    edges = np.minimum(np.append(edges, 1.0), 0.5)
    both = np.stack([inverse(edges) for inverse in QUANTILES[name]])
    starts, slopes = (torch.from_numpy(t.ravel().astype(np.float32)) for t in (both[:, :-1], np.diff(both)))
    return starts.to(device), slopes.to(device)
