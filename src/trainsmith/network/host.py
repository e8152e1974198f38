"""The generators of Python's `random` and of `numpy.random`, which networks may draw from."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


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
    """Both generators seeded with 32-bit numbers meanwhile, and put back."""
    before = host_states()
    random.seed(":".join(map(str, numbers)))
    np.random.seed(numbers)
    try:
        yield
    finally:
        put_back(before)
