"""How a tensor's axes lie in memory."""

from torch import Tensor


def axes_in_memory(t: Tensor, first: int = 0) -> list[int]:
    """The axes from `first` on, the one whose neighbours lie furthest apart first."""
    return sorted(range(first, t.ndim), key=t.stride, reverse=True)


def in_order(t: Tensor) -> Tensor:
    """The tensor with its axes in the order in which they lie in memory; without a copy."""
    return t.permute(axes_in_memory(t))
