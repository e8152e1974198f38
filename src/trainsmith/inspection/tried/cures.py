"""One technique put into a copy of any network, the rest of it left as it is."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainsmith.catalogue import Technique
from trainsmith.errors import InvalidInput
from trainsmith.initialization import NetworkInitialization, draw_layers, joined_layers, weight_layers
from trainsmith.inspection.faults.fault import Finding
from trainsmith.inspection.passes.by_number import ByNumber, numbers_of
from trainsmith.inspection.passes.copying import copy_of
from trainsmith.inspection.passes.given import count, has_rows, labelled, over, tensors
from trainsmith.luck import torch_generator
from trainsmith.network.functional import call_modules
from trainsmith.network.rewriting import is_activation, rewrite
from trainsmith.network.surgery import feeding_activations
from trainsmith.network.widths import calls_of


def cured(
    module: nn.Module, technique: Technique, x: Any, y: Tensor | None, seed: int, finding: Finding,
    layer: str = "", still: Sequence[nn.Parameter] = (),
) -> tuple[nn.Module, str]:  # fmt: skip
    """A copy of `module` with this technique in place of its family's choice; weights only where it draws them.

    Beside it what the layer called `layer`, or what takes its place, is called in it; "" where it is gone.
    x, y: training examples, for techniques that start from them; inputs of any form. seed: draws the weights. finding:
    what it is against. still: parameters that are not to be trained afterwards, as they are not without the technique.
    Raises InvalidInput, with the reason, where the network has no place for it.
    """
    name, *call = layer.split(" (")
    kept = dict(module.named_modules()).get(name)
    network, held, kept = copy_of(module, (module, list(still), kept))
    if technique.family == "initialization":
        _initialize(network, technique, x, y, seed)
    elif technique.family == "activation":
        network = _activated(network, technique, x, finding)
    elif technique.role == "input":
        network = _scaled(network, technique, x)
    else:
        network = _normalized(network, technique, x, finding)
    for p in held:
        p.requires_grad_(False)
    if technique.family == "initialization":
        return network, layer
    found = next((n for n, m in network.named_modules() if m is kept), "")
    if not found and technique.family == "activation":  # it was replaced where it stood
        return network, layer
    return network, " (".join([found, *call]) if found else ""


def _initialize(network: nn.Module, technique: Technique, x: Any, y: Tensor | None, seed: int) -> None:
    if not weight_layers(network) and not joined_layers(network):
        raise InvalidInput("the network has no linear, convolution, recurrent or attention layer")
    if technique.role != "network":
        draw_layers(network, technique.make, lambda place: torch_generator(seed, "weights", place))
        return
    whole: Any = technique.make()
    few, known = (x, None) if y is None else labelled(x, y)
    told = ByNumber(network, few), numbers_of(few), known
    if type(whole).fill is NetworkInitialization.fill:  # it says nothing of the weights, only of what comes then
        whole.finish(*told)
    else:
        whole(*told, draw=lambda place: torch_generator(seed, "weights", place))


def _activated(network: nn.Module, technique: Technique, x: Any, finding: Finding) -> nn.Module:
    make: Any = technique.make
    if finding.short == "missing non-linearity":
        layer = network.get_submodule(finding.layer.split(" (")[0])
        return replaced(network, {layer: lambda: [make(), layer]})
    left = call_modules(ByNumber(network, x), numbers_of(x))
    sites = [m for m in network.modules() if is_activation(m)]
    if not sites:
        raise InvalidInput(f"the network has no activation module{': ' if left else ''}{'; '.join(left)}")
    return replaced(network, {m: lambda: [make()] for m in sites})


def _scaled(network: nn.Module, technique: Technique, x: Any) -> nn.Module:
    make: Any = technique.make
    if isinstance(x, Tensor):
        if not x.is_floating_point():
            raise InvalidInput("its inputs are not numbers on a scale")
        return nn.Sequential(make().fit(x), network)
    fitted = [make().fit(t) if _on_a_scale(t, count(x)) else nn.Identity() for t in tensors(x)]
    if not any(not isinstance(m, nn.Identity) for m in fitted):
        raise InvalidInput("none of its inputs are numbers on a scale")
    return _Scaling(fitted, network)


def _on_a_scale(t: Tensor, n: int) -> bool:
    """Whether a tensor holds numbers of each example, other than yes and no, as masks do."""
    return has_rows(t, n) and t.is_floating_point() and not bool(((t == 0) | (t == 1)).all())


class _Scaling(nn.Module):
    """A network behind layers that scale its inputs, one for each tensor in their order."""

    def __init__(self, layers: Sequence[nn.Module], network: nn.Module) -> None:
        super().__init__()
        self.layers, self.network = nn.ModuleList(layers), network

    def forward(self, *inputs: Any, **named: Any) -> Any:
        layers = iter(self.layers)
        inputs, named = (over(value, lambda t: next(layers)(t)) for value in (inputs, named))
        return self.network(*inputs, **named)


def _normalized(network: nn.Module, technique: Technique, x: Any, finding: Finding) -> nn.Module:
    make: Any = technique.make
    if finding.short.startswith("batch norm"):
        norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
        return replaced(network, {m: lambda m=m: [make(m.num_features)] for m in norms})
    called, numbers = ByNumber(network, x), numbers_of(x)
    call_modules(called, numbers)
    behind = feeding_activations(calls_of(called, numbers))
    if not behind:
        raise InvalidInput("no weight layer is followed at once by an activation module")
    return replaced(network, {m: lambda m=m, p=p: [m, p.holds(make(len(m.weight)))] for m, p in behind.items()})


def replaced(network: nn.Module, new: Any) -> nn.Module:
    """`network` with each module among the keys replaced by what its value makes, several in a row."""
    root = nn.Sequential(network)
    rewrite(root, lambda m: [nn.Sequential(*made) if len(made := new[m]()) > 1 else made[0]] if m in new else None)
    return root[0]
