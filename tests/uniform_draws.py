"""torch.rand_like with numbers that a test chooses."""

import contextlib
from unittest import mock

import numpy as np
import torch


@contextlib.contextmanager
def drawing(*given):
    """One after the other, calls of torch.rand_like return the given numbers, in the shape and type they ask for."""
    left = list(given)

    def rand_like(x):
        return torch.as_tensor(left.pop(0), dtype=x.dtype).expand(x.shape).clone()

    with mock.patch.object(torch, "rand_like", rand_like):
        yield
    assert not left, f"{len(left)} of the numbers were not drawn"


@contextlib.contextmanager
def seeded_draws(seed):
    """torch.rand_like draws from a generator with this seed."""
    generator = np.random.default_rng(seed)

    def rand_like(x):
        return torch.from_numpy(np.asarray(generator.random(tuple(x.shape)))).to(x.dtype)

    with mock.patch.object(torch, "rand_like", rand_like):
        yield
