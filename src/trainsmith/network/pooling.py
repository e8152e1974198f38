"""Pooling layers of a network swapped for stochastic pooling."""

from torch import nn

from trainsmith.network.rewriting import rewrite
from trainsmith.regularization import StochasticPool2d


def swap_pooling(network: nn.Module) -> dict[str, str]:
    """Put stochastic pooling in the place of the network's max and average pooling over images, in place.

    Its inputs must not be negative, as behind ReLU. The result is what was left as it is, by path, with the reason:
    regions that are no squares, reach beyond the image, have gaps, or whose kind has no stochastic form.
    """
    left: dict[str, str] = {}
    swapped: dict[nn.Module, nn.Module] = {}
    for path, module in network.named_modules():
        if type(module).__module__ != nn.MaxPool2d.__module__:
            continue
        if reason := _unlike(module):
            left[path] = reason
        else:
            swapped[module] = StochasticPool2d(_side(module.kernel_size), _side(module.stride))
            swapped[module].train(module.training)
    rewrite(network, lambda m: [swapped[m]] if m in swapped else None)
    return left


def _side(size: object) -> int:
    """The side of a square given as a number or a pair; 0 if it is none."""
    sides = set(size) if isinstance(size, tuple) else {size}
    (side,) = sides if len(sides) == 1 else (0,)
    return side if isinstance(side, int) else 0


def _unlike(module: nn.Module) -> str:
    """Why a pooling layer cannot be swapped, or nothing."""
    if not isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        return f"{type(module).__name__} has no stochastic form here"
    if not _side(module.kernel_size) or not _side(module.stride):
        return "its regions are no squares"
    if _side(module.padding) or (isinstance(module.padding, tuple) and any(module.padding)):
        return "its regions reach beyond the image"
    if getattr(module, "dilation", 1) not in (1, (1, 1)):
        return "its regions have gaps"
    if module.ceil_mode or getattr(module, "return_indices", False) or getattr(module, "divisor_override", None):
        return "it rounds the number of regions up, tells places or divides by a number of its own"
    return ""
