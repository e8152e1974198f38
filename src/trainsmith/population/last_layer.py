"""The last layer of a network, which some techniques leave alone."""

import torch
from torch import Tensor, nn

from trainsmith.initialization import calls_in_turn
from trainsmith.regularization import Ensemble, SnapshotEnsemble


def last_layer(network: nn.Module, x: Tensor) -> frozenset[str]:
    """The names of the parameters of the layer that a pass of x (n, ...) calls last; each network of an ensemble's.

    Layers are modules with a weight of two axes or more. Nothing where none is called.
    """
    parts: list[nn.Module] = [network]
    if isinstance(network, Ensemble):
        parts = list(network.members)
    elif isinstance(network, SnapshotEnsemble):
        parts = [network.live]
    last = {id(p) for part in parts for layer in _called(part, x)[-1:] for p in layer.parameters(recurse=False)}
    return frozenset(name for name, p in network.named_parameters() if id(p) in last)


def _called(network: nn.Module, x: Tensor) -> list[nn.Module]:
    """The layers in the order in which their calls end."""
    layers = [m for m in network.modules() if any(p.ndim >= 2 for p in m.parameters(recurse=False))]
    with torch.random.fork_rng(devices=[]):
        return calls_in_turn(network, layers, x[:2])[0]
