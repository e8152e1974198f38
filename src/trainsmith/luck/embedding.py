"""Embeddings whose padding has no gradient, in operations that do so under vmap too.

torch's own rule for vmap lays the members' tables one below the other and looks for the padding in the first alone.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def embedding(x: Tensor, weight: Tensor, padding_idx: int | None = None, *args: Any, **options: Any) -> Tensor:
    """functional.embedding; padding_idx: the row to which no gradient flows."""
    found = functional.embedding(x, weight, None, *args, **options)
    if padding_idx is None:
        return found
    padding = (x == padding_idx % len(weight)).unsqueeze(-1)
    return torch.where(padding, found.detach(), found)


def of_table(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """torch.embedding, which has no padding at -1."""
    padding = None if padding_idx < 0 else padding_idx
    return embedding(indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
