"""A population: many networks trained as one program, usable by itself."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput, whole
from trainsmith.optimizer import Optimizer
from trainsmith.population.crew import Crew
from trainsmith.population.hire import hire
from trainsmith.population.members.asked import batch, check_classes, copied, places, usable_device
from trainsmith.population.members.held_values import HeldValues
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.objective import predictions
from trainsmith.population.members.orders import examples_of
from trainsmith.population.members.several import for_each_network, networks_in
from trainsmith.population.program.kernels import Rate
from trainsmith.population.program.reasons import fits
from trainsmith.population.recruits import Loss, Networks, recruit
from trainsmith.population.training.observer import Observer
from trainsmith.population.training.rates import Rates, Scheduled, rates_of
from trainsmith.population.training.verify import TOLERANCE, Batch, compared

LOOKED_AT_EVERY = 25
"""Steps between looks at the losses of members: one that is no longer finite is taken out."""
REPLAYED_STEPS = 10
REPLAYED_MEMBERS = 3


@dataclass
class Fit:
    """What a training came to.

    losses: (steps, members), each member's loss on its batch before each step; nan after a member was taken out.
    ended: the step after which a member was taken out because its loss was no longer finite. seconds: wall
    time. deviation: the receipt, how far members replayed alone deviated in their first losses, relatively;
    tolerance: how much of that rounding explains.
    """

    losses: Tensor
    seconds: float
    ended: dict[int, int] = field(default_factory=dict)
    deviation: float = math.nan
    tolerance: float = TOLERANCE

    def final(self, steps: int = 20) -> Tensor:
        """Each member's mean loss over the last `steps` steps (members,)."""
        return self.losses[-steps:].mean(0)


