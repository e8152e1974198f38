"""A network as plain PyTorch source: what builds it, and the classes that torch.nn lacks."""

import inspect
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.catalogue import number_in, techniques
from trainsmith.errors import InvalidInput
from trainsmith.export.frozen import frozen
from trainsmith.export.harvest import Harvest
from trainsmith.export.readable import readable
from trainsmith.initialization import outputs_of, signs_of
from trainsmith.network import Factory
from trainsmith.network.forward import rewritten
from trainsmith.network.plain import AtEachPosition, Residual
from trainsmith.network.rewriting import children_of
from trainsmith.regularization import (
    DeepEnsemble,
    MonteCarlo,
    SnapshotEnsemble,
    Transposed,
    activity_cost,
    tied_weights,
)

AROUND = (Residual, AtEachPosition)
"""Classes that are made with the one module they hold."""
WHOLE: tuple[type[nn.Module], ...] = (DeepEnsemble, SnapshotEnsemble, MonteCarlo)
"""Classes around one or several whole networks."""
LAST = (nn.LayerNorm, nn.RMSNorm)
"""Layers that look at the last axis alone, at however many positions."""


@dataclass(frozen=True)
class Source:
    """The text of a module, and the network whose state_dict fits what it builds. about: where the text comes from."""

    text: str
    network: nn.Module
    about: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a network comes from that is no sequence of known layers.

    factory: what makes it. arguments: of the call, as source. made: of each module that it made the path and the repr
    that it had then.
    """

    factory: Factory
    arguments: str
    made: Mapping[nn.Module, tuple[str, str]]


def write_source(network: nn.Module, example: Tensor, origin: Origin | None = None, costs: bool = False) -> Source:
    """Source that builds the network, ready to train: torch's layers, and ours as torch's equivalents or as classes.

    It is an nn.Sequential of layers, sequences and residual blocks, or one of the user's own, which `origin` makes and
    whose changes the source repeats. A layer that does in training what no module of torch does is written with its
    own class, any other as torch's.

    costs: also write `activity_cost`, for layers whose activations cost.
    example: a few inputs (n, *features); passed through, they tell each layer how many axes its inputs have.
    Raises InvalidInput for a network that cannot be written.
    """
    if origin is None and type(network) is not nn.Sequential and not isinstance(network, WHOLE):
        raise InvalidInput("only networks that are an nn.Sequential can be written as source without their factory.")
    writer = _Writer(network, example, origin)
    if costs:
        writer.harvest.add(activity_cost)
    plain = writer.plain(network)
    writer.check_written_once(plain)
    lines = writer.begun(plain) if origin is not None and not isinstance(plain, WHOLE) else []
    made = writer.whole(plain)
    body = [
        "def build():",
        '    """The network with untrained weights; load weights.safetensors into it."""',
        *(f"    {line}" for line in (*writer.inner(), *lines)),
    ]
    if held := frozen(plain):
        body += [f"    network = {made}", *(f"    {line}" for line in held), "    return network"]
    else:
        body.append(f"    return {made}")
    imports = "from collections import OrderedDict\nfrom torch import nn\n"
    title = '"""The network that won the comparison, in plain PyTorch."""\n\n'
    return Source(readable("\n".join([title, imports, writer.harvest.text, *body, ""])), plain)


class _Writer:
    """Writes one network's modules as expressions, and gathers the classes that they need."""

    def __init__(self, network: nn.Module, example: Tensor, origin: Origin | None) -> None:
        self.harvest = Harvest()
        self.origin = origin
        self.paths = {} if origin is None else dict(origin.made)
        for copied in network.taken if isinstance(network, SnapshotEnsemble) else []:
            alike = zip(network.get_submodule("live").modules(), copied.modules(), strict=True)
            self.paths |= {copy: self.paths[first] for first, copy in alike if first in self.paths}
        self.bodies: set[tuple[str, ...]] = set()
        self.axes = _axes(network, example)
        self.plains: dict[int, tuple[nn.Module, nn.Module]] = {}
        self.seen: set[nn.Module] = set()

    @torch.no_grad()
    def plain(self, layer: nn.Module) -> Any:
        """torch's equivalent of one of our layers, other layers themselves; those inside likewise."""
        if id(layer) in self.plains:  # it stands in several places
            return self.plains[id(layer)][1]
        found = self._plain(layer)
        self.plains[id(layer)] = layer, found  # the layer is held, so that its id stays its own
        return found

    def check_written_once(self, network: nn.Module) -> None:
        """Raises InvalidInput for a layer with weights that would be written anew in each of several places."""
        places = Counter(child for parent in network.modules() for _, child in children_of(parent))
        for m, times in places.items():
            if times > 1 and m not in self.paths and any(True for _ in m.parameters()):
                raise InvalidInput(
                    f"{type(m).__name__}, which a technique put in several places of the network with one weight, "
                    "cannot be written as source yet."
                )

    def _plain(self, layer: nn.Module) -> Any:
        if layer in self.paths and type(layer) is not nn.Sequential:
            for name, child in children_of(layer):
                setattr(layer, name, self.plain(child))
            return layer
        if isinstance(layer, WHOLE):
            for path in [n for n, m in layer.named_modules() if n and type(m) is nn.Sequential and _root(layer, n)]:
                layer.set_submodule(path, self.plain(layer.get_submodule(path)))
            return layer
        if type(layer) is nn.Sequential:
            children = {name: self.plain(child) for name, child in children_of(layer)}
            if layer in self.paths:
                layer._modules = children
                return layer
            return nn.Sequential(*children.values()) if _numbered(layer) else nn.Sequential(OrderedDict(children))
        if type(layer) in AROUND:
            (child,) = layer.children()
            inside = self.plain(child)
            return inside if isinstance(inside, LAST) else type(layer)(inside)
        make: Any = getattr(layer, "plain", None)
        if make is None or not getattr(layer, "trains_as_plain", True):
            if type(layer).__module__.startswith("trainsmith."):
                for name, child in children_of(layer):
                    setattr(layer, name, self.plain(child))
            return layer
        return make(self.axes.get(layer, 2)) if "axes" in inspect.signature(make).parameters else make()

    def begun(self, network: nn.Module) -> list[str]:
        """The statements that have the factory make its network, and make of that what `network` has become."""
        assert self.origin is not None
        return [f"network = {self.harvest.add(self.origin.factory)}({self.origin.arguments})", *self.changes(network)]

    def inner(self) -> list[str]:
        """The function `one` that makes one network of an ensemble, where the factory makes these."""
        if len(self.bodies) > 1:
            raise InvalidInput("the networks of the ensemble differ: they cannot be written as source.")
        return [line for body in self.bodies for line in ("def one():", *(f"    {b}" for b in body))]

    def changes(self, layer: nn.Module) -> list[str]:
        """The statements that make of the factory's network, `network`, what `layer` has become, innermost first."""
        if layer in self.seen:
            return []
        self.seen.add(layer)
        if layer not in self.paths:
            return [line for _, child in children_of(layer) for line in self.changes(child)]
        path, made = self.paths[layer]
        lines, others = self._class_changed(layer, path), []
        lines += [f"{_reached(path)}.{name} = {value!r}" for name, value in signs_of(layer).items()]
        for name, child in children_of(layer):
            lines += self.changes(child)
            place = f"{path}.{name}".removeprefix(".")
            if self.paths.get(child, (None,))[0] != place:
                others.append(f"{_reached(place)} = {self.expression(child)}")
        if isinstance(layer, nn.Sequential) and _numbered(layer) and (others or len(layer) != made.count("\n  (")):
            inside = ", ".join(map(self.expression, layer))
            return [*lines, f"{_reached(path)} = nn.Sequential({inside})"]
        if not any(True for _ in layer.children()) and repr(layer) != made:
            return [f"{_reached(path)} = nn.{layer!r}"]  # other widths, or no bias
        return lines + others

    def _class_changed(self, layer: nn.Module, path: str) -> list[str]:
        """The statement that gives a module the class whose activation functions are modules, if it has it."""
        base: Any = type(layer).__mro__[1]
        new = rewritten(base) if issubclass(base, nn.Module) else None
        if new is None or new.kind is not type(layer):
            return []
        name = self.harvest.add_subclass(base, new.kind.__name__, str(new.kind.__doc__), new.source)
        return [f"{_reached(path)}.__class__ = {name}"]

    def expression(self, layer: nn.Module) -> str:
        """The call that makes a layer, or where it is found in the factory's network."""
        if layer in self.paths:
            return _reached(self.paths[layer][0])
        if type(layer) is nn.Sequential:
            if _numbered(layer):
                return f"nn.Sequential({', '.join(map(self.expression, layer))})"
            named = ", ".join(f"{name!r}: {self.expression(child)}" for name, child in children_of(layer))
            return f"nn.Sequential(OrderedDict({{{named}}}))"
        if isinstance(layer, WHOLE):
            return self._around(layer)
        if isinstance(layer, Transposed):  # before it is tied
            units, inputs = layer.weight.shape
            return f"nn.Linear({units}, {inputs}, bias={layer.bias is not None})"
        if type(layer) in AROUND:
            (child,) = layer.children()
            return f"{self.harvest.add(type(layer))}({self.expression(child)})"
        if type(layer).__module__.startswith("trainsmith."):
            name = self.harvest.add(type(layer))
            return repr(layer) if type(layer).__module__.endswith(".plain") else f"{name}({self._arguments(layer)})"
        if not type(layer).__module__.startswith("torch.nn.modules") or any(True for _ in layer.children()):
            raise InvalidInput(
                f"{type(layer).__name__} is no simple layer of torch.nn: it cannot be written as source yet."
            )
        return f"nn.{layer!r}"

    def whole(self, network: nn.Module, inside: bool = False) -> str:
        """The call that makes a network with its ties, if it has any; each network of an ensemble has its own.

        inside: of an ensemble, whose networks `one` makes, if the factory does.
        """
        made = self.expression(network)
        ties = not isinstance(network, WHOLE) and any(isinstance(m, Transposed) for m in network.modules())
        made = f"{self.harvest.add(tied_weights)}({made})" if ties else made
        if not inside or self.origin is None or isinstance(network, WHOLE):
            return made
        self.bodies.add((*self.begun(network), f"return {made}"))
        return "one()"

    def _around(self, layer: nn.Module) -> str:
        """The call that makes a class around networks."""
        name, kind = self.harvest.add(type(layer)), repr(layer.kind)
        if isinstance(layer, MonteCarlo):
            return f"{name}({self.whole(layer.network, inside=True)}, {kind})"
        networks = [layer.live, *layer.taken] if isinstance(layer, SnapshotEnsemble) else list(layer.members)  # type: ignore[arg-type]
        (made,) = {self.whole(network, inside=True) for network in networks}
        return f"{name}([{made} for _ in range({len(networks)})], {kind})"

    def _arguments(self, layer: nn.Module) -> str:
        """What one of our own layers was made with, read off it."""
        numbers = {h.name for t in techniques() if t.make is type(layer) for h in t.hyperparameters}
        given = []
        for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
            if name == "self":
                continue
            value: Any = getattr(layer, name, None)
            if name in numbers:
                text = repr(number_in(value))
            elif name == "num_features":
                text = str(len(layer.weight))  # type: ignore[arg-type]
            elif isinstance(value, nn.Module):
                text = self.expression(value)
            elif isinstance(value, (bool, int, float, str, tuple)):
                text = repr(value)
            else:
                raise InvalidInput(f"{type(layer).__name__} does not tell its argument {name}: it cannot be exported.")
            given.append(text if parameter.default is parameter.empty else f"{name}={text}")
        return ", ".join(given)


def _root(whole: nn.Module, path: str) -> bool:
    """Whether the sequence at this path is a whole network within classes around networks."""
    parent: nn.Module = whole.get_submodule(path.rpartition(".")[0])
    return isinstance(parent, (*WHOLE, nn.ModuleList))


def _numbered(sequence: nn.Sequential) -> bool:
    return list(sequence._modules) == [str(i) for i in range(len(sequence))]


def _reached(path: str) -> str:
    """The expression for the module at a path of `network`."""
    parts = (f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".") if part)
    return "network" + "".join(parts)


def _axes(network: nn.Module, example: Tensor) -> dict[nn.Module, int]:
    """How many axes the inputs of each module have."""
    found: dict[nn.Module, int] = {}

    def note(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            found.setdefault(module, args[0].ndim)

    hooks = [m.register_forward_pre_hook(note) for m in network.modules()]
    try:
        outputs_of(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    return found
