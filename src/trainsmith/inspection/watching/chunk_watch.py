"""The members of one chunk under watch: what must be remembered from one measured step to the next."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.statistics.twins import twin_rows
from trainsmith.inspection.watching.collect import Room, Step, brought
from trainsmith.inspection.watching.live import LiveLayer
from trainsmith.inspection.watching.members import Edges, Named, edges_of, moved, named, numbers_of, stacked_sample
from trainsmith.inspection.watching.moved import Norms, Trained
from trainsmith.inspection.watching.snapshot import Form, Snapshot
from trainsmith.inspection.watching.stacked import Place, Seen, StackedPass
from trainsmith.population.training.chunk import Chunk

NETWORK = "network."


class ChunkWatch:
    """Members that a chunk trains, by their places in the population. larger: the chunk they were part of, if any."""

    def __init__(self, members: Sequence[int], larger: "ChunkWatch | None") -> None:
        self.members = list(members)
        rows = [larger.members.index(i) for i in members] if larger is not None else []
        self._edges: list[Edges] = [larger._edges[k] for k in rows] if larger is not None and larger._edges else []
        self._layers: list[LiveLayer] = [] if larger is None else [layer.of(rows) for layer in larger._layers]
        self._room = Room()

    def meet(self, chunk: Chunk, places: Sequence[Place]) -> None:
        """See where each member's activation functions are flat, before threads run: it takes running them."""
        if not self._edges:
            self._rows = chunk.rows if len(chunk.rows) < len(chunk.parameters[0]) else None
            tensors = self._fixed(chunk, chunk.buffers)
            self._edges = [edges_of(places, k, tensors) for k in range(len(self.members))]

    def _fixed(self, chunk: Chunk, buffers: Sequence[Tensor]) -> Named:
        """The members' buffers, by their name in the network."""
        pairs = zip(chunk.program.buffer_names, buffers, strict=True)
        return {n.removeprefix(NETWORK): self._own(b) for n, b in pairs if n.startswith(NETWORK)}

    @torch.no_grad()
    def before(
        self, chunk: Chunk, step: int, layers: StackedPass | None, seen: Seen | None, closely: bool,
        buffers: Sequence[Tensor],
    ) -> None:  # fmt: skip
        """Take the numbers of the layers, and keep the weights as they are. buffers: the chunk's before the pass."""
        self._rows = chunk.rows if len(chunk.rows) < len(chunk.parameters[0]) else None
        names = chunk.program.parameter_names
        self._trained = [i for i, n in enumerate(names) if n.startswith(NETWORK)]
        self._names = [names[i].removeprefix(NETWORK) for i in self._trained]
        self._weights = [self._own(chunk.parameters[i]).clone() for i in self._trained]
        rows = {i: row for row, i in enumerate(self.members)}
        if layers is None or seen is None:
            self._places, self._step = [], Step(step, rows, Form.of([], [], False), [], [], closely)
            return
        self._places = layers.places
        self._layers = self._layers or [place.live.twin(place.live.name) for place in self._places]
        parts = (seen.given, seen.entered, seen.left, seen.gradients)
        given, entered, outputs, gradients = ([self._own(t) for t in part] for part in parts)
        own = Seen(given, entered, outputs, gradients)
        for live, left in zip(self._layers, own.left, strict=True):
            live.shape, live.examples = tuple(left.shape[2:]), left.shape[1]
        tensors = {**self._fixed(chunk, buffers), **dict(zip(self._names, self._weights, strict=True))}
        numbers = numbers_of(self._places, self._edges, own, tensors, closely)
        samples = [stacked_sample(t) for t in (*own.left, *own.gradients, *own.given)]
        blocks = self._room.samples.gather(samples, len(own.left))
        graded = [i for i, place in enumerate(self._places) if place.graded]
        self._step = Step(step, rows, Form.of(self._layers, graded, bool(own.given)), numbers, blocks, closely)

    def _own(self, stacked: Tensor) -> Tensor:
        """The rows of the members that still train."""
        return stacked if self._rows is None else stacked[self._rows]

    def after(self, chunk: Chunk) -> Snapshot:
        """What the step showed, brought to the host."""
        now, gradients = ([self._own(t[i]) for i in self._trained] for t in (chunk.parameters, chunk.gradients))
        kept = [[self._own(t) for t in chunk.kept[i]] for i in self._trained]
        trained = Trained([(n, tuple(w.shape[1:])) for n, w in zip(self._names, self._weights, strict=True)])

        def read(numbers: np.ndarray) -> Norms:
            each = numbers.reshape(norms.shape).astype(np.float64)
            return Norms(trained, each, frozenset(), each[1] == 0)

        def twins(i: int, pairs: np.ndarray) -> list[float]:
            name = named(self._places[i].path, "weight")
            k = self._names.index(name) if name in self._names else None  # a frozen one has no gradient
            return [0.0 if k is None or not p else twin_rows(now[k][j], gradients[k][j]) for j, p in enumerate(pairs)]

        norms = moved(self._weights, now, gradients, kept)
        self._weights = []
        snapshot, _ = brought([self._step], [[norms]], read, twins, self._room)
        for _, block in self._step.blocks:
            block.let_go()
        return snapshot
