"""What each layer takes and gives in one pass of a population's members, as outputs of a batched program.

Hooks on a copy of the members' common network collect it while the pass is traced; nothing of the training is touched.
"""

import contextlib
import copy
import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.func import vmap
from torch.fx import GraphModule, Node

from trainsmith.inspection.passes.record import first_tensor, leaves, ordinal
from trainsmith.inspection.watching.live import LiveLayer, unit_axis
from trainsmith.luck.written_out import WrittenOut
from trainsmith.population.program.program import Program
from trainsmith.population.program.straighten import straighten
from trainsmith.population.program.traced import trace

Tensors = list[Tensor]
aten = torch.ops.aten


@dataclass(frozen=True)
class Place:
    """One call of a layer, in the order of the data's way.

    live: the layer as any member has it. path: its name in the network. axis: that of its units, in one member's
    outputs. takes, graded: whether what it takes is kept, and whether its outputs get gradients.
    """

    live: LiveLayer
    path: str
    axis: int
    takes: bool
    graded: bool


@dataclass
class Seen:
    """Of all members, stacked (K, n, ...): what the network takes, or nothing; what its layers take, where that is
    kept, and give; the gradients of what they give, where there are any; the losses of a pass that was the step's."""

    given: Sequence[Tensor]
    entered: Sequence[Tensor]
    left: Sequence[Tensor]
    gradients: Sequence[Tensor]
    losses: Tensor | None = None


