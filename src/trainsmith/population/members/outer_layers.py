"""The first and the last layer of a network, which some techniques leave alone."""

import torch
from torch import Tensor, nn

from trainsmith.initialization import outputs_of
from trainsmith.optimizer import Optimizer
from trainsmith.population.members.objective import Objective
from trainsmith.regularization import Ensemble, SnapshotEnsemble


def last_layer(network: nn.Module, x: Tensor) -> frozenset[str]:
    """The names of the parameters of the layer that a pass of x (n, ...) calls last; each network of an ensemble's.

    Layers are modules with a weight of two axes or more. Nothing where none is called.
    """
    return _names(network, [layer for part in _parts(network) for layer in _called(part, x)[0][-1:]])


def outer_layers(objective: Objective, x: Tensor) -> frozenset[str]:
    """The objective's names for the parameters of its network's input and output layers.

    These are embeddings, the layers that a pass of x (n, ...) calls first and last, and what a second task puts behind.
    """
    network = objective.network
    outer: list[nn.Module] = [m for m in network.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    for part in _parts(network):
        begun, ended = _called(part, x)
        outer += [*ended[:1], *begun[-1:]]
    heads = [name for name, _ in objective.named_parameters() if name.startswith("passes.")]
    return frozenset([*(f"network.{name}" for name in _names(network, outer)), *heads])


def without_hidden(rule: type[Optimizer], objective: Objective, outside: frozenset[str]) -> tuple[str, ...]:
    """That a rule for hidden layers finds none, in words, which end the sentence "the network has ..."."""
    matrices = [name for name, p in objective.named_parameters() if p.ndim >= 2 and p.requires_grad]
    if not rule.of_hidden or not outside.issuperset(matrices):
        return ()
    return (f"no hidden layer that {rule.__name__} would move otherwise than its input and output layers",)


def _parts(network: nn.Module) -> list[nn.Module]:
    if isinstance(network, Ensemble):
        return list(network.members)
    return [network.live] if isinstance(network, SnapshotEnsemble) else [network]


def _names(network: nn.Module, layers: list[nn.Module]) -> frozenset[str]:
    held = {id(p) for layer in layers for p in layer.parameters(recurse=False)}
    return frozenset(name for name, p in network.named_parameters() if id(p) in held)


def _called(network: nn.Module, x: Tensor) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers in the order in which their calls begin, and in that in which they end.

    One that holds others, as a transformer with the positions' weights beside its layers, begins before and ends after
    all of them.
    """
    begun: list[nn.Module] = []
    ended: list[nn.Module] = []
    layers = [m for m in network.modules() if any(p.ndim >= 2 for p in m.parameters(recurse=False))]
    hooks = [layer.register_forward_pre_hook(lambda layer, *_: begun.append(layer)) for layer in layers]
    hooks += [layer.register_forward_hook(lambda layer, *_: ended.append(layer)) for layer in layers]
    try:
        with torch.random.fork_rng(devices=[]):
            outputs_of(network, x[:2])
    finally:
        for hook in hooks:
            hook.remove()
    return begun, ended
