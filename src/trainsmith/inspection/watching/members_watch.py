"""Measuring every member of a population while it trains, without touching what is trained."""

import threading
from typing import Self

from torch import Tensor

from trainsmith.errors import whole
from trainsmith.inspection.watching.chunk_watch import ChunkWatch
from trainsmith.inspection.watching.log import Log
from trainsmith.inspection.watching.measurement import Measurement, findings_of
from trainsmith.inspection.watching.snapshot import Later
from trainsmith.inspection.watching.stacked import StackedPass
from trainsmith.inspection.watching.watch import Watch
from trainsmith.population import Population
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk
from trainsmith.population.training.observer import Looked


class MembersWatch:
    """Measures every member at every `every`-th step of a population from its first on, between `start` and `stop`.

    The pass of a measured step has the layers' outputs and gradients as outputs too; where that would change a bit of
    the step, one more pass precedes it on the same batches with the same luck, on copies of the buffers. Members that
    are trained by the loop are measured by hooks. unseen: why the layers of some members could not be seen; their
    parameters are measured all the same.
    """

    def __init__(self, population: Population, every: int = 16) -> None:
        self.population, self.every = population, whole("every", every)
        self.unseen: list[str] = []
        self.logs: list[Log[Later]] = [Log() for _ in range(len(population))]
        self._passes: dict[int, tuple[Chunk, StackedPass | None]] = {}
        self._chunks: dict[tuple[int, ...], ChunkWatch] = {}
        self._alone: dict[int, Watch] = {}
        self._new: dict[int, Watch] = {}
        self._one_at_a_time = threading.Lock()

    def start(self) -> Self:
        """Begin; who looked at this population before looks no more."""
        self.population.observe(self)
        return self

    def stop(self) -> None:
        """Look no more. What was measured stays."""
        self.population.observe_no_more(self)
        for watch in self._alone.values():
            watch.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def measurements(self, member: int) -> list[Measurement]:
        """The measured steps of this member that are kept."""
        return [later.made() for later in self.logs[member].measurements]

    def prepare(self, chunk: Chunk, keys: Tensor, x: Tensor, y: Tensor) -> None:
        """Find the chunk's layers, before threads run."""
        key = id(chunk.program.lines)  # equal for chunks of equal members
        try:
            if key not in self._passes:
                self._passes[key] = chunk, StackedPass(chunk.program)
            own = self._passes[key][1]
            if own is not None:
                own.prepare(chunk.parameters, chunk.buffers, keys, x, y, chunk.gradients)
                self._known(chunk).meet(chunk, own.places)
        except Exception as reason:  # a network may resist in any way; it is trained all the same
            self._passes[key] = chunk, None
            self._cannot(reason)

    def next(self, number: int) -> int:
        """The first measured step from `number`, counted from 1, on."""
        return number + (1 - number) % self.every

    def before(self, chunk: Chunk, number: int, keys: Tensor, x: Tensor, y: Tensor) -> Looked | None:
        """At a measured step, its pass, or one more; then what is to be done after the step."""
        step = number - 1
        if step % self.every:
            return None
        members = self._members(chunk)
        closely = self.logs[members[0]].closely(step)
        own = self._known(chunk)
        layers = self._passes.get(id(chunk.program.lines), (chunk, None))[1]
        buffers, seen = [b.clone() for b in chunk.buffers], None
        try:
            seen = None if layers is None else layers(chunk.parameters, chunk.buffers, keys, x, y, chunk.gradients)
        except Exception as reason:
            self._cannot(reason)
            for b, was in zip(chunk.buffers, buffers, strict=True):
                b.copy_(was)
        own.before(chunk, step, layers, seen, closely, buffers)

        def after() -> None:
            snapshot = own.after(chunk)
            for i, calm in zip(members, snapshot.calm().tolist(), strict=True):
                self.logs[i].keep(Later(snapshot, i), closely)
                self.logs[i].tell(step, [] if calm else findings_of(snapshot.measurement(i)), closely)

        return Looked(after, None if seen is None else seen.losses)

    def prepare_alone(self, trainer: Alone) -> None:
        """A member that is trained by the loop is watched as any network is."""
        (i,) = self._members(trainer)
        if i not in self._alone:
            watch = self._alone[i] = Watch(
                trainer.module.network, trainer.optimizer, self.every, warn=False, together=1
            )
            self.logs[i], self._new[i] = watch.start().log, watch

    def before_alone(self, trainer: Alone, number: int) -> None:
        """The watch counts the population's steps."""
        (i,) = self._members(trainer)
        if i in self._new:
            self._new.pop(i).steps = number - 1

    def _members(self, trainer: Chunk | Alone) -> list[int]:
        places = {id(learner): i for i, learner in enumerate(self.population.learners)}
        return [places[id(learner)] for learner in trainer.members]

    def _known(self, chunk: Chunk) -> ChunkWatch:
        """What is known of the chunk's members, who were perhaps part of a larger chunk."""
        members = tuple(self._members(chunk))
        with self._one_at_a_time:
            if members not in self._chunks:
                larger = next((w for own, w in reversed(self._chunks.items()) if set(members) <= set(own)), None)
                self._chunks[members] = ChunkWatch(members, larger)
            return self._chunks[members]

    def _cannot(self, reason: Exception) -> None:
        said = str(reason).strip() or type(reason).__name__
        told = f"the layers of some members were not seen: {said.splitlines()[0]}"
        if told not in self.unseen:
            self.unseen.append(told)