class Population:
    """Networks with the same structure, or several structures, trained side by side as batched programs.

    network: a function that makes a fresh network, called once for each member with its seed, or a list of
    networks. members: how many; needless where a list says it. optimizer: one of trainsmith's, by name or class.
    loss: a function of outputs and targets, "cross-entropy" or "mse"; by default what suits the targets; or a list of
    such, one a member.
    regularizers: penalties, constraints, augmentations and the like of trainsmith.regularization, such as
    [L2(1e-4), MaxNorm(3.0)], or their names, for all members; or a list of such lists, one a member. With the name of
    an ensemble each member is one, of several networks. Layers belong into the network.
    clipping: what clips the gradients, such as ClipByNorm(1.0), or its name; or a list of such, one a member.
    seeds: one a member (default 0, 1, 2 ...), or one for all; a seed draws a member's weights, batches and noise.
    device: where to train. threads: how many chunks of members train at once (default one a core; 1 on a GPU).
    Further arguments are hyper-parameters of the optimizer or arguments of the factory: one value, or one a member.

    Raises InvalidInput where these do not fit together.

    >>> import torch, trainsmith
    >>> x = torch.randn(256, 8); y = (x.sum(1) > 0).long()
    >>> def network():
    ...     return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    >>> population = trainsmith.Population(network, lr=[1e-4, 1e-3, 1e-2])
    >>> fit = population.fit(x, y, steps=100, batch_size=32)
    >>> fit.losses.shape, int(fit.final().argmin())
    (torch.Size([100, 3]), 2)
    >>> best = population.member(2)    # an ordinary nn.Module
    """

    def __init__(
        self,
        network: Networks,
        members: int | None = None,
        *,
        optimizer: str | type[Optimizer] = "adam",
        loss: Loss | Sequence[Loss] = None,
        regularizers: Sequence[Any] | None = None,
        clipping: Any = None,
        seeds: int | Sequence[int] | None = None,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        **hyperparameters: Any,
    ) -> None:
        self._recruits = recruit(network, members, optimizer, loss, seeds, hyperparameters, regularizers, clipping)
        self.seeds = list(self._recruits.seeds)
        self._takes_unlabelled = any(map(self._unlabelled, range(len(self.seeds))))
        self.device = usable_device(device)
        self.threads = None if threads is None else whole("threads", threads)
        self.steps = self._outputs = 0
        self._crew: Crew | None = None
        self.learners: list[Learner] = []
        self._observer: Observer | None = None
        self._held = HeldValues(self._recruits.networks, self._recruits.losses)

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def plan(self) -> str:
        """How the members are packed, in one line; known once there was data to try them on."""
        return str(self._crew) if self._crew is not None else "not packed yet: it has seen no data"

    @property
    def active(self) -> list[int]:
        """The members still training."""
        return self._crew.active if self._crew is not None else list(range(len(self)))

    def observe(self, observer: Observer | None) -> None:
        """Have this one told of every step, in place of who was before."""
        self._observer = observer
        if self._crew is not None:
            self._crew.observe(observer)

    def observe_no_more(self, observer: Observer) -> None:
        """Have this one told nothing, if it is the one that is told."""
        if self._observer is observer:
            self.observe(None)

    def step(self, x: Tensor, y: Tensor, *, each: bool = False, rate: float = 1.0) -> Tensor:
        """One optimizer step of every member; each one's loss before it (members,), nan where it was taken out.

        x (n, ...), y (n, ...): one batch for all members; with each=True one for each, x (members, n, ...). Where
        regularizers learn from unlabelled examples, x may have such behind those that y is of.
        rate: a factor on every learning rate, for a schedule.
        """
        x, y = (for_each_network(self._recruits.ensemble, t, int(each)) for t in self._given(x, y, each))
        crew = self._ready(x[0] if each else x, y[0] if each else y, steps=1)
        self.steps += 1
        losses = crew.step(self.steps, rate, x, y, each) / networks_in(self._recruits.ensemble)
        self._held.note()
        return losses

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        steps: int,
        batch_size: int | None = 64,
        *,
        schedule: Scheduled | Sequence[Scheduled] = None,
        examples: Sequence[Any] | None = None,
        unlabelled: Tensor | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Fit:
        """Train every member for `steps` steps on batches of the examples x (n, ...), y (n, ...).

        A member's batches are shuffled passes over its examples, drawn from its seed; with batch_size None it
        takes all at every step. schedule: step from 1 -> factor on the learning rate, or a name of
        trainsmith.optimizer.SCHEDULES, which runs over these `steps` steps; or a Plateau, which looks at each member's
        own mean training loss every 25 steps; or a list of such, one a member. examples: for each member the indices
        it may see, or a mask (n,), all in number alike (a bootstrap, a fold). unlabelled: further inputs (m, ...)
        without targets, for regularizers that learn from such; besides these they see the inputs x. advance: told of
        member-steps done. Members whose loss is
        no longer finite are taken out; the others are not touched by it.
        """
        (x, y), steps = self._given(x, y, each=False), whole("steps", steps)
        if unlabelled is not None and not self._takes_unlabelled:
            raise InvalidInput("none of the regularizers learns from unlabelled examples: leave unlabelled= out.")
        further = range(len(x), len(x) + (0 if unlabelled is None else len(unlabelled)))
        counts = [self._unlabelled(k) for k in range(len(self))]
        orders, n = examples_of(
            self.seeds,
            len(x),
            None if batch_size is None else whole("batch_size", batch_size, 2),
            range(self.steps, self.steps + steps),
            examples,
            counts,
            further,
            self._recruits.ensemble,
        )
        x = x if unlabelled is None else torch.cat([x, unlabelled.to(x)])
        first_batch = orders[0].between(0, 1)[0, :n]
        crew = self._ready(x[first_batch], y[first_batch], steps)
        self._check_classes(y)
        witnesses = self._witnesses() if self.steps == 0 else []
        started, first = time.perf_counter(), self.steps
        rates = self._rates(schedule, first, steps)
        early = {k: [rates(s + 1, [k]) for s in range(min(steps, REPLAYED_STEPS))] for k in witnesses}
        losses, ended = crew.train(x, y, orders, n, first, rates, steps, LOOKED_AT_EVERY, advance or (lambda n: None))
        self.steps += steps
        self._held.note()
        seconds = time.perf_counter() - started
        fit = Fit(losses, seconds, {k: first + s for k, s in ended.items()})
        for k in witnesses:
            chosen = orders[k].between(0, len(early[k]))

            def course(rates: Sequence[Rate] = early[k], chosen: np.ndarray = chosen) -> Iterator[Batch]:
                return ((rate, x[o], y[o[:n]]) for rate, o in zip(rates, chosen, strict=True))

            self._verify(fit, k, course, len(early[k]))
        fit.losses /= networks_in(self._recruits.ensemble)
        if fit.deviation > fit.tolerance:
            warnings.warn(
                f"members trained alone deviate by {fit.deviation:.1e} from the same members in the population, more "
                f"than rounding explains ({fit.tolerance:.0e}): do not trust this training, and please report it.",
                stacklevel=2,
            )
        return fit

    def _rates(self, schedule: Scheduled | Sequence[Scheduled], first: int, steps: int) -> Rates:
        """The factors on the learning rates at each of `steps` steps after the first `first`."""
        for learner in self.learners:
            learner.length = first + steps
        looks = range(LOOKED_AT_EVERY, steps + 1, LOOKED_AT_EVERY)
        return rates_of(schedule, self.learners, first, steps, looks)

    def outputs(self, x: Tensor) -> Tensor:
        """Every member's outputs in evaluation mode (members, n, ...) for the examples x (n, ...)."""
        x = x.to(self.device)
        if self._crew is None:
            return torch.stack([_evaluated(self.member(k), x) for k in range(len(self))])
        return self._crew.outputs(x, lambda k, x: _evaluated(self.member(k), x))

    def member(self, k: int) -> nn.Module:
        """Member k as an ordinary module of its own, with the weights it has now."""
        if not -len(self) <= k < len(self):
            raise InvalidInput(f"there are {len(self)} members, 0 to {len(self) - 1}; got {k}.")
        k %= len(self)
        module = copied(self._recruits.networks[k]).to(self.device)
        return module if self._crew is None else self._crew.taken(k, module)

    def keep(self, which: Sequence[int]) -> None:
        """Train on with these members only, by their places; the others stay as they are and cost no more time."""
        chosen = places(which, len(self))
        if self._crew is None:
            raise InvalidInput("the population has not trained yet; make it with fewer members instead.")
        self._crew.keep(chosen)

    def _given(self, x: Tensor, y: Tensor, each: bool) -> tuple[Tensor, Tensor]:
        classes = any(loss in (None, "cross-entropy") for loss in self._recruits.losses)
        pair = batch(x, y, len(self), each, self._takes_unlabelled, classes)
        x, y = (t.to(self.device).contiguous() for t in pair)
        return x, y

    def _check_classes(self, y: Tensor) -> None:
        for loss in {type(learner.objective.loss): learner.objective.loss for learner in self.learners}.values():
            check_classes(loss, y, self._outputs)

    def _unlabelled(self, k: int) -> int:
        """How many unlabelled examples member k takes for each labelled one."""
        return max((getattr(r, "unlabelled", 0) for r in self._recruits.regularizers[k]), default=0)

    def _ready(self, x: Tensor, y: Tensor, steps: int) -> Crew:
        if self._crew is None:
            learners = self._recruits.learners(x, y)
            for learner in learners:
                learner.objective.to(self.device)
            few, losses = 2 * learners[0].networks, {*map(id, self._recruits.losses)}
            for learner in learners if len(losses) > 1 else learners[:1]:
                self._outputs = fits(learner.objective, x[:few], y[:few])
            self.learners = learners
            self._check_classes(y)
            self._crew = hire(learners, x, y, steps, self.threads)
            self._crew.observe(self._observer)
        self._held.check(self._crew.loops)
        if self._crew.broken:
            raise InvalidInput(
                "a step was broken off, so that members have not had equally many: make the population anew to train; "
                "member(k) and outputs(x) give what there is."
            )
        return self._crew

    def _witnesses(self) -> list[int]:
        """Members to replay alone: the last one, and others spread over the population."""
        return sorted({len(self) - 1 - (len(self) * i) // REPLAYED_MEMBERS for i in range(REPLAYED_MEMBERS)})

    def _verify(self, fit: Fit, k: int, course: Callable[[], Iterator[Batch]], steps: int) -> None:
        """Replay a member alone, and put its deviation into the receipt if it is the worst so far."""
        losses = fit.losses[:steps, k].tolist()
        found, limit = compared(lambda: self._learner(k, *next(course())[1:]), lambda learner: course(), losses)
        if math.isnan(fit.deviation) or found / limit > fit.deviation / fit.tolerance:
            fit.deviation, fit.tolerance = found, limit

    def _learner(self, k: int, x: Tensor, y: Tensor) -> Learner:
        """Member k as it was at the start."""
        (learner,) = self._recruits.only(k).learners(x, y)
        learner.objective.to(self.device)
        learner.length = self.learners[k].length
        return learner


@torch.no_grad()
def _evaluated(module: nn.Module, x: Tensor) -> Tensor:
    return predictions(module.eval()(x.clone()))  # which the network may write to
