"""One technique put into a copy of any network, the rest of it left as it is."""

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainsmith.catalogue import Technique
from trainsmith.errors import InvalidInput
from trainsmith.initialization import NetworkInitialization, draw_layers, joined_layers, weight_layers
from trainsmith.inspection.copying import copy_of
from trainsmith.inspection.fault import Finding
from trainsmith.network.functional import call_modules
from trainsmith.network.rewriting import is_activation, rewrite
from trainsmith.network.surgery import feeding_activations
from trainsmith.network.widths import calls_of
from trainsmith.population.luck import torch_generator


def cured(module: nn.Module, technique: Technique, x: Tensor, y: Tensor, seed: int, finding: Finding) -> nn.Module:
    """A copy of `module` with this technique in place of its family's choice; weights only where it draws them.

    x, y: training examples, for techniques that start from them. seed: draws the weights. finding: what it is against.
    Raises InvalidInput, with the reason, where the network has no place for it.
    """
    network = copy_of(module, module)
    if technique.family == "initialization":
        return _initialized(network, technique, x, y, seed)
    if technique.family == "activation":
        return _activated(network, technique, x, finding)
    if technique.role == "input":
        if not x.is_floating_point():
            raise InvalidInput("its inputs are not numbers on a scale")
        make: Any = technique.make
        return nn.Sequential(make().fit(x), network)
    return _normalized(network, technique, x, finding)


def _initialized(network: nn.Module, technique: Technique, x: Tensor, y: Tensor, seed: int) -> nn.Module:
    if not weight_layers(network) and not joined_layers(network):
        raise InvalidInput("the network has no linear, convolution, recurrent or attention layer")
    if technique.role == "network":
        whole: Any = technique.make()
        if type(whole).fill is NetworkInitialization.fill:  # it says nothing of the weights, only of what comes then
            whole.finish(network, x, y)
        else:
            whole(network, x, y, draw=lambda place: torch_generator(seed, "weights", place))
        return network
    return draw_layers(network, technique.make, lambda place: torch_generator(seed, "weights", place))


def _activated(network: nn.Module, technique: Technique, x: Tensor, finding: Finding) -> nn.Module:
    make: Any = technique.make
    if finding.short == "missing non-linearity":
        layer = network.get_submodule(finding.layer.split(" (")[0])
        return _replaced(network, {layer: lambda: [make(), layer]})
    left = call_modules(network, x)
    sites = [m for m in network.modules() if is_activation(m)]
    if not sites:
        raise InvalidInput(f"the network has no activation module{': ' if left else ''}{'; '.join(left)}")
    return _replaced(network, {m: lambda: [make()] for m in sites})


def _normalized(network: nn.Module, technique: Technique, x: Tensor, finding: Finding) -> nn.Module:
    make: Any = technique.make
    if finding.short.startswith("batch norm"):
        norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
        return _replaced(network, {m: lambda m=m: [make(m.num_features)] for m in norms})
    call_modules(network, x)
    behind = feeding_activations(calls_of(network, x))
    if not behind:
        raise InvalidInput("no weight layer is followed at once by an activation module")
    return _replaced(network, {m: lambda m=m, p=p: [m, p.holds(make(len(m.weight)))] for m, p in behind.items()})


def _replaced(network: nn.Module, new: Any) -> nn.Module:
    """`network` with each module among the keys replaced by what its value makes, several in a row."""
    root = nn.Sequential(network)
    rewrite(root, lambda m: [nn.Sequential(*made) if len(made := new[m]()) > 1 else made[0]] if m in new else None)
    return root[0]
