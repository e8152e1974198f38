"""How a thread of ours computes: on one core, and with or without the smallest numbers."""

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


@contextlib.contextmanager
def smallest_as_zero() -> Iterator[None]:
    """Numbers too small for a float's whole precision (subnormal ones) count as 0 in this thread: moments of dead units
    decay into these, which are slow to compute with. Afterwards it is as it was."""
    flushed = not float(torch.full((), torch.finfo(torch.float32).tiny) / 2)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
