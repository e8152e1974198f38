"""A network of known layers as plain PyTorch source."""

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.normalization import Standardization


@dataclass(frozen=True)
class Source:
    """The text of a module that needs torch alone, and the network whose state_dict fits what it builds."""

    text: str
    network: nn.Sequential


STANDARDIZE = '''
class Standardize(nn.Module):
    """(x - mean) / std with the training data's mean and std, kept with the weights."""

    def __init__(self, shape):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, x):
        return (x - self.mean) / self.std

'''


@torch.no_grad()
def write_source(network: nn.Module, example: Tensor) -> Source:
    """Source for an nn.Sequential of torch's layers and ours, ours as torch's equivalents.

    example: a few inputs (n, *features); passed through, they tell each layer how many axes its inputs have.
    Raises InvalidInput for a network of another shape: a user's own class has its source already.
    """
    if type(network) is not nn.Sequential:
        raise InvalidInput("only networks that are an nn.Sequential can be written as source yet.")
    layers, lines, x = [], [], example
    for layer in network.eval():
        plain = _plain(layer, x.ndim)
        x = layer(x)
        layers.append(plain)
        lines.append(f"        {_constructor(plain)},")
    needs_standardize = any(isinstance(m, Standardization) for m in layers)
    text = "\n".join(
        [
            '"""The network that won the comparison, in plain PyTorch."""\n',
            "import torch" if needs_standardize else "",
            "from torch import nn\n",
            STANDARDIZE if needs_standardize else "",
            "def build():",
            '    """The network with untrained weights; load weights.safetensors into it."""',
            "    return nn.Sequential(",
            *lines,
            "    )",
            "",
        ]
    )
    return Source(text, nn.Sequential(*layers))


def _plain(layer: nn.Module, axes: int) -> nn.Module:
    """torch's equivalent of one of our layers, for inputs with so many axes; any other layer itself."""
    plain = getattr(layer, "plain", None)
    if plain is None:
        return layer
    return plain(axes) if "axes" in inspect.signature(plain).parameters else plain()


def _constructor(layer: nn.Module) -> str:
    if isinstance(layer, Standardization):
        return f"Standardize({tuple(layer.mean.shape)})"
    if not type(layer).__module__.startswith("torch.nn.modules"):
        raise InvalidInput(f"{type(layer).__name__} is not a layer of torch.nn: it cannot be written as source yet.")
    return f"nn.{layer!r}"
