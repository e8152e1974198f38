"""A network of known layers as plain PyTorch source."""

import inspect
import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput


@dataclass(frozen=True)
class Source:
    """The text of a module that needs torch alone, and the network whose state_dict fits what it builds."""

    text: str
    network: nn.Sequential


@torch.no_grad()
def write_source(network: nn.Module, example: Tensor) -> Source:
    """Source for an nn.Sequential of torch's layers and ours, ours as torch's equivalents or as classes of their own.

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
    own = dict.fromkeys(type(m) for m in layers if _is_own(m))
    classes = [inspect.getsource(kind) for kind in own]
    function = [
        "def build():",
        '    """The network with untrained weights; load weights.safetensors into it."""',
        "    return nn.Sequential(",
        *lines,
        "    )",
        "",
    ]
    body = "\n\n".join([*classes, "\n".join(function)])
    title = '"""The network that won the comparison, in plain PyTorch."""\n\n'
    return Source(title + _imports(body) + body, nn.Sequential(*layers))


def _imports(body: str) -> str:
    """The imports a module with this body needs; a blank line parts the standard library's from torch's."""
    standard = [f"import {name}\n" for name in ("functools", "math") if re.search(rf"\b{name}\.", body)]
    torch_too = ["import torch\n"] if re.search(r"\btorch\.", body) else []
    return "".join([*standard, *(["\n"] if standard else []), *torch_too, "from torch import nn\n\n\n"])


def _is_own(layer: nn.Module) -> bool:
    """Whether a layer is one of the rooms' plain modules, whose source needs torch alone."""
    return bool(re.fullmatch(r"trainsmith\.\w+\.plain", type(layer).__module__))


def _plain(layer: nn.Module, axes: int) -> nn.Module:
    """torch's equivalent of one of our layers, for inputs with so many axes; any other layer itself."""
    plain = getattr(layer, "plain", None)
    if plain is None:
        return layer
    return plain(axes) if "axes" in inspect.signature(plain).parameters else plain()


def _constructor(layer: nn.Module) -> str:
    if _is_own(layer):
        return repr(layer)
    if not type(layer).__module__.startswith("torch.nn.modules"):
        raise InvalidInput(f"{type(layer).__name__} is not a layer of torch.nn: it cannot be written as source yet.")
    return f"nn.{layer!r}"
