"""Reference networks by name, and a user's own network from a factory."""

import importlib
import inspect
import itertools
import math
import os
import sys
from collections.abc import Callable

from torch import nn

from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.network.language import gpt
from trainsmith.network.plain import Residual

Factory = Callable[..., nn.Module]
"""Makes a fresh network: called as factory(input_shape, outputs), or with no argument if it takes none."""


def mlp(input_shape: tuple[int, ...], outputs: int, width: int = 100, depth: int = 5) -> nn.Sequential:
    """A deep multi-layer perceptron: `depth` hidden layers of `width` ReLU units and a linear output.

    With five hidden layers of 100 it is the network on which initialization and activation are seen to
    matter. input_shape is that of one example; the network takes (n, *input_shape) to (n, outputs).
    """
    sizes = [math.prod(input_shape)] + [width] * depth
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def residual(input_shape: tuple[int, ...], outputs: int, width: int = 100, blocks: int = 4) -> nn.Sequential:
    """A multi-layer perceptron of residual blocks, the network for initializations that start them as shortcuts.

    A linear layer to `width` units, `blocks` blocks x + W2 relu(W1 relu(x)), and a linear output behind a ReLU: with
    four blocks ten weight layers. It takes (n, *input_shape) to (n, outputs).
    """

    def branch() -> nn.Sequential:
        return nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    stem = [nn.Flatten(), nn.Linear(math.prod(input_shape), width)]
    return nn.Sequential(*stem, *(Residual(branch()) for _ in range(blocks)), nn.ReLU(), nn.Linear(width, outputs))


NETWORKS: dict[str, Factory] = {"gpt": gpt, "mlp": mlp, "residual": residual}


def default_network(kind: str) -> str:
    """The name of the network for data of that kind: "gpt" for a text, else "mlp"."""
    return "gpt" if kind == "text" else "mlp"


def build(network: str | Factory, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A fresh network: by name, by "package.module:factory", or from a factory.

    Raises InvalidInput for an unknown name, a factory that cannot be imported or called, or one that does
    not return an nn.Module.
    """
    factory = named_factory(network) if isinstance(network, str) else network
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InvalidInput(
            f"the network must be a name or a function that makes a fresh nn.Module; got {type(factory).__name__}. "
            "Pass the function, not its result: every run needs its own weights."
        )
    takes_shape = len(inspect.signature(factory).parameters) >= 2
    module = factory(input_shape, outputs) if takes_shape else factory()
    if not isinstance(module, nn.Module):
        raise InvalidInput(f"the network factory must return an nn.Module; it returned {type(module).__name__}.")
    return module


def named_factory(name: str) -> Factory:
    """The factory of a reference network, or of "package.module:factory"."""
    if ":" not in name:
        if name not in NETWORKS:
            raise unknown_name("network", name, NETWORKS)
        return NETWORKS[name]
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; an installed command does not
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"cannot import the network factory '{name}': {error}.") from error
