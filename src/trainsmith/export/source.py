"""A network of known layers as plain PyTorch source."""

from dataclasses import dataclass

from torch import nn

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


def write_source(network: nn.Module) -> Source:
    """Source for an nn.Sequential of torch's layers and ours, ours as torch's equivalents.

    Raises InvalidInput for a network of another shape: a user's own class has its source already.
    """
    if type(network) is not nn.Sequential:
        raise InvalidInput("only networks that are an nn.Sequential can be written as source yet.")
    layers, lines = [], []
    for layer in network:
        plain: nn.Module = getattr(layer, "plain", lambda layer=layer: layer)()
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


def _constructor(layer: nn.Module) -> str:
    if isinstance(layer, Standardization):
        return f"Standardize({tuple(layer.mean.shape)})"
    if not type(layer).__module__.startswith("torch.nn.modules"):
        raise InvalidInput(f"{type(layer).__name__} is not a layer of torch.nn: it cannot be written as source yet.")
    return f"nn.{layer!r}"
