"""What rules that look at a whole parameter share: its norm, and its weights as a matrix, member by member."""

from typing import Any

import torch
from torch import Tensor

from trainsmith.catalogue.half import single


def norm(x: Tensor, axes: int) -> Tensor:
    """The norm of x over its last `axes` axes, which stay with length 1: one number a member; of half precision, which
    it may exceed, in single.
    """
    x = single(x)
    return torch.linalg.vector_norm(x, dim=tuple(range(-axes, 0)), keepdim=True) if axes else x.abs()


def as_matrix(x: Any, axes: int) -> Any:
    """x (*members, out, in, ...) as (*members, out, all the rest); a float as it is."""
    return x.flatten(1 - axes) if isinstance(x, Tensor) else x


def matrix_shape(shape: torch.Size) -> tuple[int, int]:
    """The shape of `as_matrix` for a parameter of this shape with two axes or more."""
    return shape[0], shape[1:].numel()
