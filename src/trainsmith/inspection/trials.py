"""Short trainings on copies of a network: which learning rates carry it, and whether what it learns holds."""

import contextlib
import copy
import inspect
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.fault import Finding, finding
from trainsmith.inspection.given import called, count, over, tensors
from trainsmith.inspection.prepared import with_dense_gradients
from trainsmith.inspection.record import Loss, first_tensor, loss_value
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
LEARNS = 0.05
"""Share of the first loss that the best of the rates must take off for the sweep to say anything."""


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
    until: float | None = None,
) -> Short:  # fmt: skip
    """Train `module` for `steps` steps on batches of `size`, or until a loss is below `until` times a first above 0.

    Module and optimizer are changed.
    """
    generator = torch.Generator().manual_seed(0)
    n, order = count(x), torch.empty(0, dtype=torch.long)
    matrices = [p for p in module.parameters() if p.ndim > 1 and p.requires_grad]
    losses, updates = [], []
    for step in range(steps):
        if len(order) < min(size, n):
            order = torch.randperm(n, generator=generator)
        rows, order = order[:size], order[size:]
        picked, targets = over(x, lambda t, rows=rows: t[rows]), None if y is None else y[rows]  # type: ignore[misc]
        optimizer.zero_grad()
        value = loss_value(called(module, picked), targets, loss)
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


def _ratio(after: Tensor, before: Tensor) -> float:
    """In double precision, in which no square of a number overflows; infinite where that is not finite."""
    value = float((after.detach().double() - before.double()).norm() / before.double().norm())
    return value if math.isfinite(value) else math.inf


def check_closure(optimizer: torch.optim.Optimizer) -> None:
    """Raises InvalidInput for an optimizer that cannot step without a closure, as torch's LBFGS."""
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
        return copy.deepcopy((module, optimizer))
    except Exception as error:
        raise InvalidInput(
            f"network and optimizer must allow copy.deepcopy, to be tried on copies: {error}."
        ) from error


@contextlib.contextmanager
def own_luck() -> Iterator[None]:
    """The random states of torch, Python and NumPy fixed meanwhile, and put back."""
    with torch.random.fork_rng(devices=[]), seeded_host([0]):
        torch.manual_seed(0)
        yield


def of_learning_rate(
    module: nn.Module, optimizer: torch.optim.Optimizer, x: Any, y: Any, loss: Loss | None, size: int
) -> Iterator[Finding]:
    """The learning rate against a hundredth to a hundredfold of it, each in a short training on a copy."""

    def tried(factor: float) -> Short:
        network, rule = copied(module, optimizer)
        for group in rule.param_groups:
            group["lr"] = group["lr"] * factor
        with own_luck():
            return train(network.train(), rule, x, y, loss, size, STEPS)

    courses = {factor: tried(factor) for factor in FACTORS}
    own, rate = courses[1.0], float(optimizer.param_groups[0]["lr"])
    start = own.losses[0]
    if not math.isfinite(start):
        return
    for further in (10.0, 0.1):
        end = max(courses) if further > 1 else min(courses)
        while 1 / FURTHEST < end < FURTHEST:
            if start - courses[end].end < _best_fall(courses, start)[1] - LEARNS * abs(start):
                break
            end *= further
            courses[end] = tried(end)
    best, fall = _best_fall(courses, start)
    if not fall > LEARNS * abs(start) or start - own.end >= LEFT * fall:
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
    yield finding(short, "optimizer", "update over weight, a step", own.update, limit, words)


def _best_fall(courses: Mapping[float, Short], start: float) -> tuple[float, float]:
    """The factor whose loss falls the furthest, and how far."""
    best = min(courses, key=lambda factor: courses[factor].end)
    return best, start - courses[best].end


FITTED_EXAMPLES, FITTING_STEPS = 512, 250
LEARNED = 0.02
"""Share of the first loss at which a batch counts as learned, and the fitting ends."""
AGREEMENT = 3.0
"""Standard errors by which predictions for held-back examples must agree with their targets better than by chance."""
SECOND = 4.0
"""From so many on trees say that there is a signal, though the network found none: chance does so once in 30,000."""
HELD_EXAMPLES = 30
"""Fewer held-back examples than these say nothing."""


