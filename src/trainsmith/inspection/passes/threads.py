"""On how many threads a network is looked at and trained for a moment: small ones on one."""

import contextlib
from typing import Any

from torch import nn

from trainsmith.inspection.passes.costs import costs_of
from trainsmith.population.program.threads import one_thread

SMALL = 5e7
"""Floating-point operations of a training step below which threads wait for each other longer than they save.

A step of so many takes one core a millisecond or two. It hangs on the network alone, and so do the last bits of what is
measured of a small one, whatever the machine's number of cores.
"""


def fitting_threads(module: nn.Module, x: Any, size: int) -> contextlib.AbstractContextManager[None]:
    """One thread meanwhile for a network whose step on `size` of the inputs x is small, else as many as there are."""
    return one_thread() if step_operations(module, x, size) < SMALL else contextlib.nullcontext()


def step_operations(module: nn.Module, x: Any, size: int) -> float:
    """Floating-point operations of a training step: three times those of a forward pass, in products and convolutions.

    Infinite for a network that cannot take the inputs. The network stays as it was.
    """
    return 3 * costs_of(module, x)[0] * size
