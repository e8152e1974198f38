"""The global generators that networks may draw from: torch's, those of Python's `random` and of `numpy.random`."""

import contextlib
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

ONE_AT_A_TIME = threading.RLock()
"""There is one of each generator for all threads."""


def seed_torch(number: int) -> None:
    """torch's global generators seeded, those of the devices that there are.

    `torch.manual_seed` also notes, each time, for every kind of device that there could be, what it would seed there
    and who asked for it, which takes longer than building a small network.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


def host_states() -> tuple[Any, ...]:
    """The states of both generators, to be compared and put back."""
    name, words, *rest = np.random.get_state(legacy=True)
    return random.getstate(), (name, np.asarray(words).tobytes(), *rest)


def put_back(states: tuple[Any, ...]) -> None:
    """Set both generators to what host_states gave."""
    python, (name, words, *rest) = states
    random.setstate(python)
    np.random.set_state((name, np.frombuffer(words, np.uint32), *rest))


@contextlib.contextmanager
def seeded_host(numbers: Sequence[int]) -> Iterator[None]:
    """Both generators seeded with 32-bit numbers meanwhile, and put back; another thread's turn comes after that."""
    with ONE_AT_A_TIME:
        before = host_states()
        random.seed(":".join(map(str, numbers)))
        np.random.seed(numbers)
        try:
            yield
        finally:
            put_back(before)
