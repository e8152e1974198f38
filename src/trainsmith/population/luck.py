"""Luck: every draw of a run comes from (seed, step, place), never from its neighbours or its device.

Draws made before training and batch orders come from NumPy's and PyTorch's CPU generators, seeded with a
hash of the seed and words that say what is drawn. Noise inside the network comes from a counter-based
generator in integer arithmetic: exact, hence the same on every device, in every population and alone.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainsmith.errors import InvalidInput


def key(seed: int, *words: str | int) -> int:
    """64 bits that belong to this seed and these words alone."""
    text = "/".join(map(str, (seed, *words)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *words: str | int) -> np.random.Generator:
    """NumPy's Philox generator for this seed and these words."""
    return np.random.Generator(np.random.Philox(key=key(seed, *words)))


def torch_generator(seed: int, *words: str | int) -> torch.Generator:
    """PyTorch's CPU generator for this seed and these words."""
    return torch.Generator().manual_seed(key(seed, *words))


def batches(seed: int, examples: np.ndarray, batch_size: int, steps: int) -> np.ndarray:
    """The examples of each step, (steps, batch_size): one shuffled pass over `examples` after another.

    A pass is not cut at its end: the next one begins within the same batch, so that every batch is full.
    """
    passes = -(-steps * batch_size // len(examples))
    stream = [generator(seed, "batches", i).permutation(examples) for i in range(passes)]
    return np.concatenate(stream)[: steps * batch_size].reshape(steps, batch_size)


def noise_keys(seeds: Sequence[int], step: int, places: int) -> Tensor:
    """The keys of one step's noise, (members, places, 2) int32: a hash of (seed, step, place)."""
    if places == 0:
        return torch.empty(len(seeds), 0, 2, dtype=torch.int32)
    with np.errstate(over="ignore"):
        mixed = _splitmix(np.asarray(seeds, np.uint64) + np.uint64(0x5851F42D4C957F2D))
        mixed = _splitmix(mixed ^ np.uint64(step))
        mixed = _splitmix(mixed[:, None] ^ np.arange(places, dtype=np.uint64))
    return torch.from_numpy(mixed.view(np.int32).reshape(len(seeds), places, 2))


def _splitmix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014, figure 15), a bijection of 64-bit words."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(shape: torch.Size, keys: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform numbers in [0, 1), multiples of 2**-24, for the keys (2,) int32 of one place at one step.

    Element i is a bijective 32-bit mix of i and the two halves of the key (multipliers of Wellons 2018,
    "Prospecting for hash functions").
    """
    x = _counters(shape, keys.device) ^ keys[0]
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D + keys[1]
    x = (x ^ ((x >> 15) & 0x1FFFF)) * (0x846CA68B - 2**32)
    x = x ^ ((x >> 16) & 0xFFFF)
    return ((x >> 8) & 0xFFFFFF).to(dtype) * 2.0**-24


@functools.lru_cache(maxsize=64)
def _counters(shape: torch.Size, device: torch.device) -> Tensor:
    """A 32-bit word for each element's number, all different: the part of the hash that no key changes."""
    numbers = np.arange(shape.numel(), dtype=np.uint32) * np.uint32(0x9E3779B1)
    numbers = (numbers ^ (numbers >> np.uint32(15))) * np.uint32(0x85EBCA77)
    return torch.from_numpy(numbers.view(np.int32)).to(device).view(shape)


class Luck(TorchFunctionMode):
    """While active, the network's random calls draw from `keys`, (places, 2): one key a call, in order.

    Under vmap each member has its own keys. A random function that is not listed raises InvalidInput:
    its members would share noise.
    """

    def __init__(self, keys: Tensor) -> None:
        super().__init__()
        self.keys = keys
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keyed = KEYED.get(func)
        if keyed is not None:
            return keyed(self, *args, **(kwargs or {}))
        if func in UNKEYED:
            raise InvalidInput(
                f"the network draws noise with {func.__name__}, which cannot be drawn per member yet; "
                "use dropout or torch.rand_like."
            )
        return func(*args, **(kwargs or {}))

    def rand_like(self, x: Tensor, **kwargs: Any) -> Tensor:
        place, self.calls = self.calls, self.calls + 1
        return uniform(x.shape, self.keys[place], kwargs.get("dtype") or x.dtype)

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        kept = (self.rand_like(x) >= p).to(x.dtype)
        return x * kept / (1 - p) if p < 1 else x * 0


KEYED: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.rand_like: Luck.rand_like,
    functional.dropout: Luck.dropout,
    torch.dropout: lambda luck, x, p, train: luck.dropout(x, p, train),
}
UNKEYED = {
    torch.bernoulli,
    torch.normal,
    torch.multinomial,
    torch.poisson,
    torch.rand,
    torch.randn,
    torch.randn_like,
    torch.randint,
    torch.randint_like,
    torch.randperm,
    torch.alpha_dropout,
    torch.feature_dropout,
    torch.feature_alpha_dropout,
    functional.rrelu,
    Tensor.bernoulli,
    Tensor.bernoulli_,
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.random_,
    Tensor.exponential_,
}


def counting() -> Luck:
    """Luck that serves to count, in `calls`, how many places draw noise in one forward pass."""
    return Luck(torch.zeros(1, 2, dtype=torch.int32).expand(2**31, 2))
