"""torch's encoder layers, which in evaluation may pass their parts by."""

from typing import Any

from torch import nn
from torch.nn import functional

SIGNS: dict[Any, int] = {functional.relu: 1, nn.ReLU: 1, functional.gelu: 2, nn.GELU: 2}
"""By which number nn.TransformerEncoderLayer remembers the activation function that it was made with, if by any."""
PARTS = {"linear1": nn.Linear, "linear2": nn.Linear, "norm1": nn.LayerNorm, "norm2": nn.LayerNorm}


def call_parts(network: nn.Module) -> None:
    """Have torch's encoder layers call their parts where one of these is no longer what the layer was made with.

    In evaluation nn.TransformerEncoderLayer computes all in one operation from the weights that it takes out of its
    parts, with the activation function that it remembers; what was put in their places would not be asked.
    """
    for m in network.modules():
        if isinstance(m, nn.TransformerEncoderLayer) and not _as_made(m):
            m.activation_relu_or_gelu = 0
    for m in network.modules():
        if isinstance(m, nn.TransformerEncoder) and not all(getattr(p, "activation_relu_or_gelu", 1) for p in m.layers):
            m.use_nested_tensor = False


def signs_of(module: nn.Module) -> dict[str, object]:
    """The attributes by which an encoder layer, or an encoder, calls its parts; none of one that does not."""
    if isinstance(module, nn.TransformerEncoderLayer) and not module.activation_relu_or_gelu:
        return {"activation_relu_or_gelu": 0}
    if isinstance(module, nn.TransformerEncoder) and not module.use_nested_tensor:
        return {"use_nested_tensor": False}
    return {}


def _as_made(layer: nn.TransformerEncoderLayer) -> bool:
    activation = layer.activation
    sign = SIGNS.get(type(activation) if isinstance(activation, nn.Module) else activation, 0)
    return sign == layer.activation_relu_or_gelu and all(type(getattr(layer, n)) is kind for n, kind in PARTS.items())
