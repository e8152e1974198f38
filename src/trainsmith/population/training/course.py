"""The course of a training: its length, schedule and checks, the same for a population and for one alone."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainsmith.errors import whole
from trainsmith.luck import generator
from trainsmith.luck.widest import EVALUATED_AT_ONCE
from trainsmith.optimizer import Schedule
from trainsmith.population.members.attacked import scores_under_attack
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.member import Member
from trainsmith.population.members.objective import BalancedCrossEntropy
from trainsmith.population.members.task import Balanced, ByRobustAccuracy
from trainsmith.population.program.kernels import Rate
from trainsmith.population.program.stretch import in_stretches
from trainsmith.population.training.rates import Rates

CHECKED_ON = 1000
"""Validation examples of a check on the way, at most; at the end, and where training may stop early, it is all."""
STATISTICS_ON = (5, 100)
"""At most so many batches of so many training examples give an average of the weights its running statistics."""
FIRST_LOSSES = 10
"""How many first training losses a result keeps, for the receipt."""


@dataclass(frozen=True)
class Training:
    """How long and in what steps every run trains.

    steps: optimizer steps. batch_size: examples a step. checks: evaluations on the way, evenly spaced.
    schedule: the name of what the learning rate is multiplied by where the recipe has no schedule of its own, one of
    trainsmith.optimizer.SCHEDULES, or "plateau", which looks at each run's mean training loss between checks. warmup:
    the share of the steps in which it first rises linearly, for the schedules that have such a rise.
    """

    steps: int = 600
    batch_size: int = 16
    checks: int = 20
    warmup: float = 0.05
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checks"):
            object.__setattr__(self, name, whole(name.replace("_", " "), getattr(self, name)))
        object.__setattr__(self, "schedule", self._factor.name)  # an unknown one is refused now, not at the first step

    @functools.cached_property
    def _factor(self) -> Schedule:
        return Schedule(self.schedule, self.steps, self.warmup)

    def rate(self, step: int) -> float:
        """The factor on the learning rate at `step`, counted from 1."""
        return self._factor(step)

    def rates(self, members: Sequence[Learner]) -> Rates:
        """The factors of these members, which may come to differ; they are told the length of the training."""
        for member in members:
            member.length = self.steps
        schedules = [self.schedule_of(member) for member in members]
        looks = self.check_steps() if any(s.watches for s in schedules) else ()
        plateaus = [s.plateau() if s.watches else None for s in schedules]
        return Rates(schedules, self.steps, members, plateaus, looks)

    def schedule_of(self, member: Learner) -> Schedule:
        """The member's own schedule, or that of all."""
        return self._factor if member.schedule is None else Schedule.of(*member.schedule, self.steps)

    def check_steps(self) -> list[int]:
        """The steps after which the members are evaluated; the last step is one of them."""
        return sorted({round(self.steps * i / self.checks) for i in range(1, self.checks + 1)} - {0})


@dataclass
class Result:
    """What a run came to.

    status: "finished", "stopped" (early stopping) or "diverged" (a loss was not finite). score: the task's, such as
    accuracy, on the validation examples; nan if diverged. curve: (step, training loss,
    validation loss, validation score) at each check; before the last one on at most 1,000 of the validation examples,
    the same at each, unless training may stop early. state: the network's state_dict, where it was kept.
    """

    status: str = "finished"
    step: int = 0
    score: float = math.nan
    loss: float = math.nan
    curve: list[tuple[int, float, float, float]] = field(default_factory=list)
    first_losses: list[float] = field(default_factory=list)
    state: dict[str, np.ndarray] | None = None


class Trainer(Protocol):
    """Something that trains members: a chunk of a population, or one member alone."""

    members: list[Any]

    def ahead(self, number: int) -> int:
        """How many steps are best taken at once from step `number` on."""
        ...

    def stretch(self, number: int, rates: Sequence[Rate], x: Tensor, y: Tensor, chosen: Tensor) -> Tensor:
        """Several steps on the examples x[chosen], chosen (steps, members, batch), y (steps, members, ...): the losses
        (steps, members)."""
        ...

    def step(self, number: int, rate: Rate, x: Tensor, y: Tensor) -> Tensor:
        """One optimizer step on x (members, batch, ...), y (members, batch); each member's loss before it."""
        ...

    def outputs(self, x: Tensor) -> Tensor:
        """Network outputs in evaluation mode, (members, examples, outputs), for x (members, examples, ...)."""
        ...

    def numbers(self, x: Tensor) -> int:
        """How many the largest tensor of an evaluation has for one example (n, ...) of each member."""
        ...

    def refresh(self, x: Tensor) -> None:
        """Take the running statistics of the weights to evaluate from x (members, batches, n, ...), until a step."""
        ...

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of the state_dict of member k's network."""
        ...

    def keep(self, which: list[int]) -> None:
        """Go on with these members only."""
        ...