class StackedPass:
    """A pass of stacked members on their batches: the step's own, or one more with the same luck, without effect."""

    def __init__(self, program: Program) -> None:
        self.plain, self.program = program, copy.copy(program)
        self.program.base = copy.deepcopy(program.base)
        self.places: list[Place] = []
        self._trained = len(program.parameter_names)
        self._lines: dict[object, Callable[..., Tensors]] = {}
        self._wholes: dict[object, Callable[..., Tensors]] = {}
        self._steps: dict[object, tuple[Callable[..., Tensors], int]] = {}  # for any number of members
        self._one_at_a_time = threading.Lock()
        self._found: list[Place] | None = None
        self._begun([])
        network = self.program.base.network
        layers = [(LiveLayer(name, layer), layer) for name, layer in leaves(network)]
        network.register_forward_pre_hook(self._begin, with_kwargs=True)
        for live, layer in layers:
            layer.register_forward_pre_hook(self._enter, with_kwargs=True)
            layer.register_forward_hook(self._leave(live, "" if layer is network else live.name))

    def prepare(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, gradients: Tensors
    ) -> None:
        """Find the layers, and trace the pass for tensors like these (K, ...). Raises what the network raises."""
        tensors = next(self._calls(parameters, buffers, keys, x, y))
        if (key := _key(tensors)) in self._lines:
            return
        self._found = []
        try:
            fresh = self._fresh(tensors)
            trained = [t.detach().requires_grad_() for t in fresh[: self._trained]]
            _, kept = self._collected([*trained, *fresh[self._trained :]], [])
            found = zip(self._found, kept[2], strict=True)  # that it needs a gradient is seen outside of vmap alone
            self.places = [dataclasses.replace(p, graded=p.graded and t.requires_grad) for p, t in found]
        finally:
            self._found = None
        shapes = [t.shape[1:] for t, place in zip(kept[2], self.places, strict=True) if place.graded]
        step = self._step(shapes)
        self._steps[_shapes(tensors)] = step, len(kept[0])
        with contextlib.suppress(Exception):
            self._lines[key] = straighten(_without_probes(trace(step, self._fresh(tensors))))
        if self.program.way == "together":
            with contextlib.suppress(Exception):
                self._try_whole(self._step(shapes, True), tensors, gradients)

    def _try_whole(self, step: Callable[..., Tensors], tensors: Sequence[Tensor], gradients: Tensors) -> None:
        """The pass that is the step's too, if it leaves what the step's own program leaves, bit for bit."""
        traced = trace(step, [*self._fresh(tensors), *map(torch.zeros_like, gradients)])
        line = straighten(_without_probes(traced))
        left = []
        for whole in (False, True):
            own, written = self._fresh(tensors), [torch.zeros_like(g) for g in gradients]
            parameters, (*buffers, keys, x, y) = own[: self._trained], own[self._trained :]
            with torch.no_grad():
                losses = line(*own, *written)[0] if whole else self.plain.run(parameters, buffers, keys, x, y, written)
            left.append([losses, *buffers, *written])
        if all(torch.equal(a, b) for a, b in zip(*left, strict=True)):
            self._wholes[_key(tensors)] = line

    def __call__(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, gradients: Tensors
    ) -> Seen | None:
        """What is seen of the members whose tensors (K, ...) these are; None for batches of shapes not prepared.

        With losses, the gradients are written and the buffers moved as the step does it.
        """
        tensors = (*parameters, *buffers, keys, x, y)
        whole = self._wholes.get(_key(tensors))
        if whole is not None:
            with torch.no_grad():
                losses, *outputs = whole(*tensors, *gradients)
            return self._seen(outputs, self._steps[_shapes(tensors)][1], losses)
        found: list[Tensors] = []
        given = 0
        for tensors in self._calls(parameters, buffers, keys, x, y):
            step, given = self._steps.get(_shapes(tensors), (None, 0))
            if step is None:
                return None
            line = self._lines.get(_key(tensors))
            with contextlib.nullcontext() if line is not None else self._one_at_a_time, torch.no_grad():
                found.append((line or step)(*self._fresh(tensors)))
        return self._seen(found[0] if len(found) == 1 else [torch.cat(p) for p in zip(*found, strict=True)], given)

    def _seen(self, outputs: Tensors, given: int, losses: Tensor | None = None) -> Seen:
        entered = given + sum(place.takes for place in self.places)
        left = entered + len(self.places)
        return Seen(outputs[:given], outputs[given:entered], outputs[entered:left], outputs[left:], losses)

    def _calls(
        self, parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor
    ) -> Iterator[tuple[Tensor, ...]]:
        """The tensors of each call of the line: all members', or one member's after the other's."""
        tensors = (*parameters, *buffers, keys, x, y)
        if self.program.way == "together":
            return iter([tensors])
        return zip(*(t.split(1) for t in tensors), strict=True)

    def _step(self, shapes: Sequence[torch.Size], whole: bool = False) -> Callable[..., Tensors]:
        """What is kept of a pass of flat tensors, then the gradients of outputs (K, *shape).

        whole: first the losses, and the parameters' gradients are written to the last of the tensors. What is added to
        outputs is -0.0, which leaves every number as it is.
        """

        @torch.enable_grad()
        def step(*given: Tensor) -> Tensors:
            tensors, wanted = (given[: -self._trained], given[-self._trained :]) if whole else (given, ())
            x = tensors[-2]
            like = x if x.is_floating_point() else tensors[0]
            probes = [like.new_full((len(x), *shape), -0.0).requires_grad_() for shape in shapes]
            parameters = [t.detach().requires_grad_() for t in tensors[: self._trained]]
            losses, kept = self._collected((*parameters, *tensors[self._trained :]), probes)
            asked = [*(parameters if whole else ()), *probes]
            found = torch.autograd.grad(losses.sum(), asked, materialize_grads=True) if asked else ()
            for there, g in zip(wanted, found, strict=False):
                there.copy_(g)
            seen = [t.detach() for t in (*kept[0], *kept[1], *kept[2], *found[len(wanted) :])]
            return [losses.detach(), *seen] if whole else seen

        return step

    def _fresh(self, tensors: Sequence[Tensor]) -> Tensors:
        """The tensors, with copies of those that a pass may write to."""
        *buffers, keys, x, y = tensors[self._trained :]
        return [*tensors[: self._trained], *(b.clone() for b in buffers), keys, x.clone(), y]

    def _collected(self, tensors: Sequence[Tensor], probes: Tensors) -> tuple[Tensor, tuple[Tensors, Tensors, Tensors]]:
        """Each member's loss, and what is given, entered and left."""
        parameters = list(tensors[: self._trained])
        *buffers, keys, x, y = tensors[self._trained :]

        def one(
            parameters: Tensors, buffers: Tensors, keys: Tensor, x: Tensor, y: Tensor, probes: Tensors
        ) -> tuple[Tensor, tuple[Tensors, Tensors, Tensors]]:
            self._begun(probes)
            return self.program.loss(parameters, buffers, keys, x, y), self._kept

        with torch.enable_grad(), WrittenOut():
            losses, kept = vmap(one, randomness="error")(parameters, buffers, keys, x, y, probes)
        return losses, kept

    def _begun(self, probes: Tensors) -> None:
        self._kept: tuple[Tensors, Tensors, Tensors] = [], [], []
        self._probes = iter(probes)
        self._passes, self._times = 0, dict[str, int]()
        self._entering: list[Tensor | None] = []
        self._channels: tuple[tuple[int, ...], int] = ((), 1)

    def _begin(self, network: nn.Module, inputs: Any, named: Any) -> None:
        self._passes += 1
        given = first_tensor((inputs, named))
        if self._passes == 1 and given is not None and given.is_floating_point() and given.ndim and given.numel():
            self._kept[0].append(given.clone())

    def _enter(self, layer: nn.Module, inputs: Any, named: Any) -> None:
        if self._passes <= 1:
            entered = first_tensor((inputs, named))
            if entered is not None and not (entered.is_floating_point() and entered.numel()):
                entered = None
            self._entering.append(None if entered is None else entered.clone())  # it may be written over

    def _leave(self, first: LiveLayer, path: str) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> Tensor | None:
            if self._passes > 1:
                return None
            entered, left = self._entering.pop(), first_tensor(output)
            times = self._times[first.name] = self._times.get(first.name, 0) + 1
            if left is None or not left.is_floating_point() or not left.numel() or left.ndim < 1:
                return None
            axis = unit_axis(layer, left.ndim) if left.ndim > 1 else 0
            if left.shape == self._channels[0] and not first.parameters:
                axis = self._channels[1]  # an activation's units are those of the layer before
            self._channels = (left.shape, axis)
            takes = first.enters and entered is not None
            if takes and entered is not None:
                self._kept[1].append(entered)
            self._kept[2].append(left)
            if self._found is not None:
                live = first if times == 1 else first.twin(f"{first.name} ({ordinal(times)} call)")
                self._found.append(Place(live, path, axis, takes, left is output))
                return None
            return left + next(self._probes) if self.places[len(self._kept[2]) - 1].graded else None

        return hook


