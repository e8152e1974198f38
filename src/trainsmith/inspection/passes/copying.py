"""Copies of networks, whatever these keep of their last pass."""

import copy
from typing import TypeVar

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

T = TypeVar("T")


def copy_of(module: nn.Module, value: T) -> T:
    """A deep copy of a value that holds `module`, or is it.

    torch copies no tensors that a graph computed, such as outputs that a layer keeps, or the weights of
    torch.nn.utils.weight_norm: the copy has their numbers.
    """
    kept = [t for m in module.modules() for t in tree_leaves([*vars(m).values()]) if isinstance(t, Tensor)]
    return copy.deepcopy(value, {id(t): t.detach().clone() for t in kept if not t.is_leaf})
