"""Short trainings on copies of a network: which learning rates carry it."""

import contextlib
import inspect
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.faults.fault import FAULTS, Finding, finding
from trainsmith.inspection.passes.copying import copy_of
from trainsmith.inspection.passes.double import doubled
from trainsmith.inspection.passes.given import called, count, some
from trainsmith.inspection.passes.record import Loss, cuda_devices, loss_value, reason_of
from trainsmith.inspection.passes.telling import tell
from trainsmith.network.host import seeded_host

FACTORS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""What the learning rate is multiplied with, one short training each."""
FURTHEST = 1e5
"""So far, either way, it is looked for a rate that learns where those do not, or learn best at their ends."""
STEPS, MEASURED = 50, 10
"""Steps of a short training, and how many of them are measured: a rate too high soon leaves weights large or dead."""
LEFT = 0.25
"""Share of the best fall of the loss below which the learning rate is too far from the best."""
TOO_SMALL_UPDATE, TOO_LARGE_UPDATE = 3e-4, 3e-3
"""Update over weight, a step, beyond which a rate may be far too low or high; around 1e-3 is the rule of thumb."""
BEST = 3
"""How many of the rates that end best are tried as remedies."""
LEARNS = 0.05
"""Share of the first loss that the best of the rates must take off for the sweep to say anything."""
CLIPPED = ("optimizer=clip-by-norm",)
"""What is tried against a rate that is too high where the sweep knows no better one."""


@dataclass(frozen=True)
class Short:
    """One short training: its losses, and update over weight: the mean over the first steps of the median of matrices.

    The mean over steps, since a rate that kills every unit in one step leaves no more to update in the next.
    """

    losses: list[float]
    update: float

    @property
    def end(self) -> float:
        """The mean of the last fifth of the losses, infinite if one is not finite."""
        last = self.losses[-max(1, len(self.losses) // 5) :]
        return statistics.fmean(last) if all(map(math.isfinite, self.losses)) else math.inf


def train(
    module: nn.Module, optimizer: torch.optim.Optimizer, x: Any, y: Any, loss: Loss | None, size: int, steps: int,
    until: float | None = None, what: str = "a short training", rows_of: Callable[[int], Tensor] | None = None,
) -> Short:  # fmt: skip
    """Train `module` for `steps` steps on batches of `size`, or until a loss is below `until` times a first above 0.

    Module and optimizer are changed. what: it is called to those who wait for it. rows_of: the examples of a step, in
    place of shuffled passes.
    """
    generator = torch.Generator().manual_seed(0)
    n, order = count(x), torch.empty(0, dtype=torch.long)
    matrices = [p for p in module.parameters() if p.ndim > 1 and p.requires_grad]
    losses, updates = [], []
    for step in range(steps):
        tell(f"{what}, step {step + 1} of {steps}")
        if rows_of is None and len(order) < min(size, n):
            order = torch.randperm(n, generator=generator)
        rows, order = (order[:size], order[size:]) if rows_of is None else (rows_of(step), order)
        optimizer.zero_grad()
        value = _loss_of_some(module, some(x, rows), None if y is None else y[rows], loss)
        losses.append(float(value.detach()))
        learned = until is not None and losses[-1] < until * losses[0] and losses[0] > 0
        if not math.isfinite(losses[-1]) or not value.requires_grad or learned:
            break
        value.backward()
        before = [p.detach().clone() for p in matrices] if step < MEASURED else None
        optimizer.step()
        if before:
            moved = [_ratio(p, b) for p, b in zip(matrices, before, strict=True) if b.norm() > 0]
            updates += [statistics.median(moved)] if moved else []
    return Short(losses, statistics.fmean(updates) if updates else math.nan)


def _loss_of_some(module: nn.Module, x: Any, y: Any, loss: Loss | None) -> Tensor:
    try:
        return loss_value(called(module, x), y, loss)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InvalidInput(f"a training step on {count(x)} of the examples fails: {reason_of(error)}.") from error


def _ratio(after: Tensor, before: Tensor) -> float:
    """In double precision, in which no square of a number overflows; infinite where that is not finite."""
    was = doubled(before)
    value = float((doubled(after.detach()) - was).norm() / was.norm())
    return value if math.isfinite(value) else math.inf


def check_closure(optimizer: object) -> None:
    """Raises InvalidInput for what is no optimizer, or cannot step without a closure, as torch's LBFGS."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = f"the class {optimizer.__name__}" if isinstance(optimizer, type) else type(optimizer).__name__
        raise InvalidInput(
            f"optimizer must be one that was made of the parameters, as Adam(network.parameters()); got {kind}."
        )
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise InvalidInput(
            f"{type(optimizer).__name__} wants a closure at each step, and cannot be tried on copies of the network: "
            "leave optimizer= out, or give another."
        )


