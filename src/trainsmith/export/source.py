"""A network of known layers as plain PyTorch source."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.network.plain import Residual


@dataclass(frozen=True)
class Source:
    """The text of a module that needs torch alone, and the network whose state_dict fits what it builds."""

    text: str
    network: nn.Sequential


@torch.no_grad()
def write_source(network: nn.Module, example: Tensor) -> Source:
    """Source for an nn.Sequential of torch's layers and ours, ours as torch's equivalents or as classes of their own.

    It may hold further sequences and residual blocks.

    example: a few inputs (n, *features); passed through, they tell each layer how many axes its inputs have.
    Raises InvalidInput for a network of another shape: a user's own class has its source already.
    """
    if type(network) is not nn.Sequential:
        raise InvalidInput("only networks that are an nn.Sequential can be written as source yet.")
    plain, _ = _plain(network.eval(), example)
    own = dict.fromkeys(type(m) for m in plain.modules() if _is_own(m))
    function = [
        "def build():",
        '    """The network with untrained weights; load weights.safetensors into it."""',
        f"    return {_constructor(plain, 4)}",
        "",
    ]
    body = "\n\n".join([*(inspect.getsource(kind) for kind in own), "\n".join(function)])
    title = '"""The network that won the comparison, in plain PyTorch."""\n\n'
    return Source(title + _imports(body) + body, plain)


def _imports(body: str) -> str:
    """The imports a module with this body needs; a blank line parts the standard library's from torch's."""
    standard = [f"import {name}\n" for name in ("functools", "math") if re.search(rf"\b{name}\.", body)]
    torch_too = ["import torch\n"] if re.search(r"\btorch\.", body) else []
    return "".join([*standard, *(["\n"] if standard else []), *torch_too, "from torch import nn\n\n\n"])


def _is_own(layer: nn.Module) -> bool:
    """Whether a layer is one of the rooms' plain modules, whose source needs torch alone."""
    return bool(re.fullmatch(r"trainsmith\.\w+\.plain", type(layer).__module__))


def _plain(layer: nn.Module, x: Tensor) -> tuple[Any, Tensor]:
    """torch's equivalent of one of our layers, other layers themselves, sequences and blocks of them; the outputs."""
    if type(layer) is nn.Sequential:
        layers = []
        for child in layer:
            plain, x = _plain(child, x)
            layers.append(plain)
        return nn.Sequential(*layers), x
    if type(layer) is Residual:
        return Residual(_plain(layer.branch, x)[0]), layer(x)
    make = getattr(layer, "plain", None)
    if make is None:
        return layer, layer(x)
    return make(x.ndim) if "axes" in inspect.signature(make).parameters else make(), layer(x)


def _constructor(layer: nn.Module, indent: int) -> str:
    """The call that makes a layer; those inside a sequence stand on lines of their own, `indent` spaces in."""
    if type(layer) is nn.Sequential:
        lines = [f"{' ' * (indent + 4)}{_constructor(child, indent + 4)},\n" for child in layer]
        return f"nn.Sequential(\n{''.join(lines)}{' ' * indent})"
    if type(layer) is Residual:
        return f"Residual({_constructor(layer.branch, indent)})"
    if _is_own(layer):
        return repr(layer)
    if not type(layer).__module__.startswith("torch.nn.modules") or any(True for _ in layer.children()):
        raise InvalidInput(
            f"{type(layer).__name__} is no simple layer of torch.nn: it cannot be written as source yet."
        )
    return f"nn.{layer!r}"
