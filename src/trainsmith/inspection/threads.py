"""On how many threads a network is looked at and trained for a moment: small ones on one."""

import contextlib
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import flop_registry

from trainsmith.inspection.given import called, count, over
from trainsmith.inspection.record import untouched
from trainsmith.network.dispatch import Watch
from trainsmith.population.rewritten import WrittenOut
from trainsmith.population.threads import one_thread

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
    operations, two = _Operations(), over(x, lambda t: t[:2].clone())
    try:
        with untouched(module), torch.no_grad(), operations, WrittenOut():  # or fused layers would hide their products
            called(module.eval(), two)
    except Exception:  # what is wrong with it is said where it is looked at
        return float("inf")
    return 3 * operations.total * size / count(two)


class _Operations(Watch):
    """Counts them by torch's own formulas. torch's FlopCounterMode does too, and imports torch's compiler for it."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out
