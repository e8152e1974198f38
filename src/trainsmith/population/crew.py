"""The members of a population at work: chunks that train side by side on threads, and loops for the rest."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from trainsmith.population.alone import Alone
from trainsmith.population.calibrate import choose
from trainsmith.population.chunk import Chunk, Unbatchable, bucket_key
from trainsmith.population.course import EVALUATED_AT_ONCE, STATISTICS_ON, gathered
from trainsmith.population.member import Learner
from trainsmith.population.memory import keep_freed_memory
from trainsmith.population.observer import Observer
from trainsmith.population.pool import processes_available
from trainsmith.population.program import Program
from trainsmith.population.rates import Rates
from trainsmith.population.update import Rate

State = dict[str, Tensor]


class Part:
    """Trainers that one thread serves, one after another, and the members of the population they train."""

    def __init__(self, trainers: Sequence[Chunk | Alone], members: Sequence[int]) -> None:
        self.trainers, self.members = list(trainers), list(members)

    def step(self, number: int, rate: Rate, x: Tensor, y: Tensor) -> Tensor:
        """A step on x, y (active members, n, ...). A chunk that memory does not hold is halved; nothing is lost."""
        losses, waiting, start = [], list(self.trainers), 0
        self.trainers = []
        while waiting:
            trainer = waiting.pop(0)
            stop = start + len(trainer.members)
            try:
                own = rate[start:stop] if isinstance(rate, list) else rate
                losses.append(trainer.step(number, own, x[start:stop], y[start:stop]).float())
            except (torch.OutOfMemoryError, MemoryError):
                if len(trainer.members) == 1 or not isinstance(trainer, Chunk):
                    raise
                waiting = [*trainer.halves(), *waiting]
                continue
            self.trainers.append(trainer)
            start = stop
        return torch.cat(losses)

    def prepare(self, x: Tensor, y: Tensor) -> None:
        """Trace the programs for such batches. Before threads run: tracing is not for several at once."""
        start = 0
        for trainer in self.trainers:
            stop = start + len(trainer.members)
            if isinstance(trainer, Chunk):
                trainer.prepare(x[start:stop], y[start:stop])
            elif trainer.observer is not None:
                trainer.observer.prepare_alone(trainer)
            start = stop

    def outputs(self, x: Tensor) -> Tensor:
        """Outputs in evaluation mode (active members, n, ...) for the examples x (n, ...)."""
        each = max(1, EVALUATED_AT_ONCE // max(1, len(self.members) * x[0].numel()))
        found = []
        for trainer in self.trainers:
            own = x.expand(len(trainer.members), *x.shape)
            found.append(torch.cat([trainer.outputs(piece) for piece in own.split(each, dim=1)], dim=1))
        return torch.cat(found)

    def refresh(self, x: Tensor | None) -> None:
        """Take running statistics anew where other weights are evaluated than trained; x (members, batches, n, ...)."""
        start = 0
        for trainer in self.trainers:
            stop = start + len(trainer.members)
            if x is not None and trainer.members[0].restated:
                trainer.refresh(x[start:stop])
            start = stop

    def state(self, member: int) -> State:
        """A copy of the state_dict of this member's network."""
        k = self.members.index(member)
        for trainer in self.trainers:
            if k < len(trainer.members):
                return trainer.state(k)
            k -= len(trainer.members)
        raise IndexError(member)

    def keep(self, which: set[int]) -> dict[int, State]:
        """Train on with the members in `which`; the states of those that leave."""
        left = {i: self.state(i) for i in self.members if i not in which}
        if left:
            start, trainers = 0, []
            for trainer in self.trainers:
                own = self.members[start : start + len(trainer.members)]
                start += len(own)
                stay = [k for k, i in enumerate(own) if i in which]
                if stay:
                    trainer.keep(stay)
                    trainers.append(trainer)
            self.trainers = trainers
            self.members = [i for i in self.members if i in which]
        return left


