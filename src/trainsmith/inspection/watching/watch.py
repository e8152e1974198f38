"""Measuring a network while its owner trains it: hooks on the measured steps, nothing but a count on the others."""

import contextlib
import sys
import warnings
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput, whole
from trainsmith.inspection.faults.fault import Finding, summed
from trainsmith.inspection.passes.given import check_made
from trainsmith.inspection.passes.record import first_tensor, in_backward, in_transform, leaves, ordinal
from trainsmith.inspection.statistics.sampling import Sampled
from trainsmith.inspection.watching.collect import Room, Step, collect
from trainsmith.inspection.watching.hung import Hung
from trainsmith.inspection.watching.live import LiveLayer, WatchedLayer, unit_axis
from trainsmith.inspection.watching.log import Log
from trainsmith.inspection.watching.measurement import Measurement, findings_of
from trainsmith.inspection.watching.moved import Move, Moved, WatchedParameter
from trainsmith.inspection.watching.snapshot import Later
from trainsmith.inspection.watching.waiting import Shelf

TOGETHER = 8
"""So many measured steps are read together, in little more time than one, or fewer where a close look comes."""


class FindingWarning(UserWarning):
    """A finding, while the network trains."""


class Watch:
    """Measures every `every`-th optimizer step from the first on, between `start` and `stop`.

    A step's first forward pass in training is measured with its gradients; parameters' gradients are those that the
    step used, of all its passes. The network, its training and torch's random numbers are not touched. together: so
    many measured steps may wait for each other, none beyond a close look; those that show NaN or infinity do not.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 16, warn: bool = True,
        together: int = TOGETHER,
    ) -> None:  # fmt: skip
        if not isinstance(model, nn.Module):
            raise InvalidInput(f"watch needs a network (torch.nn.Module) first; got {type(model).__name__}.")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InvalidInput(f"watch needs the training's torch optimizer second; got {type(optimizer).__name__}.")
        every = whole("every", every)
        check_made(model)
        self._moved, self._together = Moved(model, optimizer, together), together
        if not self._moved.trained.named:
            raise InvalidInput(
                "the optimizer holds none of the network's trainable parameters: pass the one it trains with."
            )
        self.model, self.optimizer, self.every, self.warn = model, optimizer, every, warn
        self.steps = 0
        self._log = Log[Later]()
        self._waiting: list[tuple[Step, Move, bool]] = []
        self.listeners: list[Callable[[Measurement, tuple[Finding, ...]], None]] = []  # told of steps and new findings
        self._closely = True
        self._live: dict[str, LiveLayer] = {}
        self._called: list[LiveLayer] = []
        self._times: dict[str, int] = {}
        self._passes = 0
        self._input = Sampled()
        self._given = False
        self._room, self._shelf = Room(), Shelf(together)
        self._channels: tuple[tuple[int, ...], int] = ((), 1)
        self._layers: list[tuple[str, nn.Module]] = []
        self._hung = Hung()
        self._hooks = contextlib.ExitStack()
        self._steps = contextlib.ExitStack()

    def start(self) -> Self:
        """Begin; the next step whose number is a multiple of `every` is measured, at first the very next."""
        self._expect()
        self._steps.callback(self.optimizer.register_step_pre_hook(self._before_step).remove)
        self._steps.callback(self.optimizer.register_step_post_hook(self._after_step).remove)
        if self.steps % self.every == 0:
            self._attach()
        return self

    def stop(self) -> None:
        """Take every hook away. What was measured stays."""
        try:
            self._tell()
        finally:
            self._steps.close()
            self._hooks.close()

    def at_stop(self, call: Callable[[], object]) -> None:
        """Have this called when the watch stops."""
        self._steps.callback(call)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> Log[Later]:
        """What was seen so far."""
        self._tell()
        return self._log

    @property
    def measurements(self) -> list[Measurement]:
        """The measured steps that are kept, the last of all among them."""
        return [later.made() for later in self.log.measurements]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings so far, in the order in which they were told."""
        return self.log.findings

    @property
    def layers(self) -> tuple[WatchedLayer, ...]:
        """The layers at the last measured step."""
        return last[-1].made().layers if (last := self.log.measurements) else ()

    @property
    def parameters(self) -> tuple[WatchedParameter, ...]:
        """The parameters at the last measured step."""
        return last[-1].made().parameters if (last := self.log.measurements) else ()

    def _attach(self) -> None:
        """Hang the hooks up; where the network may have got other layers since, it is searched for them."""
        self._hooks.close()
        layers = [*leaves(self.model)] if self._closely else self._layers
        if layers == self._layers and layers:
            self._hooks.callback(self._hung.off)
            self._hung.on()
            return
        self._layers, self._hung = layers, Hung()
        self._hooks.callback(self._hung.off)
        self._hung.before(self.model, self._begin)
        for name, layer in layers:
            if self._known(name, layer).enters:
                self._hung.before(layer, self._enter(name))
            self._hung.behind(layer, self._leave(name))

    def _expect(self) -> None:
        """The next step is to be measured."""
        self._forget()
        self._closely = self._log.closely(self.steps)
        if self._closely and not self._moved.are_still(self.model):  # layers were thawed, or came
            self._tell()
            self._moved = Moved(self.model, self.optimizer, self._together)

    def _forget(self) -> None:
        """No pass is the next step's yet."""
        self._called, self._times, self._passes, self._given = [], {}, 0, False

    def _dropped(self) -> bool:
        """Whether nothing is left of the gradients of the passes so far, as where a GradScaler left out the step."""
        return any(live.graded for live in self._called) and not self._moved.graded()

    def _known(self, name: str, layer: nn.Module, times: int = 1) -> LiveLayer:
        """What is remembered of the layer's call of this number within a pass."""
        label = name if times == 1 else f"{name} ({ordinal(times)} call)"
        live = self._live.get(label)
        if live is None or live.layer is not layer:
            first = self._live.get(name)
            known = first is not None and first.layer is layer  # the network runs: no layer is tried out now
            live = self._live[label] = first.twin(label) if known and first is not None else LiveLayer(label, layer)
        return live

    def _measuring(self) -> bool:
        """Whether this is the step's first pass in training."""
        return self._passes <= 1 and self._training()

    def _training(self) -> bool:
        """Whether it trains: no backward pass that runs a layer once more, nor one whose gradient is taken inside."""
        return self.model.training and torch.is_grad_enabled() and not in_backward() and not in_transform()

    def _begin(self, model: nn.Module, inputs: Any, named: Any) -> None:
        if not self._training():
            return
        if self._passes and self._dropped():
            self._forget()
        self._passes += 1
        given = _first(inputs, named)
        if self._passes == 1 and given is not None and given.is_floating_point() and given.ndim and given.numel():
            self._input.take(given)
            self._given = True

    def _enter(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, named: Any) -> None:
            if self._measuring():
                live = self._known(name, layer, self._times.get(name, 0) + 1)
                live.enter(_first(inputs, named), self._closely)

        return hook

    def _leave(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if not self._measuring():
                return
            times = self._times[name] = self._times.get(name, 0) + 1
            live = self._known(name, layer, times)
            left = output if isinstance(output, Tensor) else first_tensor(output)
            if left is None or not left.is_floating_point() or not left.numel() or left.ndim < 1:
                return
            axis = unit_axis(layer, left.ndim) if left.ndim > 1 else 0
            if left.shape == self._channels[0] and not live.parameters:
                axis = self._channels[1]  # an activation's units are those of the layer before
            self._channels = (left.shape, axis)
            live.leave(left, axis, self._closely)
            self._called.append(live)
            if left.requires_grad:
                live.follow(left)

        return hook

    def _before_step(self, *_: Any) -> None:
        if self.steps % self.every == 0:
            self._moved.before(self._closely)

    def _after_step(self, *_: Any) -> None:
        measured = self.steps % self.every == 0
        if measured:
            if self.every > 1:
                self._hooks.close()
            self._collect()
        self.steps += 1
        if self.steps % self.every == 0:
            self._expect()
            if self.every > 1 or self._closely:
                self._attach()

    def _collect(self) -> None:
        given = self._input if self._given else None
        step = self._shelf.step(self.steps, self._called, given, self._closely)
        move = self._moved.after(self._closely)
        if self._waiting and not (step.as_before(self._waiting[0][0]) and move.as_before(self._waiting[0][1])):
            self._tell()
        self._waiting.append((step, move, self._passes > 1))
        if step.closely or step.new or len(self._waiting) >= self._shelf.together or not move.sound():
            self._tell()

    def _tell(self) -> None:
        """What the steps that wait say."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        steps, moves, several = zip(*waiting, strict=True)
        snapshots, calm = collect(steps, moves, self._moved, self._room)
        for step, snapshot, nothing, passes in zip(steps, snapshots, calm.tolist(), several, strict=True):
            later = Later(snapshot, 0)
            self._log.keep(later, step.closely)
            new = self._log.tell(step.number, [] if nothing else findings_of(later.made(), passes), step.closely)
            for _, words in summed(new) if self.warn else ():
                warnings.warn(f"step {step.number}: {words}", FindingWarning, stacklevel=_depth())
            for listener in self.listeners:
                listener(later.made(), new)


def _depth() -> int:
    """How far up the line is that called step(), or asked: the first that is not ours, nor torch's."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("trainsmith", "torch"):
        depth, frame = depth + 1, frame.f_back
    return depth


def _first(inputs: Any, named: Any) -> Tensor | None:
    """The first tensor among arguments; mostly it is the first argument."""
    return inputs[0] if inputs and isinstance(inputs[0], Tensor) else first_tensor((inputs, named))
