"""A layer behind a module of a network that is named, such as a penalty on the activations of one layer."""

from collections.abc import Mapping

from torch import nn

from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.initialization import take_mode
from trainsmith.network.rewriting import children_of


def behind(network: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """Put each layer behind the module of the network that has its name, in place: a layer regularizer at one place.

    layers: from a name, as `named_modules` has it, to what gets the outputs of that module. There the two stand in a
    sequence, the module first, with the mode that it has; its weights keep their names but for a ".0".

    Raises InvalidInput for a name that the network has not, for a module that stands in several places, all of which
    would be meant, and for one layer behind several; the network is then as it was.

    >>> from torch import nn
    >>> from trainsmith.network import behind
    >>> from trainsmith.regularization import ActivityL1
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> behind(network, {"1": ActivityL1(1e-3)})
    >>> [type(m).__name__ for m in network[1]]
    ['ReLU', 'ActivityL1']
    """
    if len(set(layers.values())) < len(layers):
        raise InvalidInput("one layer cannot stand behind several modules: give each name a layer of its own.")
    modules = dict(network.named_modules())
    places = [child for parent in modules.values() for _, child in children_of(parent)]
    for name in layers:
        if name == "" or name not in modules:
            raise unknown_name("module of the network", name, [n for n in modules if n])
        if sum(child is modules[name] for child in places) > 1:
            raise InvalidInput(f"{name} stands in several places of the network: put a layer into its forward instead.")
    for name, layer in layers.items():
        parent, _, own = name.rpartition(".")
        module = modules[name]
        made = nn.Sequential(module, layer)
        take_mode(module, layer, made)
        setattr(modules[parent], own, made)
