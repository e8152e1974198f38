"""The path of theta under an optimizer, as the references give it."""

import numpy as np
import torch

STEPS = 15
MIX = np.array([[2.0, 0.5, 0.0, 0.0], [0.5, 1.0, 0.1, 0.0], [0.0, 0.1, 0.01, 0.0], [0.0, 0.0, 0.0, 0.0]])
START = np.array([1.0, -2.0, 3.0, 0.5])


def bowl(theta):
    """A gradient that couples coordinates, bends, and is always 0 in the last one."""
    return MIX @ theta + np.tanh(theta) * (MIX.diagonal() > 0)


def path_of(optimizer_class, gradient, steps=STEPS, start=START, dtype=torch.float64, **numbers):
    """The path of theta under an optimizer, (steps + 1, *shape of start).

    Of ours that run one of PyTorch's single-pass kernels, the path of their own formula must be the same to rounding.
    """
    seen = []

    def watched(theta):
        seen.append(gradient(theta))
        return seen[-1]

    path = _path(optimizer_class, watched, steps, start, dtype, numbers)
    if getattr(optimizer_class, "fused", None) is not None:
        again = iter(seen)
        slow = _path(by_formula(optimizer_class), lambda theta: next(again), steps, start, dtype, numbers)
        np.testing.assert_allclose(path, slow, rtol=1e-9 if dtype == torch.float64 else 2e-5)
    return path


def by_formula(rule):
    """The optimizer `rule` without PyTorch's single-pass kernel."""
    return type(rule.__name__, (rule,), {"fused": None})


def _path(optimizer_class, gradient, steps, start, dtype, numbers):
    theta = torch.nn.Parameter(torch.tensor(start, dtype=dtype))
    optimizer = optimizer_class([theta], **numbers)
    path = [theta.detach().double().numpy().copy()]
    for _ in range(steps):
        theta.grad = torch.from_numpy(np.asarray(gradient(theta.detach().double().numpy()))).to(dtype)
        optimizer.step()
        path.append(theta.detach().double().numpy().copy())
    return np.array(path)
