"""How many inputs and outputs a weight joins, and draws that do not depend on the device."""

import torch
from torch import Tensor

from trainsmith.errors import InvalidInput


def fan_in_and_out(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a linear weight (out, in) or a convolution's (out, in / groups, *kernel).

    Each counts the kernel's positions. A weight does not tell its groups: of a grouped convolution hand over each
    group's part, weight.chunk(groups), as studies, populations and `network.change` do. Raises InvalidInput for a
    tensor with fewer than two axes.
    """
    if weight.ndim < 2:
        raise InvalidInput(
            f"an initialization needs a weight with at least two axes (out, in, ...); got shape {tuple(weight.shape)}."
        )
    positions = weight[0, 0].numel()
    return weight.shape[1] * positions, weight.shape[0] * positions


def fill_normal(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    """Fill `weight` with N(0, std^2), drawn on the CPU, so that every device gets the same numbers."""
    with torch.no_grad():
        draw = torch.randn(weight.shape, generator=generator, dtype=torch.float32, device="cpu")
        return weight.copy_(draw * std)


def fill_uniform(weight: Tensor, bound: float, generator: torch.Generator | None) -> Tensor:
    """Fill `weight` with U(-bound, bound), drawn on the CPU."""
    with torch.no_grad():
        draw = torch.rand(weight.shape, generator=generator, dtype=torch.float32, device="cpu")
        return weight.copy_((draw * 2 - 1) * bound)