def of_labels(
    module: nn.Module, x: Any, y: Tensor, validation: tuple[Any, Tensor], loss: Loss | None, size: int
) -> Iterator[Finding]:
    """Whether what a copy learns of a few examples holds for those held back, better than chance does."""
    held, truth = validation
    if truth.shape[1:] != y.shape[1:] or truth.is_floating_point() != y.is_floating_point():
        raise InvalidInput(
            f"held-back targets must be like the batch's, {tuple(y.shape)} of {y.dtype}; got {tuple(truth.shape)} of "
            f"{truth.dtype}."
        )
    if len(truth) < HELD_EXAMPLES or y.ndim > 2 or (y.ndim == 2 and not y.is_floating_point()):
        return
    few, targets = over(x, lambda t: t[:FITTED_EXAMPLES]), y[:FITTED_EXAMPLES]
    best: tuple[float, nn.Module] | None = None
    for rate in (1e-3, 1e-2):
        network = with_dense_gradients(copy.deepcopy(module)).train()
        trained = [p for p in network.parameters() if p.requires_grad]
        if not trained:
            return
        with own_luck():
            done = train(
                network, torch.optim.Adam(trained, rate), few, targets, loss, min(size, 64), FITTING_STEPS, LEARNED
            )
        if best is None or done.end < best[0]:
            best = (done.end, network)
    assert best is not None
    with torch.no_grad():
        try:
            seen, unseen = (first_tensor(called(best[1].eval(), inputs)) for inputs in (few, held))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InvalidInput(f"the network cannot take the held-back inputs: {str(error).splitlines()[0]}") from error
    if seen is None or unseen is None or len(unseen) != len(truth):
        return
    fitted, agreement = _agreement(seen, targets), _agreement(unseen, truth)
    if not fitted > 2 * AGREEMENT or agreement > AGREEMENT:
        return
    others = _agreement(trees(few, targets, held), truth)
    if others > SECOND:  # the network cannot make use of a signal that is there
        return
    words = (
        f"labels carry no signal: the network learns {count(few)} examples (it agrees with their targets by "
        f"{fitted:.1f} standard errors more than by chance), but of {count(held)} held back only by "
        f"{agreement:.1f}; less than {AGREEMENT:g} is chance. Trees grown on the same examples agree by {others:.1f}, "
        f"where {SECOND:g} would speak against it."
    )
    yield finding("labels carry no signal", "targets", "agreement, standard errors", agreement, AGREEMENT, words)


def trees(x: Any, y: Tensor, held: Any) -> Tensor:
    """What extremely randomized trees say of `held` that were grown on x and y: shares of classes, or numbers.

    They take any numbers, of any scale, and need no setting: a second opinion on whether there is something to learn.
    Source: Geurts, Ernst & Wehenkel 2006, Extremely randomized trees.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    a, b = (torch.cat([t.detach().cpu().flatten(1).float() for t in tensors(v)], 1).nan_to_num() for v in (x, held))
    known = y.detach().cpu().numpy()
    if y.is_floating_point():
        wanted = known if y[0].numel() > 1 else known.reshape(-1)  # a single column is asked for as a plain list
        grown = ExtraTreesRegressor(random_state=0).fit(a, wanted).predict(b)
        return torch.from_numpy(grown).reshape(len(b), *y.shape[1:])
    forest = ExtraTreesClassifier(random_state=0).fit(a, known)
    shares = torch.zeros(len(b), int(known.max()) + 1)
    shares[:, torch.from_numpy(forest.classes_)] = torch.from_numpy(forest.predict_proba(b)).float()
    return shares


def _agreement(outputs: Tensor, y: Tensor) -> float:
    """Standard errors by which predictions agree with targets beyond what their frequencies alone give.

    Numbers: sqrt(n) times their correlation. Classes: with p_k and q_k the shares of class k among predictions and
    targets, pairing them at random lets a share e = sum_k p_k q_k agree, of variance
    (sum_k p_k q_k (1 - p_k) (1 - q_k) + sum_{k != l} p_k q_k p_l q_l) / (n - 1), that of a table with fixed margins.
    """
    n = len(y)
    if y.is_floating_point():
        pair = torch.stack([outputs.reshape(y.shape).flatten().double(), y.flatten().double()])
        value = float(torch.corrcoef(pair)[0, 1])
        return 0.0 if math.isnan(value) else value * n**0.5
    guess, classes = outputs.argmax(-1), int(max(outputs.shape[-1], int(y.max()) + 1))
    p, q = (torch.bincount(v, minlength=classes).double() / n for v in (guess, y))
    e = (p * q).sum()
    variance = ((p * q * (1 - p) * (1 - q)).sum() + e**2 - (p * q).square().sum()) / (n - 1)
    a = (guess == y).double().mean()
    return float((a - e) / variance.sqrt()) if variance > 0 else 0.0


REPEATED, TIMES = 0.01, 3
"""Share of held-back examples that may be among the trained ones, or so many times the share of trained ones that are
there twice, if that is more; and at least so many of them."""


def of_splits(x: Any, validation: tuple[Any, Any]) -> Iterator[Finding]:
    """Held-back examples that are among those trained on, more than repetitions among these explain."""
    trained, held = (rows_of(inputs) for inputs in (x, validation[0]))
    known = set(trained)
    repeated = 1 - len(known) / len(trained)
    both = sum(row in known for row in held)
    allowed = max(REPEATED, TIMES * repeated)
    if both < TIMES or both <= allowed * len(held):
        return
    share = both / len(held)
    words = (
        f"{both:,} of {len(held):,} held-back examples ({share:.1%}) are also among those trained on, where "
        f"{repeated:.1%} of these are there twice; up to {allowed:.1%} would be no surprise."
    )
    yield finding("leak between the splits", "inputs", "repeated examples", share, allowed, words)


def rows_of(inputs: Any) -> list[bytes]:
    """Each example's numbers as bytes."""
    numbers = (t.detach().cpu().reshape(len(t), -1).contiguous() for t in tensors(inputs))
    parts = [t.view(torch.uint8).numpy() for t in numbers]  # NumPy does not have every type
    return [b"".join(part[i].tobytes() for part in parts) for i in range(len(parts[0]))]