def train(
    trainer: Trainer,
    x: Tensor,
    y: Tensor,
    training: Training,
    keep_states: bool = False,
    advance: Callable[[int], None] = lambda member_steps: None,
) -> list[Result]:
    """Train every member of `trainer`; results in their order. Members that end early are taken out.

    x, y: the development examples and targets; x may have unlabelled examples behind those. advance: told of
    member-steps as they are done (and of those saved).
    """
    results = [Result() for _ in trainer.members]
    active = list(range(len(results)))
    rates = training.rates(trainer.members)
    done = 0
    for check in training.check_steps():
        total = torch.zeros(len(active), dtype=torch.float64)
        orders = [m.order(training.batch_size, check - done, done) for m in trainer.members]
        batches = torch.from_numpy(np.stack(orders, axis=1))
        targeted = trainer.members[0].targeted(training.batch_size)
        own = functools.partial(_own_targets, trainer.members)
        factors = functools.partial(rates, active=active)
        for step, losses in in_stretches(trainer, done + 1, factors, x, y, batches, targeted, own, bool(rates.looks)):
            total += losses.double().cpu()
            if rates.looks:
                rates.note(step, losses.tolist(), active)
            if step <= FIRST_LOSSES:
                for i, loss in zip(active, losses.tolist(), strict=True):
                    results[i].first_losses.append(loss)
        advance((check - done) * len(active))
        means = total / (check - done)
        done = check
        ended = _evaluate(trainer, x, y, [results[i] for i in active], check, means, keep_states, training.steps)
        if any(ended):
            left = [k for k, end in enumerate(ended) if not end]
            advance((training.steps - done) * (len(active) - len(left)))
            active = [active[k] for k in left]
            if not active:
                break
            trainer.keep(left)
    return results


def _evaluate(
    trainer: Trainer,
    x: Tensor,
    y: Tensor,
    results: Sequence[Result],
    step: int,
    means: Tensor,
    keep: bool,
    last: int,
) -> list[bool]:
    """Score every member at a check and note it; which of them have ended."""
    members = trainer.members
    final = [step == (m.ends or last) for m in members]
    if members[0].restated:
        trainer.refresh(x[torch.from_numpy(np.stack([statistics_on(m) for m in members]))])
    if isinstance(members[0].rules, ByRobustAccuracy):
        may_be_last = [f or m.stopping is not None for f, m in zip(final, members, strict=True)]
        validation = scores_under_attack(trainer, x, y, may_be_last)
    else:
        validation = _scores(trainer, x, y, np.stack([_checked_on(m, f) for f, m in zip(final, members, strict=True)]))
    some = any(len(m.watch) for m in members)
    watched = watched_losses(trainer, x, y, [m.watch for m in members]) if some else [math.nan] * len(members)
    ended = []
    for k, (member, result) in enumerate(zip(members, results, strict=True)):
        loss, score = validation[k]
        finite = math.isfinite(means[k]) and math.isfinite(loss)
        result.curve.append((step, float(means[k]) / member.networks, loss, score))
        result.step = step
        if not finite:
            result.status, result.score, result.loss, result.state = "diverged", math.nan, math.nan, None
            ended.append(True)
            continue
        best = member.stopping is None or member.stopping.update(watched[k])
        if best:
            result.score, result.loss = score, loss
            if keep and (member.stopping is not None or final[k]):
                result.state = {name: t.cpu().numpy() for name, t in trainer.state(k).items()}
        if member.stopping is not None and member.stopping.stop:
            result.status = "stopped"
        ended.append(result.status == "stopped" or final[k])
    return ended


def _checked_on(member: Member, final: bool) -> np.ndarray:
    """The validation examples that a check looks at."""
    if final or member.stopping is not None or member.ends is not None or len(member.validation) <= CHECKED_ON:
        return member.validation
    return generator(member.seed, "checks").permutation(member.validation)[:CHECKED_ON]


def statistics_on(member: Member) -> np.ndarray:
    """The training examples, (batches, n), that an average of the weights takes its running statistics from.

    Each network of an ensemble has its own, of those that it is trained on, side by side.
    """
    most, each = STATISTICS_ON
    parts = []
    for words, pool in member.samples or (((), member.train),):
        batches, n = max(1, min(most, len(pool) // each)), min(each, len(pool))
        order = generator(member.seed, *words, "statistics").permutation(pool)
        parts.append(order[: batches * n].reshape(batches, n))
    return np.hstack(parts)


def watched_losses(trainer: Trainer, x: Tensor, y: Tensor, examples: Sequence[np.ndarray]) -> list[float]:
    """The loss that early stopping watches, of every member on its own of `examples`."""
    rows = zip(trainer.members, *_outputs(trainer, x, y, np.stack(examples)), strict=True)
    return [_watched_loss(m, out, target) for m, out, target in rows]


def _watched_loss(member: Member, outputs: Tensor, targets: Tensor) -> float:
    """The score's loss; where classes are weighted, the one that is trained: that is what begins to rise."""
    loss = member.objective.loss
    if isinstance(loss, BalancedCrossEntropy) and not isinstance(member.rules, Balanced):
        return float(functional.cross_entropy(outputs, targets, loss.weight.to(outputs)))
    return member.rules.score(outputs, targets)[0]


def _scores(trainer: Trainer, x: Tensor, y: Tensor, chosen: np.ndarray) -> list[tuple[float, float]]:
    """(loss, score) of every member on its own examples `chosen`."""
    rows = zip(trainer.members, *_outputs(trainer, x, y, chosen), strict=True)
    return [m.rules.score(out, target) for m, out, target in rows]


def _outputs(trainer: Trainer, x: Tensor, y: Tensor, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    """Every member's outputs for its own examples `chosen`, and their targets."""
    index = torch.from_numpy(chosen)
    each = max(1, EVALUATED_AT_ONCE // max(1, trainer.numbers(x)))
    outputs = torch.cat([trainer.outputs(x[part]) for part in index.split(each, dim=1)], dim=1)
    return outputs, _targets(trainer.members, y[index])


def _own_targets(members: Sequence[Learner], y: Tensor) -> Tensor:
    """y (steps, members, n) in each member's own units."""
    return torch.stack([_targets(members, row) for row in y]) if y.is_floating_point() else y


def _targets(members: Sequence[Learner], y: Tensor) -> Tensor:
    """y (members, n) in each member's own units."""
    return torch.stack([m.targets(row) for m, row in zip(members, y, strict=True)]) if y.is_floating_point() else y
