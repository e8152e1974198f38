"""Measuring a network while its owner trains it: hooks on the measured steps, nothing but a count on the others."""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.fault import Finding, finding
from trainsmith.inspection.findings import of_layers
from trainsmith.inspection.live import DEAD_AFTER, LiveLayer, WatchedLayer, unit_axis
from trainsmith.inspection.moved import Moved, WatchedParameter, twin_share
from trainsmith.inspection.record import first_tensor, leaves, ordinal

MOST_KEPT = 128
"""So many measured steps are kept; when there are more, every second one is, from the first on."""
AT_ONCE = ("not finite", "optimizer's state not finite")
"""Findings told the first time. Any other must be there at two measured steps in a row: one batch may be odd."""
FAST = 0.1
"""Updates of weight matrices larger than this share of the weights, at two measured steps in a row."""


class FindingWarning(UserWarning):
    """A finding, while the network trains."""


@dataclass(frozen=True)
class Measurement:
    """What one step showed: its number from 0, each layer in the order of the data's way, each parameter.

    input: mean and spread of the network's input, NaN where it holds whole numbers.
    """

    step: int
    input: tuple[float, float]
    layers: tuple[WatchedLayer, ...]
    parameters: tuple[WatchedParameter, ...]


class Watch:
    """Measures every `every`-th optimizer step from the first on, between `start` and `stop`.

    A step's first forward pass in training is measured with its gradients; parameters' gradients are those that the
    step used, of all its passes. The network, its training and torch's random numbers are not touched.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 16, warn: bool = True) -> None:
        if not isinstance(model, nn.Module):
            raise InvalidInput(f"watch needs a network (torch.nn.Module) first; got {type(model).__name__}.")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InvalidInput(f"watch needs the training's torch optimizer second; got {type(optimizer).__name__}.")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise InvalidInput(f"every must be a whole number of steps, at least 1; got {every!r}.")
        self._moved = Moved(model, optimizer)
        if not self._moved.named:
            raise InvalidInput(
                "the optimizer holds none of the network's trainable parameters: pass the one it trains with."
            )
        self.model, self.optimizer, self.every, self.warn = model, optimizer, every, warn
        self.steps = 0
        self.measurements: list[Measurement] = []
        self.findings: tuple[Finding, ...] = ()
        self._stride, self._count = 1, 0
        self._before: set[tuple[str, str]] = set()
        self._live: dict[str, LiveLayer] = {}
        self._called: list[LiveLayer] = []
        self._times: dict[str, int] = {}
        self._passes = 0
        self._input: LiveLayer | None = None
        self._channels: tuple[tuple[int, ...], int] = ((), 1)
        self._hooks = contextlib.ExitStack()
        self._steps = contextlib.ExitStack()

    def start(self) -> Self:
        """Begin; the next step is measured."""
        self._steps.callback(self.optimizer.register_step_pre_hook(self._before_step).remove)
        self._steps.callback(self.optimizer.register_step_post_hook(self._after_step).remove)
        self._attach()
        return self

    def stop(self) -> None:
        """Take every hook away. What was measured stays."""
        self._steps.close()
        self._hooks.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def layers(self) -> tuple[WatchedLayer, ...]:
        """The layers at the last measured step."""
        return self.measurements[-1].layers if self.measurements else ()

    @property
    def parameters(self) -> tuple[WatchedParameter, ...]:
        """The parameters at the last measured step."""
        return self.measurements[-1].parameters if self.measurements else ()

    def _attach(self) -> None:
        self._called, self._times, self._passes = [], {}, 0
        self._input = None
        self._hooks.callback(self.model.register_forward_pre_hook(self._begin, with_kwargs=True).remove)
        for name, layer in leaves(self.model):
            self._hooks.callback(layer.register_forward_pre_hook(self._enter(name), with_kwargs=True).remove)
            self._hooks.callback(layer.register_forward_hook(self._leave(name)).remove)

    def _measuring(self) -> bool:
        """Whether this is the step's first pass in training, and no backward pass that runs a layer once more."""
        backward = torch._C._current_graph_task_id() != -1
        return self._passes <= 1 and self.model.training and torch.is_grad_enabled() and not backward

    def _begin(self, model: nn.Module, inputs: Any, named: Any) -> None:
        if not (model.training and torch.is_grad_enabled()) or torch._C._current_graph_task_id() != -1:
            return
        self._passes += 1
        given = first_tensor((inputs, named))
        if self._passes == 1 and given is not None and given.is_floating_point() and given.ndim and len(given):
            self._input = self._live.setdefault("", LiveLayer("", nn.Identity()))
            self._input.leave(given, min(1, given.ndim - 1))

    def _enter(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, named: Any) -> None:
            if self._measuring():
                times = self._times.get(name, 0) + 1
                label = name if times == 1 else f"{name} ({ordinal(times)} call)"
                if label not in self._live:
                    self._live[label] = LiveLayer(label, layer)
                self._live[label].enter(first_tensor((inputs, named)))

        return hook

    def _leave(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if not self._measuring():
                return
            times = self._times[name] = self._times.get(name, 0) + 1
            live = self._live[name if times == 1 else f"{name} ({ordinal(times)} call)"]
            left = first_tensor(output)
            if left is None or not left.is_floating_point() or not left.numel() or left.ndim < 1:
                return
            axis = unit_axis(layer, left.ndim) if left.ndim > 1 else 0
            if left.shape == self._channels[0] and not any(True for _ in layer.parameters()):
                axis = self._channels[1]  # an activation's units are those of the layer before
            self._channels = (tuple(left.shape), axis)
            live.leave(left, axis)
            self._called.append(live)
            if left.requires_grad:
                left.register_hook(live.back)

        return hook

    def _before_step(self, *_: Any) -> None:
        if self.steps % self.every == 0:
            self._moved.before()

    def _after_step(self, *_: Any) -> None:
        if self.steps % self.every == 0:
            self._hooks.close()
            self._collect()
        self.steps += 1
        if self.steps % self.every == 0:
            self._attach()

    def _collect(self) -> None:
        """Everything of this step comes to the host in one go."""
        moved = self._moved.after()
        called = [c for c in ([self._input] if self._input else []) + self._called if c.vector is not None]
        nothing = torch.full((1,), float("nan"), device=moved.device)
        pieces: list[Tensor] = [moved]
        for live in called:
            twins = twin_share(live.layer)
            assert live.vector is not None
            pieces += [live.vector, nothing if live.gradient is None else live.gradient]
            pieces.append(nothing * 0 if twins is None else twins.reshape(1))
        numbers = torch.cat([p.to(moved.device, torch.float32) for p in pieces]).tolist()
        parameters = self._moved.read(numbers[: len(moved)])
        layers, at = [], len(moved)
        for live in called:
            assert live.vector is not None
            end = at + len(live.vector)
            twins = numbers[end + 1]
            layers.append(live.read(numbers[at:end], numbers[end], twins if twins > 0 else 0.0))
            live.vector, at = None, end + 2
        given = layers.pop(0) if self._input else None
        place = (given.mean, given.std) if given else (float("nan"), float("nan"))
        self._keep(Measurement(self.steps, place, _related(layers, place[1]), parameters))

    def _keep(self, measured: Measurement) -> None:
        if (self._count - 1) % self._stride:
            self.measurements.pop()  # it was there only as the last one
        self.measurements.append(measured)
        if len(self.measurements) > MOST_KEPT:
            self.measurements, self._stride = [*self.measurements[:-1:2], measured], 2 * self._stride
        self._count += 1
        self._tell(measured)

    def _tell(self, measured: Measurement) -> None:
        found = [*findings_of(measured)]
        now = {(f.short, f.layer) for f in found}
        told = {(f.short, f.layer) for f in self.findings}
        for f in found:
            key = (f.short, f.layer)
            if key not in told and (f.short in AT_ONCE or key in self._before):
                self.findings += (f,)
                if self.warn:
                    warnings.warn(
                        f"step {measured.step}: {f.words}", FindingWarning, stacklevel=6
                    )  # the line that called step()
        self._before = now


def _related(layers: list[WatchedLayer], spread: float) -> tuple[WatchedLayer, ...]:
    """The layers with their ratios: to the layer before, to the input, and of gradients to the last."""
    last = next((m.gradient for m in reversed(layers) if m.gradient == m.gradient), float("nan"))
    out, before = [], float("nan")
    for m in layers:
        out.append(replace(
            m, variance_ratio=_ratio(m.std**2, before), input_ratio=_ratio(m.std**2, spread**2),
            gradient_ratio=_ratio(m.gradient, last),
        ))  # fmt: skip
        before = m.std**2
    return tuple(out)


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference > 0 else float("nan")


def findings_of(measured: Measurement) -> list[Finding]:
    """What one measured step says: of layers as `inspect` judges them, of parameters and the optimizer's state."""
    found: list[Finding] = []
    if measured.layers:
        examples = min(DEAD_AFTER, max(m.examples for m in measured.layers))
        found += of_layers(measured.layers, examples if examples >= DEAD_AFTER else 0)
    for p in measured.parameters:
        if not p.finite or not p.gradient_finite:
            what = "gradient" if p.finite else "parameter"
            words = f"{p.name}: the {what} holds NaN or infinity."
            found.append(finding("not finite", p.name, f"finite {what}", float("nan"), 1.0, words))
        if not p.state_finite:
            words = f"{p.name}: what the optimizer remembers of it holds NaN or infinity."
            found.append(finding("optimizer's state not finite", p.name, "finite state", float("nan"), 1.0, words))
        if len(p.shape) > 1 and p.update_ratio > FAST:
            words = (
                f"{p.name}: one step moved it by {p.update_ratio:.0%} of its norm; about 0.1 % is usual, "
                f"more than {FAST:.0%} is too fast."
            )
            found.append(finding("learning rate too high", p.name, "update / weight", p.update_ratio, FAST, words))
    return found
