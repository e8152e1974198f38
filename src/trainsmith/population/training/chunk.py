"""A chunk: members of one bucket stacked into tensors and trained together as one batched program."""

import copy
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainsmith.luck import noise_keys
from trainsmith.population.members.learner import Learner
from trainsmith.population.program import stretch
from trainsmith.population.program.bucket import bucket_key
from trainsmith.population.program.kernels import Rate
from trainsmith.population.program.program import Program, Unbatchable
from trainsmith.population.program.stretch import Pace, Stretch, batch, one_by_one
from trainsmith.population.program.tensors import stack
from trainsmith.population.program.unlocked import Inexpressible
from trainsmith.population.program.update import Beside, Numbers, Update, select

if TYPE_CHECKING:
    from trainsmith.population.training.observer import Observer

COMPACT_BELOW = 0.75
"""Members that ended are taken out of the tensors once the share still training falls to this."""


class Chunk:
    """Members with equal structure and different numbers, trained together.

    x, y: two examples or more (n, ...) to try the network on. program: one made for an equal chunk, whose
    traces can be used again. Raises ValueError if two members differ in structure (promise: nothing is
    silently shared), Unbatchable if the network cannot be batched.
    """

    def __init__(self, members: Sequence[Learner], x: Tensor, y: Tensor, program: Program | None = None) -> None:
        self.members = list(members)
        if len({bucket_key(m, x, y) for m in self.members}) > 1:
            raise ValueError("members of one population must have equal structural signatures")
        first = self.members[0]
        self.rule = first.rule
        self.program = program or Program(first.objective)
        few = 2 * first.networks
        some = x[:few].clone()  # which a network may write to
        self.places = self.program.places(some, first.targets(y[:few]))
        self.observer: Observer | None = None
        self._rows = list(range(len(self.members)))
        self._seeds = [m.seed for m in self.members]
        self._pace = Pace()
        self._stretch: Stretch | None = None
        self._refreshed: list[Tensor] | None = None
        self._to_score: tuple[list[Tensor], list[Tensor]] | None = None
        self._lay_out(some, y[:few])

    def _lay_out(self, x: Tensor, y: Tensor) -> None:
        """Stacked tensors (K, ...) for weights, gradients and what the rule keeps.

        A tensor's axes lie in memory in the order in which the program returns its gradient, so that it is
        written without being transposed.
        """
        parameters, self.buffers = stack([m.objective for m in self.members])
        targets = torch.stack([m.targets(y) for m in self.members])
        keys = self._keys(0, x)
        inputs = x.expand(len(self.members), *x.shape)
        self.gradients = self.program.laid(self.program.preflight(parameters, self.buffers, keys, inputs, targets))
        self.parameters = [torch.empty_like(g).copy_(p) for g, p in zip(self.gradients, parameters, strict=True)]
        names, first = self.program.parameter_names, self.members[0]
        spared, outside = ([i for i, n in enumerate(names) if n in them] for them in (first.spared, first.outside))
        beside = self._beside()
        self._update = Update(
            self.rule, self._numbers(), self.parameters, self.gradients, *beside, spared=spared, outside=outside
        )

    def prepare(self, x: Tensor, y: Tensor) -> None:
        """Make the program for batches like x (K, n, ...), y (K, n, ...); nothing is trained."""
        (x, y), keys = self._filled(x, y), self._keys(0, x)
        self.program.prepare(self.parameters, self.buffers, keys, x, y, self.gradients)
        if self.observer is not None:
            self.observer.prepare(self, keys, x, y)

    def _filled(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x, y of the active members with something in the rows of those that ended."""
        if len(self._rows) == len(self._seeds):
            return x, y
        return _spread(x, self._rows, len(self._seeds)), _spread(y, self._rows, len(self._seeds))

    def _rates(self, rate: Rate) -> Rate:
        """Each active member's rate in its row; what all have alike stays one number."""
        if not isinstance(rate, list):
            return rate
        if len(set(rate)) == 1:
            return rate[0]
        rates = [0.0] * len(self._seeds)
        for row, own in zip(self._rows, rate, strict=True):
            rates[row] = own
        return rates

    def _keys(self, number: int, x: Tensor) -> Tensor:
        return noise_keys(self._seeds, number, self.places).to(x.device)

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """The first and the second half of the members, in chunks of their own, at the same step."""
        half = len(self.members) // 2
        first, second = copy.copy(self), copy.copy(self)
        for part, which in ((first, range(half)), (second, range(half, len(self.members)))):
            part._update = copy.copy(self._update)
            part.members = [self.members[k] for k in which]
            part._rows = [self._rows[k] for k in which]
            part._compact()
        return first, second

    @property
    def rows(self) -> list[int]:
        """Where in the stacked tensors each member's are."""
        return self._rows

    @property
    def kept(self) -> list[list[Tensor]]:
        """What the rule keeps of each parameter, stacked likewise."""
        return self._update.kept

    def _numbers(self) -> Numbers:
        return {n: [m.numbers[n] for m in self.members] for n in self.members[0].numbers}

    def _beside(self) -> tuple[Beside, Beside]:
        """What clips the gradients and what averages the weights, each with its numbers."""
        clipping, average = self.members[0].clipping, self.members[0].average
        limits = {n: [m.limits[n] for m in self.members] for n in self.members[0].limits}
        averages = [m.average.numbers for m in self.members if m.average is not None]
        numbers = {n: [own[n] for own in averages] for n in averages[0]} if averages else {}
        return (clipping, limits) if clipping else None, (type(average), numbers) if average else None

    def step(self, number: int, rate: Rate, x: Tensor, y: Tensor) -> Tensor:
        """One optimizer step of every member on its examples x (K, n, ...), y (K, n); the losses (K,) before it.

        number: the step, from 1. rate: the schedule's factor on the learning rate, for all or for each member.
        """
        x, y = self._filled(x, y)
        keys = self._keys(number, x)
        self._refreshed = self._to_score = None
        looked = None if self.observer is None else self.observer.before(self, number, keys, x, y)
        losses = looked.losses if looked is not None else None
        with torch.no_grad():
            losses = self._pass(keys, x, y) if losses is None else losses
            self._update(number, self._rates(rate), self.members[0].length)
            self._take_snapshot(number)
        if looked is not None:
            looked.after()
        return losses if len(self._rows) == len(self._seeds) else losses[self._rows]

    def ahead(self, number: int) -> int:
        """How many steps are best taken at once from `number` on; 1 where that spares nothing, or cannot be done."""
        plain = self.program.unlocked and self._update.alone is not None and not self.members[0].takes_snapshots
        unseen = stretch.MOST if self.observer is None else self.observer.next(number) - number
        return max(1, min(self._pace.ahead, unseen)) if plain else 1

    def stretch(self, number: int, rates: Sequence[Rate], x: Tensor, y: Tensor, chosen: Tensor) -> Tensor:
        """The steps number, number + 1 ..., as many as rates, on the examples x[chosen]; the losses (steps, K) before.

        x: all examples (n, ...). y: the targets of each step (steps, K, ...). chosen: (steps, K, batch), or (steps,
        batch): the same for all. The bits are those of single steps.
        """
        run = self._several(*self._filled(batch(x, chosen[0], len(self.members)), y[0]))
        if run is None:
            return one_by_one(self, number, rates, x, y, chosen)
        if len(self._rows) < len(self._seeds):
            y = self._filled_steps(y)
            chosen = self._filled_steps(chosen) if chosen.ndim == 3 else chosen
        self._refreshed = self._to_score = None
        keys = torch.stack([self._keys(number + s, x) for s in range(len(rates))])
        factors = [self._update.took(number + s, self._rates(rate)) for s, rate in enumerate(rates)]
        started = time.perf_counter()
        losses = run(number, factors, keys, x, y, chosen)
        self._pace.note(len(rates), time.perf_counter() - started)
        return losses if len(self._rows) == len(self._seeds) else losses[:, self._rows]

    def _filled_steps(self, t: Tensor) -> Tensor:
        """t (steps, active, ...) with something in the rows of members that ended."""
        return _spread(t.movedim(1, 0), self._rows, len(self._seeds)).movedim(0, 1).contiguous()

    def _several(self, x: Tensor, y: Tensor) -> Stretch | None:
        """What takes several steps on batches like x (rows, n, ...), y, where TorchScript can."""
        tensors = self.parameters, self.buffers, self.gradients
        line, kernel = self.program.line(*tensors[:2], self._keys(0, x), x, y, self.gradients), self._update.alone
        if line is None or kernel is None:
            return None
        if self._stretch is None or self._stretch.line is not line:
            try:
                self._stretch = Stretch(line, kernel, *tensors)
            except Inexpressible:
                return None
        return self._stretch

    def _pass(self, keys: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The losses of all rows; the gradients lie where the update reads them."""
        before = [b.clone() for b in self.buffers] if x.device.type != "cpu" else None
        try:
            return self.program.run(self.parameters, self.buffers, keys, x, y, self.gradients)
        except torch.OutOfMemoryError:
            for b, was in zip(self.buffers, before or [], strict=bool(before)):
                b.copy_(was)
            raise

    def _take_snapshot(self, number: int) -> None:
        """Keep the weights of snapshot ensembles where a cycle ends."""
        which = self.members[0].snapshot_due(number)
        if which is None:
            return
        names = self.program.parameter_names + self.program.buffer_names
        tensors = dict(zip(names, [*self.parameters, *self.buffers], strict=True))
        for name, t in tensors.items():
            if name.startswith("network.live."):
                tensors[f"network.taken.{which}.{name.removeprefix('network.live.')}"].copy_(t)
        tensors["network.count"].fill_(which + 1)

    def outputs(self, x: Tensor) -> Tensor:
        """Network outputs in evaluation mode (K, n, outputs) for each member's own examples x (K, n, ...)."""
        rows = torch.tensor(self._rows)
        parameters, buffers = ([t[rows] for t in tensors] for tensors in self._evaluated())
        with torch.no_grad():
            return self.program.outputs(parameters, buffers, x)

    def numbers(self, x: Tensor) -> int:
        """How many the largest tensor of an evaluation has for one example (n, ...) of each member."""
        return self.program.numbers(x, len(self.members))

    def _evaluated(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and buffers to evaluate and export, made once between two steps."""
        if self._to_score is None:
            buffers = self.buffers if self._refreshed is None else self._refreshed
            self._to_score = self.program.scored(self._update.evaluated(), buffers)
        return self._to_score

    def refresh(self, x: Tensor) -> None:
        """Take the running statistics of the weights to evaluate from x (K, batches, n, ...), until the next step."""
        if len(self._rows) < len(self._seeds):
            x = _spread(x, self._rows, len(self._seeds))
        with torch.no_grad():
            weights = self._update.evaluated()
            self._refreshed = self.program.statistics(weights, self.buffers, self._keys(0, x), x)
            self._to_score = None

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of the state_dict of member k's network, for an ordinary nn.Module."""
        tensors = self.tensors(k)
        return {n: tensors[first].clone() for n, first in self.program.stored.items()}

    def tensors(self, k: int) -> dict[str, Tensor]:
        """A copy of every parameter and buffer of member k's network, by name."""
        row, prefix = self._rows[k], "network."
        names = self.program.parameter_names + self.program.buffer_names
        weights, buffers = self._evaluated()
        own = zip(names, [*weights, *buffers], strict=True)
        return {n.removeprefix(prefix): t[row].clone().contiguous() for n, t in own if n.startswith(prefix)}

    @property
    def bytes(self) -> int:
        """Memory of what stays from step to step: weights, buffers, gradients, what the rule keeps."""
        kept = [t for tensors in (*self._update.kept, self._update.averages) for t in tensors]
        return sum(t.numel() * t.element_size() for t in (*self.parameters, *self.buffers, *self.gradients, *kept))

    def keep(self, which: list[int]) -> None:
        """Go on with the members `which` only; what the others cost is saved as soon as enough have ended."""
        self.members = [self.members[k] for k in which]
        self._rows = [self._rows[k] for k in which]
        if len(self._rows) <= COMPACT_BELOW * len(self._seeds):
            self._compact()

    def _compact(self) -> None:
        """Take the rows of members that ended out of every tensor."""
        rows = torch.tensor(self._rows)
        self.parameters, self.gradients = ([select(t, rows) for t in ts] for ts in (self.parameters, self.gradients))
        self.buffers = [b[rows] for b in self.buffers]
        self._refreshed = [b[rows] for b in self._refreshed] if self._refreshed is not None else None
        self._rows, self._to_score, self._stretch = list(range(len(rows))), None, None
        self._seeds = [m.seed for m in self.members]
        self._update.keep(rows, self._numbers(), self.parameters, self.gradients, *self._beside())


def _spread(t: Tensor, rows: list[int], members: int) -> Tensor:
    """t (active, ...) in its rows of a tensor for all members; ended members compute on the first one's."""
    out = t[:1].expand(members, *t.shape[1:]).clone()
    out[rows] = t
    return out


__all__ = ["Chunk", "Unbatchable"]
