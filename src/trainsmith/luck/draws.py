"""Draws made before training and the keys of noise: each comes from (seed, step, place), never from its neighbours.

NumPy's and PyTorch's CPU generators are seeded with a hash of the seed and words that say what is drawn.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainsmith.network.host import seed_torch, seeded_host


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


@contextlib.contextmanager
def drawn(seed: int, *words: str | int) -> Iterator[None]:
    """The global generators of torch, Python and NumPy seeded for this seed and these words meanwhile."""
    own = key(seed, *words)
    with torch.random.fork_rng(devices=[]), seeded_host([own & 0xFFFFFFFF, own >> 32]):
        seed_torch(own)
        yield


def batches(
    seed: int, examples: np.ndarray, batch_size: int, steps: int, start: int = 0, words: tuple[str | int, ...] = ()
) -> np.ndarray:
    """The examples of `steps` steps from `start` on, (steps, batch_size): one shuffled pass after another.

    words: what sets these passes apart from others of the seed.

    A pass is not cut at its end: the next one begins within the same batch, so that every batch is full.
    """
    first, last = start * batch_size // len(examples), -(-(start + steps) * batch_size // len(examples))
    stream = [generator(seed, *words, "batches", i).permutation(examples) for i in range(first, last)]
    begin = start * batch_size - first * len(examples)
    return np.concatenate(stream)[begin : begin + steps * batch_size].reshape(steps, batch_size)


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
