"""The members of a population at work: chunks that train side by side on threads, and loops for the rest."""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.luck.widest import EVALUATED_AT_ONCE
from trainsmith.population.members.orders import Order
from trainsmith.population.program.kernels import Rate
from trainsmith.population.program.stretch import gathered, in_stretches
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk
from trainsmith.population.training.course import STATISTICS_ON
from trainsmith.population.training.observer import Observer
from trainsmith.population.training.rates import Rates
from trainsmith.population.training.taken import put_in, take_over

Became = tuple[dict[str, Tensor], nn.Module | None]
"""A copy of the parameters and buffers of a member's network, and where it was trained by the loop the network."""


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

    def ahead(self, number: int) -> int:
        """How many steps are best taken at once."""
        return min(trainer.ahead(number) for trainer in self.trainers)

    def stretch(self, number: int, rates: Sequence[Rate], x: Tensor, y: Tensor, chosen: Tensor) -> Tensor:
        """Several steps, on a CPU, on the examples x[chosen], y (steps, active members, ...); see `Chunk.stretch`."""
        losses, start = [], 0
        for trainer in self.trainers:
            stop = start + len(trainer.members)
            own = [rate[start:stop] if isinstance(rate, list) else rate for rate in rates]
            of_it = chosen[:, start:stop] if chosen.ndim == 3 else chosen
            losses.append(trainer.stretch(number, own, x, y[:, start:stop], of_it).float())
            start = stop
        return torch.cat(losses, 1)

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
        found = []
        for trainer in self.trainers:
            each = max(1, EVALUATED_AT_ONCE // max(1, trainer.numbers(x)))
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

    def became(self, member: int) -> Became:
        """What this member has become."""
        k = self.members.index(member)
        for trainer in self.trainers:
            if k < len(trainer.members):
                return trainer.tensors(k), trainer.module.network if isinstance(trainer, Alone) else None
            k -= len(trainer.members)
        raise IndexError(member)

    def keep(self, which: set[int]) -> dict[int, Became]:
        """Train on with the members in `which`; what those that leave have become."""
        left = {i: self.became(i) for i in self.members if i not in which}
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
    """Parts that train the `count` members of a population on `threads` threads; `packing` says how, in words.

    broken: whether a step was broken off in some parts, so that members have not had the same number of steps.
    """

    def __init__(self, parts: Sequence[Part], count: int, threads: int, packing: str) -> None:
        self.parts, self.count, self.threads, self.packing = list(parts), count, threads, packing
        self.left: dict[int, Became] = {}
        self.broken = False
        self._pool, self._ending = ThreadPoolExecutor(threads, initializer=_one_core), threading.Event()

    def __str__(self) -> str:
        return f"{self.count} members on {self.threads} thread{'s' * (self.threads > 1)}: {self.packing}"

    @property
    def active(self) -> list[int]:
        """The members still training."""
        return sorted(i for part in self.parts for i in part.members)

    @property
    def loops(self) -> bool:
        """Whether every member is trained by the loop."""
        return all(isinstance(trainer, Alone) for part in self.parts for trainer in part.trainers)

    def observe(self, observer: Observer | None) -> None:
        """Have every step told to this one, or to nobody."""
        for trainer in (t for part in self.parts for t in part.trainers):
            trainer.observer = observer

    def step(self, number: int, rate: float, x: Tensor, y: Tensor, each: bool) -> Tensor:
        """One step of every active member on x, y for all, or (members, n, ...) one batch each; losses (members,)."""
        losses = torch.full((self.count,), torch.nan, dtype=torch.float32, device=x.device)

        def batch(part: Part) -> tuple[Tensor, Tensor]:
            own, k = part.members, len(part.members)
            return (x[own], y[own]) if each else (x.expand(k, *x.shape), y.expand(k, *y.shape))

        def work(part: Part) -> None:
            own, found = part.members, part.step(number, rate, *batch(part))
            losses[own] = found
            self._take_out(part, found.isfinite())

        for part in self._working():
            part.prepare(*batch(part))
        self._side_by_side(work, trains=True)
        return losses

    def train(
        self,
        x: Tensor,
        y: Tensor,
        orders: Sequence[Order],
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
        losses = torch.full((steps, self.count), torch.nan, dtype=torch.float32, device=x.device)
        ended: dict[int, int] = {}

        def batches(own: list[int], start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
            index, same = _indices([orders[i] for i in own], start, stop, x.device)
            for chosen in index:
                xs, ys = gathered(x, chosen), gathered(y, chosen[..., :labelled])
                yield (xs.expand(len(own), *xs.shape), ys.expand(len(own), *ys.shape)) if same else (xs, ys)

        def work(part: Part) -> None:
            for start in range(0, steps, look_every):
                stop, own = min(start + look_every, steps), part.members
                if not own:
                    return
                taken = []
                index, _ = _indices([orders[i] for i in own], start, stop, x.device)
                factors = functools.partial(_since, first, rates, own)
                looks = bool(rates.looks)
                for s, found in in_stretches(part, first + start + 1, factors, x, y, index, labelled, singly=looks):
                    if self._ending.is_set():
                        return
                    taken.append(found)
                    if looks:
                        rates.note(s - first, found.tolist(), own)
                losses[start:stop, own] = found = torch.stack(taken)
                advance((stop - start) * len(own))
                ended.update(dict.fromkeys(self._take_out(part, found.isfinite().all(0)), stop))
            restated = any(trainer.members[0].restated for trainer in part.trainers)
            last = list(batches(part.members, max(0, steps - STATISTICS_ON[0]), steps)) if restated else []
            part.refresh(torch.stack([xs for xs, _ in last], 1) if last else None)

        for part in self._working():
            part.prepare(*next(batches(part.members, 0, 1)))
        self._side_by_side(work, trains=True)
        return losses.cpu(), ended

    def _take_out(self, part: Part, well: Tensor) -> list[int]:
        """The members of a part whose losses are not all finite, which train no more; well: whose are (members,)."""
        fine = {i for i, is_well in zip(part.members, well.tolist(), strict=True) if is_well}
        left = part.keep(fine)
        self.left.update(left)
        return list(left)

    def outputs(self, x: Tensor, of_left: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Outputs of all members (members, n, ...); of_left gives those of a member that has left."""
        found: dict[int, Tensor] = {i: of_left(i, x) for i in self.left}

        def work(part: Part) -> None:
            found.update(zip(part.members, part.outputs(x), strict=True))

        self._side_by_side(work)
        return torch.stack([found[i] for i in range(self.count)])

    def taken(self, member: int, module: nn.Module) -> nn.Module:
        """The module, a copy of the member's network at its start, with all that the member has become."""
        parts = (part.became(member) for part in self.parts if member in part.members)
        tensors, trained = self.left[member] if member in self.left else next(parts)
        return put_in(module if trained is None else take_over(module, trained), tensors)

    def keep(self, which: set[int]) -> None:
        """Train on with the members in `which`."""
        for part in self.parts:
            self.left.update(part.keep(which))

    def _working(self) -> list[Part]:
        return [part for part in self.parts if part.members]

    def _side_by_side(self, work: Callable[[Part], None], trains: bool = False) -> None:
        """Have the work done on every part; where one fails, or Ctrl-C is pressed, the others end too."""
        threads, started = torch.get_num_threads(), [self._pool.submit(work, part) for part in self._working()]
        try:
            ended, _ = wait(started, return_when=FIRST_EXCEPTION)
            for done in ended:
                done.result()
        except BaseException:
            self._ending.set()
            for done in started:
                done.cancel()
            wait(started)
            self._ending.clear()
            self.broken = self.broken or trains
            raise
        finally:
            torch.set_num_threads(threads)


def _one_core() -> None:
    """A thread of ours computes on one core, and takes numbers too small to matter for zero, which is faster."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _since(first: int, rates: Rates, own: Sequence[int], number: int) -> Rate:
    """The factors of members at a step of all that they have had, `first` of them before this training."""
    return rates(number - first, own)


def _indices(orders: Sequence[Order], start: int, stop: int, device: torch.device) -> tuple[Tensor, bool]:
    """The examples of some steps: (steps, members, batch), or (steps, batch) and True if all members' are the same."""
    same = all(o is orders[0] for o in orders)
    found = [o.between(start, stop) for o in (orders[:1] if same else orders)]
    stacked = found[0] if same else np.stack(found, axis=1)
    return torch.from_numpy(np.ascontiguousarray(stacked)).to(device), same
