"""The members of one chunk under watch: what must be remembered from one measured step to the next."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.members import (
    Edges,
    Named,
    Snapshot,
    drawn,
    edges_of,
    moments_of,
    moved,
    named,
    numbers_of,
    stacked_sample,
)
from trainsmith.inspection.moved import twin_rows
from trainsmith.inspection.sampling import to_host
from trainsmith.inspection.stacked import Place, Seen, StackedPass
from trainsmith.inspection.units import DEAD_AFTER
from trainsmith.population.chunk import Chunk

NETWORK = "network."


class ChunkWatch:
    """Members that a chunk trains, by their places in the population. larger: the chunk they were part of, if any."""

    def __init__(self, members: Sequence[int], larger: "ChunkWatch | None") -> None:
        self.members = list(members)
        rows = [larger.members.index(i) for i in members] if larger is not None else []
        self._edges: list[Edges] = [larger._edges[k] for k in rows] if larger is not None and larger._edges else []
        self._counts: list[np.ndarray] = [c[:, rows] for c in larger._counts] if larger is not None else []
        self._seen: list[int] = list(larger._seen) if larger is not None else []
        self._close: Snapshot | None = None if larger is None else larger._close

    def meet(self, chunk: Chunk, places: Sequence[Place]) -> None:
        """See where each member's activation functions are flat, before threads run: it takes running them."""
        if not self._edges:
            self._rows = chunk.rows if len(chunk.rows) < len(chunk.parameters[0]) else None
            tensors = self._fixed(chunk)
            self._edges = [edges_of(places, k, tensors) for k in range(len(self.members))]

    def _fixed(self, chunk: Chunk) -> Named:
        """The members' buffers, by their name in the network."""
        pairs = zip(chunk.program.buffer_names, chunk.buffers, strict=True)
        return {n.removeprefix(NETWORK): self._own(b) for n, b in pairs if n.startswith(NETWORK)}

    @torch.no_grad()
    def before(self, chunk: Chunk, step: int, layers: StackedPass | None, seen: Seen | None, closely: bool) -> None:
        """Take the numbers of the layers, and keep the weights as they are."""
        self._rows = chunk.rows if len(chunk.rows) < len(chunk.parameters[0]) else None
        self._step, self._closely = step, closely
        names = chunk.program.parameter_names
        self._trained = [i for i, n in enumerate(names) if n.startswith(NETWORK)]
        self._names = [names[i].removeprefix(NETWORK) for i in self._trained]
        self._weights = [self._own(chunk.parameters[i]).clone() for i in self._trained]
        self._places: list[Place] = layers.places if layers is not None and seen is not None else []
        self._samples: list[Tensor] = []
        self._numbers: list[dict[str, Tensor]] = []
        self._shapes = [] if seen is None else [t.shape[1:] for t in seen.left]
        self._given = seen is not None and bool(seen.given)
        if seen is None:
            return
        tensors = {**self._fixed(chunk), **dict(zip(self._names, self._weights, strict=True))}
        whole = [[self._own(t) for t in part] for part in (seen.given, seen.entered, seen.left, seen.gradients)]
        own = Seen(*whole)
        self._numbers = numbers_of(self._places, self._edges, own, tensors, closely)
        self._samples = [stacked_sample(t) for t in (*own.left, *own.gradients, *own.given)]
        self._moments = [moments_of(s) for s in self._samples]

    def _own(self, stacked: Tensor) -> Tensor:
        """The rows of the members that still train."""
        return stacked if self._rows is None else stacked[self._rows]

    def after(self, chunk: Chunk) -> Snapshot:
        """What the step showed, brought to the host."""
        now, gradients = ([self._own(t[i]) for i in self._trained] for t in (chunk.parameters, chunk.gradients))
        kept = [[self._own(t) for t in chunk.kept[i]] for i in self._trained]
        norms = moved(self._weights, now, gradients, kept)
        tensors = [norms, *(t for found in self._numbers for t in found.values())]
        tensors += [torch.stack(self._moments)] if self._samples else []
        host = iter(to_host(tensors))
        on_host = next(host)
        numbers = [{name: next(host) for name in found} for found in self._numbers]
        moments = next(host) if self._samples else np.zeros((0, 4, len(self.members)))
        self._share_twins(numbers, now, gradients)
        snapshot = Snapshot(
            self._step,
            self._places,
            [tuple(shape[1:]) for shape in self._shapes],
            [shape[0] for shape in self._shapes],
            [],
            moments,
            self._shares(numbers),
            numbers,
            on_host,
            [(n, tuple(w.shape[1:])) for n, w in zip(self._names, self._weights, strict=True)],
            self._given,
            drawn(self._samples) if self._closely else [],
            {i: row for row, i in enumerate(self.members)},
        )
        snapshot.seen = list(self._seen)
        if self._closely and self._samples:
            self._close = snapshot
        snapshot.close = self._close
        self._weights, self._samples, self._numbers = [], [], []
        return snapshot

    def _shares(self, numbers: list[dict[str, np.ndarray]]) -> np.ndarray:
        """Shares of each layer's units that are dead, always on, and finite (layers, 3, members)."""
        found = np.zeros((len(numbers), 3, len(self.members)))
        self._seen = self._seen or [0] * len(numbers)
        fresh = not self._counts
        for i, own in enumerate(numbers):
            low, high = (own.pop(name).reshape(len(self.members), -1) for name in ("low", "high"))
            if fresh:
                self._counts.append(np.zeros((2, *low.shape)))
            self._seen[i] += self._shapes[i][0]
            counts = self._counts[i]
            counts += self._shapes[i][0]
            counts[0] *= (low == 0) & (high == 0)
            counts[1] *= low > 0
            found[i, :2] = (counts >= DEAD_AFTER).mean(2)
            found[i, 2] = (np.isfinite(low) & np.isfinite(high)).mean(1)
        return found

    def _share_twins(
        self, numbers: list[dict[str, np.ndarray]], weights: Sequence[Tensor], gradients: Sequence[Tensor]
    ) -> None:
        """Where some units agree in some weights, which is seldom, all of their weights and gradients are looked at."""
        known = dict(zip(self._names, zip(weights, gradients, strict=True), strict=True))
        for found, place in zip(numbers, self._places, strict=True):
            pairs, stacked = found.get("twins"), known.get(named(place.path, "weight"))
            if pairs is None or not pairs.any():
                continue
            each = range(len(pairs)) if stacked is not None else ()
            shares = [twin_rows(stacked[0][k], stacked[1][k]) if pairs[k] else 0.0 for k in each]  # type: ignore[index]
            found["twins"] = np.array(shares or [0.0] * len(pairs))
