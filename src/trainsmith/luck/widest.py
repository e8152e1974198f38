"""How large a network's tensors get for one example: what bounds how many are evaluated at once."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from trainsmith.luck import Silence
from trainsmith.luck.written_out import WrittenOut
from trainsmith.network.dispatch import Watch

EVALUATED_AT_ONCE = 2**22
"""Numbers of all members in the largest tensor of one evaluation pass; more are evaluated in several."""


class _Sizes(Watch):
    """Notes how many numbers each operation gives, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.found.append(max((t.numel() for t in tree_leaves(out) if isinstance(t, Tensor)), default=0))
        return out


def widest(network: nn.Module, x: Tensor) -> int:
    """Numbers of one example in the largest tensor of a pass in evaluation mode, inputs among them.

    x: three examples or more (n, ...). What does not grow with the examples, such as weights, does not count; attention
    is written out.
    """
    modes = {m: m.training for m in network.modules()}
    network.eval()
    sizes = []
    for n in (2, 3):
        with torch.no_grad(), Silence(), WrittenOut(), _Sizes() as noted:
            network(x[:n].clone())
        sizes.append(noted.found)
    for module, mode in modes.items():
        module.training = mode
    return max([x[0].numel(), *(more - less for less, more in zip(*sizes, strict=False))])


def at_once(network: nn.Module, x: Tensor) -> int:
    """How many examples like x (n, ...), three of them or more, one network is evaluated on in one pass."""
    return max(1, EVALUATED_AT_ONCE // max(1, widest(network, x)))
