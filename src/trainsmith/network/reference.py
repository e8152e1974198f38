"""Reference networks."""

import itertools
import math
from collections.abc import Callable

from torch import nn

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