class Crew:
    """Parts that train the `count` members of a population on `threads` threads; `packing` says how, in words."""

    def __init__(self, parts: Sequence[Part], count: int, threads: int, packing: str) -> None:
        self.parts, self.count, self.threads, self.packing = list(parts), count, threads, packing
        self.left: dict[int, State] = {}
        self._pool = ThreadPoolExecutor(threads, initializer=_one_core)

    def __str__(self) -> str:
        return f"{self.count} members on {self.threads} thread{'s' * (self.threads > 1)}: {self.packing}"

    @property
    def active(self) -> list[int]:
        """The members still training."""
        return sorted(i for part in self.parts for i in part.members)

    def observe(self, observer: Observer | None) -> None:
        """Have every step told to this one, or to nobody."""
        for trainer in (t for part in self.parts for t in part.trainers):
            trainer.observer = observer

    def step(self, number: int, rate: float, x: Tensor, y: Tensor, each: bool) -> Tensor:
        """One step of every active member on x, y for all, or (members, n, ...) one batch each; losses (members,)."""
        losses = torch.full((self.count,), torch.nan, device=x.device)

        def batch(part: Part) -> tuple[Tensor, Tensor]:
            own, k = part.members, len(part.members)
            return (x[own], y[own]) if each else (x.expand(k, *x.shape), y.expand(k, *y.shape))

        def work(part: Part) -> None:
            losses[part.members] = part.step(number, rate, *batch(part))

        for part in self._working():
            part.prepare(*batch(part))
        self._side_by_side(work)
        return losses

    def train(
        self,
        x: Tensor,
        y: Tensor,
        orders: Sequence[np.ndarray],
        labelled: int,
        first: int,
        rates: Rates,
        steps: int,
        look_every: int,
        advance: Callable[[int], None],
    ) -> tuple[Tensor, dict[int, int]]:
        """Steps first + 1 ... of every active member; losses (steps, members), and when members were taken out.

        orders: each member's examples at each step, of which the first `labelled` have targets.
        A thread takes a part through all steps before the next, so that its tensors stay in the caches.
        """
        losses = torch.full((steps, self.count), torch.nan, device=x.device)
        ended: dict[int, int] = {}

        def batches(own: list[int], start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
            index, same = _indices([orders[i][start:stop] for i in own], x.device)
            for chosen in index:
                xs, ys = gathered(x, chosen), gathered(y, chosen[..., :labelled])
                yield (xs.expand(len(own), *xs.shape), ys.expand(len(own), *ys.shape)) if same else (xs, ys)

        def work(part: Part) -> None:
            for start in range(0, steps, look_every):
                stop, own = min(start + look_every, steps), part.members
                if not own:
                    return
                taken = []
                for s, (xs, ys) in enumerate(batches(own, start, stop), start):
                    taken.append(part.step(first + s + 1, rates(s + 1, own), xs, ys))
                    if rates.looks:
                        rates.note(s + 1, taken[-1].tolist(), own)
                losses[start:stop, own] = found = torch.stack(taken)
                advance((stop - start) * len(own))
                well = found.isfinite().all(0).tolist()
                ended.update({i: stop for i, fine in zip(own, well, strict=True) if not fine})
                self.left.update(part.keep({i for i, fine in zip(own, well, strict=True) if fine}))
            restated = any(trainer.members[0].restated for trainer in part.trainers)
            last = list(batches(part.members, max(0, steps - STATISTICS_ON[0]), steps)) if restated else []
            part.refresh(torch.stack([xs for xs, _ in last], 1) if last else None)

        for part in self._working():
            part.prepare(*next(batches(part.members, 0, 1)))
        self._side_by_side(work)
        return losses.cpu(), ended

    def outputs(self, x: Tensor, of_left: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Outputs of all members (members, n, ...); of_left gives those of a member that has left."""
        found: dict[int, Tensor] = {i: of_left(i, x) for i in self.left}

        def work(part: Part) -> None:
            found.update(zip(part.members, part.outputs(x), strict=True))

        self._side_by_side(work)
        return torch.stack([found[i] for i in range(self.count)])

    def state(self, member: int) -> State:
        """A copy of the state_dict of the member's network."""
        if member in self.left:
            return self.left[member]
        return next(part.state(member) for part in self.parts if member in part.members)

    def keep(self, which: set[int]) -> None:
        """Train on with the members in `which`."""
        for part in self.parts:
            self.left.update(part.keep(which))

    def _working(self) -> list[Part]:
        return [part for part in self.parts if part.members]

    def _side_by_side(self, work: Callable[[Part], None]) -> None:
        threads = torch.get_num_threads()
        for done in [self._pool.submit(work, part) for part in self._working()]:
            done.result()
        torch.set_num_threads(threads)


def _one_core() -> None:
    """A thread of ours computes on one core, and takes numbers too small to matter for zero, which is faster."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _indices(orders: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, bool]:
    """The examples of some steps: (steps, members, batch), or (steps, batch) and True if all members' are the same."""
    same = all(o.base is not None and o.base is orders[0].base for o in orders)
    stacked = orders[0] if same else np.stack(orders, axis=1)
    return torch.from_numpy(np.ascontiguousarray(stacked)).to(device), same


def hire(learners: Sequence[Learner], x: Tensor, y: Tensor, steps: int, threads: int | None = None) -> Crew:
    """A crew for these members, to train `steps` steps on batches like x (n, ...), y (n, ...).

    Members of equal structure form a bucket, which is cut into chunks; a bucket that cannot be batched is
    trained by the loop, one member after another.
    """
    keep_freed_memory()
    if threads is None:
        threads = min(processes_available(), len(learners)) if x.device.type == "cpu" else 1
    buckets: dict[object, list[int]] = {}
    for i, learner in enumerate(learners):
        buckets.setdefault(bucket_key(learner, x, y), []).append(i)
    parts, words = [], []
    for places in buckets.values():
        found, told = _parts([learners[i] for i in places], places, x, y, steps, threads)
        parts += found
        words.append(told)
    return Crew(parts, len(learners), threads, "; ".join(dict.fromkeys(words)))


def _parts(
    own: list[Learner], places: list[int], x: Tensor, y: Tensor, steps: int, threads: int
) -> tuple[list[Part], str]:
    """The parts of one bucket, whose members have these places in the population, and words for them."""
    try:
        packing = choose(own, x, y, steps, threads)
        count = -(-len(own) // packing.members)
        count = min(len(own), -(-count // threads) * threads)
        program = Program(own[0].objective, packing.way)
        parts = [Part([Chunk(own[k::count], x, y, program.twin())], places[k::count]) for k in range(count)]
    except Unbatchable as reason:
        return [Part([Alone(learner)], [i]) for learner, i in zip(own, places, strict=True)], f"by the loop: {reason}"
    largest = -(-len(own) // count)
    told = f"{count} chunk{'s' * (count > 1)} of {largest}, members {packing.way}"
    if packing.seconds is not None:
        seconds = len(own) * steps * packing.seconds / threads
        told += f", {packing.seconds * 1e6:,.0f} us a member-step, about {seconds:,.1f} s"
    return parts, f"{told}, {_megabytes(parts):,.0f} MB"


def _megabytes(parts: Sequence[Part]) -> float:
    """Memory of the tensors that stay from step to step: weights, gradients, what the rule keeps."""
    return sum(t.bytes for part in parts for t in part.trainers if isinstance(t, Chunk)) / 2**20
