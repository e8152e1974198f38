"""How many inputs and outputs a weight joins, and draws that do not depend on the device."""

import math

import torch
from torch import Tensor

from trainsmith.errors import InvalidInput


def fan_in_and_out(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a linear weight (out, in) or a convolution's (out, in / groups, *kernel).

    Each counts the kernel's positions. A weight does not tell its layer: of a grouped convolution hand over each
    group's part, weight.chunk(groups), of a recurrent layer each gate's, and of a transposed convolution
    weight.transpose(0, 1), or the whole layer to `draw_layer`, as studies, populations and `network.change` do. An axis
    without places counts as one, so that an empty weight may be filled. Raises InvalidInput for a tensor with fewer
    than two axes.
    """
    if weight.ndim < 2:
        raise InvalidInput(
            f"an initialization needs a weight with at least two axes (out, in, ...); got shape {tuple(weight.shape)}."
        )
    outputs, inputs, *kernel = (max(1, size) for size in weight.shape)
    positions = math.prod(kernel)
    return inputs * positions, outputs * positions


def fill_normal(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    """Fill `weight` with N(0, std^2), drawn on the CPU, so that every device gets the same numbers: see numbers_of."""
    with torch.no_grad():
        numbers, share = numbers_of(weight)
        draw = torch.randn(numbers.shape, generator=generator, dtype=torch.float32, device="cpu")
        numbers.copy_(draw * (std * share))
    return weight


def fill_uniform(weight: Tensor, bound: float, generator: torch.Generator | None) -> Tensor:
    """Fill `weight` with U(-bound, bound), drawn on the CPU: see numbers_of."""
    with torch.no_grad():
        numbers, share = numbers_of(weight)
        draw = torch.rand(numbers.shape, generator=generator, dtype=torch.float32, device="cpu")
        numbers.copy_((draw * 2 - 1) * (bound * share))
    return weight


def numbers_of(weight: Tensor) -> tuple[Tensor, float]:
    """The real numbers of a weight, and their spread over its own: those of a complex one are its parts.

    Raises InvalidInput for a weight of whole numbers.
    """
    if not weight.is_floating_point() and not weight.is_complex():
        raise InvalidInput(f"an initialization needs a weight of floating-point numbers; got {weight.dtype}.")
    return (torch.view_as_real(weight), 0.5**0.5) if weight.is_complex() else (weight, 1.0)
