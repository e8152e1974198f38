"""What a pass through a network costs: floating-point operations, and numbers that its operations give."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from trainsmith.inspection.passes.given import called, count, over, some
from trainsmith.inspection.passes.record import untouched
from trainsmith.luck.written_out import WrittenOut
from trainsmith.network.dispatch import Watch

MOST_NUMBERS = 2**27
"""Outputs of all operations on the examples that the command looks at. Each is held about four times, with what enters
a layer, what autograd keeps and the gradient: 2 GB in single precision."""


def costs_of(module: nn.Module, x: Any) -> tuple[float, float]:
    """Of one example's forward pass the operations, in products and convolutions, and the numbers that all give.

    Infinite for a network that cannot take the inputs. The network stays as it was.
    """
    noted, two = _Noted(), over(some(x, slice(2)), Tensor.clone)
    try:
        with untouched(module), torch.no_grad(), noted, WrittenOut():  # or fused layers would hide their products
            called(module.eval(), two)
    except Exception:  # what is wrong with it is said where it is looked at
        return float("inf"), float("inf")
    return noted.operations / count(two), noted.numbers / count(two)


def looked_at(module: nn.Module, x: Any, most: int, least: int) -> int:
    """How many of `most` examples like x fit into memory at once, at least `least` of them."""
    numbers = costs_of(module, x)[1]
    return most if numbers == float("inf") else int(min(most, max(least, MOST_NUMBERS // max(1.0, numbers))))


class _Noted(Watch):
    """Counts them by torch's own formulas. torch's FlopCounterMode does too, and imports torch's compiler for it."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=out)
        if not func.is_view and func._overloadpacket is not torch.ops.aten._unsafe_view:
            self.numbers += sum(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))
        return out