def _without_probes(graph: GraphModule) -> GraphModule:
    """The same program without what was there for the trace alone: -0.0 that is added, copies of the input.

    It stays as it is where anything but an input is written over, which may be what is kept.
    """
    written = []
    for node in graph.graph.nodes:
        if isinstance(node.target, OpOverload) and node.target._schema.is_mutable:
            pairs = zip(node.args, node.target._schema.arguments, strict=False)
            written += [a for a, known in pairs if known.alias_info is not None and known.alias_info.is_write]
    if not all(isinstance(a, Node) and a.op == "placeholder" for a in written):
        return graph
    for node in graph.graph.nodes:
        source = node.args[0] if node.args else None
        if not isinstance(source, Node) or source in written:
            continue
        probed = node.target is aten.add.Tensor and _is_probe(node.args[1]) and _shape(node) == _shape(source)
        if probed or (node.target is aten.clone.default and source.op == "placeholder"):
            node.replace_all_uses_with(source)
    graph.graph.eliminate_dead_code()
    return graph


def _is_probe(value: object) -> bool:
    if not isinstance(value, Node) or value.target is not aten.new_full.default:
        return False
    number = value.args[2]
    return isinstance(number, float) and number == 0 and math.copysign(1, number) < 0


def _shape(node: Node) -> object:
    return node.meta["val"].shape if isinstance(node.meta.get("val"), Tensor) else None


def _key(tensors: Sequence[Tensor]) -> object:
    return tensors[-2].shape, tensors[-1].shape


def _shapes(tensors: Sequence[Tensor]) -> object:
    return tensors[-2].shape[1:], tensors[-1].shape[1:]
