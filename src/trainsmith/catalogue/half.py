"""Half precision, in which a sum of squares overflows and a mean loses its digits."""

import torch
from torch import Tensor


def single(x: Tensor) -> Tensor:
    """x, in single precision where it is in half."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
