"""Passes of a network beside the one that trains it, which leave its running statistics as they are."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad

Run = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def still(network: Run | nn.Module) -> Run:
    """The network as a function that moves no buffer: each pass has copies of them.

    Batch normalization in training still normalizes by the batch that the pass is given.
    """
    if not isinstance(network, nn.Module):
        return network

    def run(x: Tensor) -> Tensor:
        return functional_call(network, {name: b.clone() for name, b in network.named_buffers()}, (x,))

    return run


def needs_module(technique: object, network: object) -> str:
    """Of a network that is none, such as a function, where a technique looks into it."""
    name = getattr(network, "__name__", type(network).__name__)
    return (
        f"{type(technique).__name__} looks into the network and needs the nn.Module itself; got {name}. Put what the "
        "function does into the module's forward."
    )


def trained(network: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name: all but the `frozen`, where the network has such an attribute.

    Inside of a population's program tensors do not say whether they require a gradient.
    """
    frozen = getattr(network, "frozen", None)
    if frozen is None:
        frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    return {name: p for name, p in network.named_parameters() if name not in frozen}


def input_gradient(network: Run | nn.Module, x: Float[Tensor, "n ..."], y: Tensor, loss: Loss) -> Tensor:
    """The gradient (n, ...) of loss(network(x), y) with respect to x; it can be differentiated once more."""
    run = still(network)
    with torch.enable_grad():
        return grad(lambda moved: loss(run(moved), y))(x)
