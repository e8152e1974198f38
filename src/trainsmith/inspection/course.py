"""A training under inspection: a copy is trained, measured at a cadence, and looked at again in the end."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainsmith.errors import InvalidInput, whole
from trainsmith.inspection.faults.fault import Finding, finding
from trainsmith.inspection.faults.findings import of_layers
from trainsmith.inspection.faults.trials import copied, own_luck, train
from trainsmith.inspection.passes.functions import functions_seen
from trainsmith.inspection.passes.given import count, read, some
from trainsmith.inspection.passes.record import Loss, record
from trainsmith.inspection.passes.threads import fitting_threads
from trainsmith.inspection.statistics.layers import LayerStatistics, measure
from trainsmith.inspection.watching.watch import Measurement, Watch

MEASURED = 16
"""So many measured steps, where no cadence is given."""
RATE = 1e-3
"""Adam's learning rate, where no optimizer is given."""
CALMER = ("optimizer=lr", "optimizer=clip-by-norm")
"""What is tried against a loss that does not stay finite."""
LOOKED_AT = 1000
"""Examples that the trained copy is looked at with, at most."""


@dataclass(frozen=True)
class Course:
    """What a training of `steps` steps showed, measured at every `every`-th.

    losses: of each step's batch, fewer than `steps` where one was not finite. measurements: of the measured steps, as
    `watch` takes them. after: the layers of the trained copy, measured as those of the start. findings: what was not
    there at the start, each with the step at which it was first seen. gone: findings of the start that are no longer
    there in the end, as pairs of their short name and layer; none where loss or layers did not stay finite.
    """

    steps: int
    every: int
    batch_size: int
    optimizer: str
    losses: tuple[float, ...]
    measurements: tuple[Measurement, ...]
    after: tuple[LayerStatistics, ...]
    findings: tuple[Finding, ...]
    gone: tuple[tuple[str, str], ...]


def follow(
    module: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    steps: int,
    every: int | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    batch_size: int | None = None,
    start: tuple[Finding, ...] = (),
) -> Course:
    """Train a copy of `module` for `steps` steps on `batch`, and measure it at every `every`-th.

    optimizer: that of the training, of which a copy is taken; Adam without one. batch_size: examples a step, by default
    64. every: by default a sixteenth of the steps. start: what was found before. The module stays as it was.
    Raises InvalidInput for a number of steps, or of steps between two measurements, below 1.
    """
    steps = whole("steps", steps)
    cadence = max(1, steps // MEASURED) if every is None else whole("every", every)
    batch_size = 64 if batch_size is None else whole("batch_size", batch_size)
    x, y = read(batch)
    size = min(batch_size, count(x))
    if optimizer is None:
        optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad] or _nothing(), RATE)
    network, rule = copied(module, optimizer)
    watch = _Followed(network, rule, cadence, warn=False)
    with fitting_threads(network, x, size):
        with own_luck(network), watch:
            losses = train(network.train(), rule, x, y, loss, size, steps, what="the training").losses
        after = _looked_at(network, x, y, loss)
    stopped = _stopped(losses)
    left = () if stopped else of_layers(after, min(count(x), LOOKED_AT))
    found = [*watch.findings, *stopped, *(dataclasses.replace(f, step=steps) for f in left)]
    known = {(f.short, f.layer) for f in start}
    new: dict[tuple[str, str], Finding] = {}
    for f in sorted(found, key=lambda f: f.step or 0):
        if (f.short, f.layer) not in known:
            new.setdefault((f.short, f.layer), f)
    still, layers = {(f.short, f.layer) for f in left}, {m.name for m in after}
    finished = not stopped and all(m.finite for m in after)
    asked = ((f.short, f.layer) for f in start if finished and f.short in OF_LAYERS and f.layer in layers)
    gone = tuple(k for k in asked if k not in still)
    rate = rule.param_groups[0].get("lr")
    told = type(rule).__name__ + ("" if rate is None else f", learning rate {float(rate):g}")
    kept = tuple(watch.measurements)
    return Course(steps, cadence, size, told, tuple(losses), kept, after, tuple(new.values()), gone)


OF_LAYERS = ("signal vanishes", "signal explodes", "gradient vanishes", "gradient explodes", "dead units", "saturated",
             "symmetric units", "not finite")  # fmt: skip
"""Findings that the trained copy's layers are asked for again."""


class _Followed(Watch):
    """A watch that sees the activation functions called in forward too, as the rows of an inspection do."""

    def _attach(self) -> None:
        super()._attach()
        self._hooks.enter_context(functions_seen(self.model, self._enter, self._leave))


def _nothing() -> list[Any]:
    raise InvalidInput("the network has no parameter to train: each has requires_grad=False, or there is none.")


def _stopped(losses: list[float]) -> list[Finding]:
    if math.isfinite(losses[-1]):
        return []
    at = len(losses) - 1
    before = f", {losses[at - 1]:.3g} a step before" if at else ""
    words = f"the loss is {losses[-1]} at step {at}{before}: the training ends there."
    found = finding("not finite", "loss", "finite loss", losses[-1], 1.0, words, CALMER)
    return [dataclasses.replace(found, step=at)]


def _looked_at(network: nn.Module, x: Any, y: Any, loss: Loss | None) -> tuple[LayerStatistics, ...]:
    few = some(x, slice(LOOKED_AT))
    with own_luck(network):
        return tuple(measure(record(network, few, None if y is None else y[:LOOKED_AT], loss)))
