"""Layers whose tensors hold several weights, or weights with the inputs first: recurrent, attention, transposed."""

from torch import Tensor, nn

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
JOINED = (*TRANSPOSED, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)


def joined_layers(module: nn.Module) -> list[nn.Module]:
    """Every such layer, in the module's own order."""
    return [m for m in module.modules() if isinstance(m, JOINED)]


def joined_weights(layer: nn.Module) -> dict[str, list[Tensor]]:
    """What there is to initialize, by the name of the tensor: the weights (out, in, ...) in it, each a view of it.

    Of a recurrent layer that of each gate, from the inputs and from the layer's own past; of attention those of
    queries, keys and values; of a transposed convolution that of each group. Left out is what its owner froze, by
    requires_grad=False, and what is made of other tensors at each call.
    """
    own = {name: p for name, p in layer._parameters.items() if p is not None and p.requires_grad}
    return {name: parts for name, p in own.items() if (parts := _parts(layer, name, p.detach()))}


def _parts(layer: nn.Module, name: str, tensor: Tensor) -> list[Tensor]:
    if isinstance(layer, TRANSPOSED):
        return [part.transpose(0, 1) for part in tensor.chunk(layer.groups)] if name == "weight" else []
    if isinstance(layer, (nn.RNNBase, nn.RNNCellBase)):
        gates = 1 if name.startswith("weight_hr") else len(tensor) // layer.hidden_size
        return list(tensor.chunk(gates)) if name.startswith("weight_") else []
    return list(tensor.chunk(3 if name == "in_proj_weight" else 1)) if name.endswith("proj_weight") else []