def copied(module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Both, the second holding the parameters of the first. Raises InvalidInput where that cannot be done."""
    check_closure(optimizer)
    try:
        return copy_of(module, (module, optimizer))
    except Exception as error:
        raise InvalidInput(
            f"network and optimizer must allow copy.deepcopy, to be tried on copies: {error}."
        ) from error


@contextlib.contextmanager
def own_luck(module: nn.Module) -> Iterator[None]:
    """The random states of torch, on the module's devices too, of Python and NumPy fixed meanwhile, and put back."""
    devices = cuda_devices(module)
    with torch.random.fork_rng(devices=devices), seeded_host([0]):
        torch.default_generator.manual_seed(0)
        for device in devices:  # torch.manual_seed would seed all that there are
            torch.cuda.default_generators[device].manual_seed(0)
        yield


def of_learning_rate(
    module: nn.Module, optimizer: torch.optim.Optimizer, x: Any, y: Any, loss: Loss | None, size: int
) -> Iterator[Finding | str]:
    """The learning rate against a thousandth to a hundredfold of it, each in a short training on a copy; or why it is
    not judged.

    Of an optimizer that has one: without, or with None as its rate, there is nothing to judge.
    """
    if not all(isinstance(group.get("lr"), (int, float, Tensor)) for group in optimizer.param_groups):
        return

    def tried(factor: float) -> Short:
        network, rule = copied(module, optimizer)
        for group in rule.param_groups:
            group["lr"] = group["lr"] * factor
        with own_luck(module):
            return train(network.train(), rule, x, y, loss, size, STEPS, what=f"learning rate times {factor:g}")

    courses = {factor: tried(factor) for factor in FACTORS}
    own, rate = courses[1.0], float(optimizer.param_groups[0]["lr"])
    start = own.losses[0]
    if not math.isfinite(start):
        return
    for further in (10.0, 0.1):
        end = max(courses) if further > 1 else min(courses)
        while 1 / FURTHEST < end < FURTHEST and (further < 1 or math.isfinite(courses[end].end)):
            if start - courses[end].end < _best_fall(courses, start)[1] - LEARNS * abs(start):
                break
            end *= further
            courses[end] = tried(end)
    best, fall = _best_fall(courses, start)
    if not fall > LEARNS * abs(start):
        tried_rates = f"from {rate * min(courses):g} to {rate * max(courses):g}"
        if math.isinf(own.end) and own.update > TOO_LARGE_UPDATE:
            yield _diverged(rate, own, tried_rates)
            return
        yield (
            f"The learning rate {rate:g} is not judged: in {STEPS} steps none {tried_rates} takes {LEARNS:.0%} off the "
            f"loss; a step changes the weights by {own.update:.1g} of their length, where about 0.001 is usual."
        )
        return
    if start - own.end >= LEFT * fall:
        return
    high = best < 1
    if (high and own.update < TOO_LARGE_UPDATE) or (not high and own.update > TOO_SMALL_UPDATE):
        return
    short, limit = ("learning rate too high", TOO_LARGE_UPDATE) if high else ("learning rate too low", TOO_SMALL_UPDATE)
    words = (
        f"the learning rate {rate:g} is far too {'high' if high else 'low'}: in {STEPS} steps it takes the loss from "
        f"{start:.3g} to {own.end:.3g}, {rate * best:g} to {courses[best].end:.3g}; a step changes the weights by "
        f"{own.update:.1g} of their length, where about 0.001 is usual."
    )
    rates = tuple(f"optimizer=lr {rate * factor:g}" for factor in sorted(courses, key=lambda f: courses[f].end)[:BEST])
    remedies = (rates[0], FAULTS[short].remedies[1], *rates[1:])
    yield finding(short, "optimizer", "update over weight, a step", own.update, limit, words, remedies)


def _diverged(rate: float, own: Short, tried: str) -> Finding:
    """A rate at which the loss is soon not finite, where none that was tried learns."""
    words = (
        f"the learning rate {rate:g} is far too high: from {own.losses[0]:.3g} the loss is no longer finite after "
        f"{len(own.losses) - 1} steps, and none {tried} takes {LEARNS:.0%} off it in {STEPS}."
    )
    what = "update over weight, a step"
    return finding("learning rate too high", "optimizer", what, own.update, TOO_LARGE_UPDATE, words, CLIPPED)


def _best_fall(courses: Mapping[float, Short], start: float) -> tuple[float, float]:
    """The factor whose loss falls the furthest, and how far."""
    best = min(courses, key=lambda factor: courses[factor].end)
    return best, start - courses[best].end
