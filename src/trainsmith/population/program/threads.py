"""How many threads torch computes on."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """On one thread, as a process of its own computes: a step's operations are too short to share out, and their
    numbers hang on how they are shared out. Afterwards there are as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
