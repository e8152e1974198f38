"""inspect: how signal and gradient pass through every layer of any module, and what is wrong with it."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput, whole
from trainsmith.inspection.course import Course, follow
from trainsmith.inspection.faults import held_back, setup, start, trials
from trainsmith.inspection.faults.fault import Finding
from trainsmith.inspection.faults.findings import of_layers
from trainsmith.inspection.faults.noise import NoiseScale, noise_scale, of_noise
from trainsmith.inspection.faults.one_batch import of_one_batch
from trainsmith.inspection.passes.given import check_made, count, read
from trainsmith.inspection.passes.plain import plain
from trainsmith.inspection.passes.record import Loss, Pass, record, untouched
from trainsmith.inspection.passes.telling import tell
from trainsmith.inspection.passes.threads import fitting_threads
from trainsmith.inspection.statistics.layers import LayerStatistics, measure

MOST_AT_ONCE = 128
"""Examples a step, at most, where copies are trained for a moment."""


@dataclass(frozen=True)
class Inspection:
    """Every layer's statistics in the order of the data's way, the loss, what is wrong, and the course of a training
    if one was asked for; its findings come after those of the start.

    batches: of how many of a loader's batches the examples are; None where one batch was given. unjudged: what could
    not be judged, and why.
    """

    layers: tuple[LayerStatistics, ...]
    findings: tuple[Finding, ...]
    loss: float
    examples: int
    noise: NoiseScale | None = None
    course: Course | None = None
    batches: int | None = None
    unjudged: tuple[str, ...] = ()

    @property
    def seen(self) -> str:
        """What was looked at, in words."""
        of = "" if self.batches is None else f", {self.batches} batch{'es' if self.batches > 1 else ''} of the loader"
        return f"{self.examples} examples{of}"

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows; numbers that are not finite become None."""
        return plain(self)


def inspect(
    module: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    validation: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    every: int | None = None,
) -> Inspection:
    """Pass `batch` forward and backward through `module` in training mode, and measure every layer.

    batch: inputs (n, ...), or (inputs, targets); inputs may be several in a tuple, or a mapping of arguments by name.
    loss: loss(outputs, targets) -> scalar; by default cross-entropy for class indices, squared error for numbers, and
    half the sum of squares without targets. optimizer: that of the training; its state is looked at, and its learning
    rate tried against others on copies. validation: (inputs, targets) held back from training, to see whether
    they are apart from the batch and whether what is learned holds for them. batch_size: examples a step of the
    training, by default the whole batch. steps: train a copy for so many, and measure it at every `every`-th, see
    `follow`. The module stays exactly as it was: weights, gradients, running statistics, flags, random state; so does
    the optimizer.

    Raises InvalidInput for an empty batch, one the module cannot take, a module that returns no tensor, steps below 1,
    or an optimizer that wants a closure at each step.
    """
    steps, every = (None if n is None else whole(name, n) for name, n in (("steps", steps), ("every", every)))
    batch_size = None if batch_size is None else whole("batch_size", batch_size)
    check_made(module)
    if optimizer is not None:
        trials.check_closure(optimizer)
    x, y = read(batch)
    examples = count(x)
    size = examples if batch_size is None else min(batch_size, examples)
    with fitting_threads(module, x, min(size, MOST_AT_ONCE)):
        found = _start(module, x, y, loss, optimizer, validation, size)
    if steps is None:
        return found
    return followed(
        found, module, (x, y) if y is not None else x, loss, steps=steps, every=every, optimizer=optimizer,
        batch_size=batch_size,
    )  # fmt: skip


def inspect_network(module: nn.Module, batch: Any, loss: Loss | None) -> Inspection:
    """What there is to see of a network and a batch alone: no optimizer, no held-back data, no batch size; nor the
    noise scale, which takes longer than the rest."""
    x, y = read(batch)
    return _start(module, x, y, loss, None, None, count(x), noisy=False)


def _start(
    module: nn.Module,
    x: Any,
    y: Tensor | None,
    loss: Loss | None,
    optimizer: torch.optim.Optimizer | None,
    validation: Any,
    size: int,
    noisy: bool = True,
) -> Inspection:
    """All but the course. size: of a training's batches. noisy: whether the noise scale is measured."""
    training, examples = {m: m.training for m in module.modules()}, count(x)
    tell(f"a pass of {examples} examples")
    with untouched(module):
        seen = record(module, x, y, loss)
        layers = measure(seen)  # calls layers on probes, which must leave no trace either
        noise = noise_scale(module, x, y, loss) if seen.calls and noisy else None
    with untouched(module):  # anew: the pass above has moved the averages of batch norms
        differing = list(setup.of_evaluation(module, x, y, loss, training))
    if not seen.calls:
        raise InvalidInput("the network has no layers that can be watched: it holds no submodules that return tensors.")
    broken = list(start.of_data(x, y))
    unjudged: tuple[str, ...] = ()
    found = broken or [
        *of_layers(layers, examples),
        *start.of_inputs(seen),
        *start.of_first_loss(seen, y, loss),
        *start.of_linear_chains(seen),
        *setup.of_parameters(module, seen, optimizer),
        *setup.of_batch_norms(seen, training, size),
        *start.of_likeness(seen),
        *differing,
    ]
    if not broken:
        if all(f.short == "wrong initial loss" for f in found):  # else gradients say little of batches
            found += of_noise(noise, size, start.share_left(seen, y, loss))
        explained = any(f.short != "wrong initial loss" for f in found)
        tried = list(_tried(module, seen, x, y, loss, optimizer, validation, size))
        unjudged = tuple(t for t in tried if isinstance(t, str))
        found += [t for t in tried if isinstance(t, Finding)]
        if optimizer is not None and not explained:  # else that is why
            found += of_one_batch(module, x, y, loss)
    places = {layer.name: i for i, layer in enumerate(layers)}
    ordered = tuple(sorted(found, key=lambda f: places.get(f.layer, len(places))))
    return Inspection(_with_verdicts(layers, ordered), ordered, seen.loss, examples, noise, unjudged=unjudged)


def followed(inspection: Inspection, module: nn.Module, batch: Any, loss: Loss | None, **how: Any) -> Inspection:
    """The inspection with the course of a training of a copy; how: see `follow`."""
    start = tuple(f for f in inspection.findings if f.step is None)
    course = follow(module, batch, loss, start=start, **how)
    return dataclasses.replace(inspection, findings=(*start, *course.findings), course=course)


def _tried(
    module: nn.Module,
    seen: Pass,
    x: Any,
    y: Tensor | None,
    loss: Loss | None,
    optimizer: torch.optim.Optimizer | None,
    validation: Any,
    size: int,
) -> Iterable[Finding | str]:
    """What is seen by training copies for a moment, and by looking at optimizer and held-back data; or why nothing."""
    found: list[Finding | str] = []
    if optimizer is not None:
        broken = list(setup.of_optimizer(module, optimizer))
        found += broken or trials.of_learning_rate(module, optimizer, x, y, loss, min(size, MOST_AT_ONCE))
    if validation is not None:
        held = read(validation)
        found += held_back.of_splits(x, held)
        if y is not None and held[1] is not None:
            found += held_back.of_labels(module, x, y, (held[0], held[1]), loss, size)
    return found


def _with_verdicts(layers: list[LayerStatistics], found: Iterable[Finding]) -> tuple[LayerStatistics, ...]:
    short: dict[str, list[str]] = {}
    for finding in found:
        short.setdefault(finding.layer, []).append(finding.short)
    return tuple(dataclasses.replace(m, verdict=", ".join(short.get(m.name, ["healthy"]))) for m in layers)
