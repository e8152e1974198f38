"""What one step of stacked members showed: of all of them in few operations, brought to the host in one go."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.findings import DEAD, SATURATED, TRAINABLE, TWINS
from trainsmith.inspection.histogram import Histogram, side_by_side
from trainsmith.inspection.layers import MOST_UNITS
from trainsmith.inspection.likeness import of_units
from trainsmith.inspection.live import RANK_VALUES, LiveLayer, all_but, rank_of, running_shift
from trainsmith.inspection.measurement import FAST, Measurement, layers_of
from trainsmith.inspection.moved import WatchedParameter, alike_rows
from trainsmith.inspection.sampling import VALUES, grid
from trainsmith.inspection.stacked import Place, Seen

Named = dict[str, Tensor]
Edges = list[Tensor | None]
"""Of each place where the member's activation function turns flat, and back; None for other layers."""


def edges_of(places: Sequence[Place], k: int, buffers: Named) -> Edges:
    """Member k's, whose own numbers, such as a slope, lie in the buffers (members, ...), by their names."""
    return [_edges(place, k, buffers) for place in places]


def _edges(place: Place, k: int, buffers: Named) -> Tensor | None:
    own = place.live.layer
    if place.live.edges is None or not own._buffers:
        return place.live.edges
    layer = copy.copy(own)
    layer._buffers = {n: None if b is None else buffers[named(place.path, n)][k] for n, b in own._buffers.items()}
    return LiveLayer(place.live.name, layer).edges


def named(path: str, name: str) -> str:
    """A tensor's name in the network."""
    return f"{path}.{name}" if path else name


def stacked_sample(x: Tensor, values: int = VALUES) -> Tensor:
    """`sampling.sample` of each member's values (members, n, ...), to be read only."""
    _, row_step, _, column_step = grid(x.shape[1:], values)
    return x.reshape(*x.shape[:2], -1)[:, ::row_step, ::column_step].float()


def moments_of(samples: Tensor) -> Tensor:
    """Of each member's sample (members, rows, columns) mean, variance between and within columns, share of zeros."""
    mean = samples.mean(1)
    centred = samples - mean[:, None]
    within = centred.square_().mean((1, 2))
    zeros = torch.eq(samples, 0, out=centred).mean((1, 2))  # ones as floats: several times faster than as bool
    return torch.stack([mean.mean(1), mean.var(1, correction=0), within, zeros])


@torch.no_grad()
def numbers_of(
    places: Sequence[Place], edges: Sequence[Edges], seen: Seen, tensors: Named, closely: bool
) -> list[dict[str, Tensor]]:
    """Of each layer what `LiveLayer` keeps of a call, of all members: (members,), or of units (members, units).

    edges: each member's. tensors: the members' parameters and buffers before the step, by their name in the network.
    """
    entering, gradients = iter(seen.entered), iter(seen.gradients)
    found = []
    for i, place in enumerate(places):
        entered, left = next(entering) if place.takes else None, seen.left[i]
        others = [1 + axis for axis in all_but(place.axis, left.ndim - 1)]
        numbers = {"low": left.amin(others), "high": left.amax(others)}
        if place.graded:
            numbers["gradient_sum"] = next(gradients).flatten(1).sum(1)
        own = [e for e in (each[i] for each in edges) if e is not None]
        if entered is not None and own and len(own[0]):
            numbers["saturated"] = _saturated(stacked_sample(entered).contiguous(), own)
        found.append(numbers | (_seldom(place, entered, left, tensors) if closely else {}))
    return found


def _saturated(entered: Tensor, edges: list[Tensor]) -> Tensor:
    """The share of a sample (members, rows, columns) that lies between edges of each member's own."""
    if all(e is edges[0] for e in edges):
        return (torch.bucketize(entered, edges[0].to(entered.device)) & 1).float().mean((1, 2))
    each = zip(entered, edges, strict=True)
    return torch.stack([(torch.bucketize(x, e.to(x.device)) & 1).float().mean() for x, e in each])


def _seldom(place: Place, entered: Tensor | None, left: Tensor, tensors: Named) -> dict[str, Tensor]:
    """What a close look takes besides."""
    found = {}
    if left.ndim > 2 and left.shape[1] > 1:
        found["effective_rank"] = rank_of(stacked_sample(left, RANK_VALUES).clone())
    averages = place.live.averages() if entered is not None else None
    if averages is not None:
        kept = (tensors[named(place.path, n)] for n in ("running_mean", "running_var"))
        found["running_shift"] = torch.vmap(lambda e, m, v: running_shift(e, m, v, averages[2]))(entered, *kept)
    weight = tensors.get(named(place.path, "weight"))
    if weight is not None and of_units(place.live.layer, weight[0], MOST_UNITS) is not None:
        found["twins"] = torch.vmap(alike_rows)(weight)
    return found


@torch.no_grad()
def moved(
    before: Sequence[Tensor], after: Sequence[Tensor], gradients: Sequence[Tensor], kept: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Norms (4, parameters, members): of parameters before, of updates, of gradients, of what the rule keeps."""
    rows = [[_norm(p) for p in before], [_norm(b - a) for b, a in zip(before, after, strict=True)]]
    rows.append([_norm(g) for g in gradients])
    rows.append([sum(map(_norm, own), g.new_zeros(len(g))) for own, g in zip(kept, gradients, strict=True)])
    return torch.stack([torch.stack([n.float() for n in row]) for row in rows])


def _norm(stacked: Tensor) -> Tensor:
    """Each member's norm (members,)."""
    return torch.linalg.vector_norm(stacked, dim=tuple(range(1, stacked.ndim))) if stacked.ndim > 1 else stacked.abs()


def drawn(samples: Sequence[Tensor]) -> list[list[Histogram]]:
    """A histogram of each sample (members, rows, columns) of each member."""
    flat = [s.movedim(0, 1).flatten(1).cpu().numpy() for s in samples]
    return [side_by_side(v, [s.shape[2]] * len(s)) for v, s in zip(flat, samples, strict=True)]


@dataclass
class Snapshot:
    """One measured step of some members, from which each one's measurement can be made.

    shapes, examples: of the layers' outputs, and how many there were. seen: how many the counts of dead units look back
    on. moments: `moments_of` outputs, gradients and inputs (samples, 4, members). shares: of units dead, on, finite
    (layers, 3, members). numbers: `numbers_of` without those of units. norms: `moved`. parameters: names and shapes.
    pictures: histograms of outputs and gradients, at a step looked at closely. close: the last such.
    """

    step: int
    places: Sequence[Place]
    shapes: list[tuple[int, ...]]
    examples: list[int]
    seen: list[int]
    moments: np.ndarray
    shares: np.ndarray
    numbers: list[dict[str, np.ndarray]]
    norms: np.ndarray
    parameters: list[tuple[str, tuple[int, ...]]]
    given: bool
    pictures: list[list[Histogram]]
    rows: dict[int, int]
    close: "Snapshot | None" = None

    def calm(self) -> np.ndarray:
        """Of which members these numbers cannot give a finding, whatever its layers are (members,)."""
        graded = [i for i, place in enumerate(self.places) if place.graded]
        fine = (
            np.isfinite(self.norms).all((0, 1)) & (self.shares[:, 2] == 1).all(0) & (self.shares[:, 0] <= DEAD).all(0)
        )
        for name, most in (("saturated", SATURATED), ("twins", TWINS), ("gradient_sum", math.inf)):
            for found in self.numbers:
                if name in found:
                    fine &= np.abs(found[name]) <= most if most < math.inf else np.isfinite(found[name])
        layers = len(self.places)
        hidden = [j for j, i in enumerate(graded) if i < layers - 1]  # signal and gradient of the output are not judged
        signal, gradient = self.moments[: max(0, layers - 1), 2], self.moments[[layers + j for j in hidden], 1:3].sum(1)
        gradient = gradient * np.array([math.prod(self.shapes[graded[j]]) for j in hidden])[:, None]
        with np.errstate(all="ignore"):
            for way in (signal, gradient):
                fine &= (way > 0).all(0) & (way.max(0) < TRAINABLE * way.min(0)) if len(way) else True
            matrices = [i for i, (_, shape) in enumerate(self.parameters) if len(shape) > 1]
            fine &= ~(self.norms[1, matrices] > FAST * self.norms[0, matrices]).any(0)
        return fine

    def measurement(self, k: int) -> Measurement:
        """That of the member whose place in the population is k."""
        row = self.rows[k]
        moments = np.concatenate([self.moments[:, :, row], np.full((1, 4), math.nan)])
        backward = {i: j for j, i in enumerate((i for i, p in enumerate(self.places) if p.graded), len(self.places))}
        given = float(moments[-2, 1] + moments[-2, 2]) if self.given else math.nan
        inside = (float(moments[-2, 0]), math.sqrt(given)) if self.given else (math.nan, math.nan)
        numbers = [{n: a[row] for n, a in found.items()} for found in self.numbers]
        lives = [self._live(i, k) for i in range(len(self.places))]
        shares = self.shares[:, :, row].tolist()
        layers = layers_of(self.step, lives, numbers, shares, moments, backward, {}, given)
        return Measurement(self.step, inside, layers, self._parameters(row))

    def _live(self, i: int, k: int) -> LiveLayer:
        """The layer as it was left by this step, with what the last close look saw."""
        live = self.places[i].live.twin(self.places[i].live.name)
        live.shape, live.examples, live.seen = self.shapes[i], self.examples[i], self.seen[i]
        if self.close is not None:
            live.looked(self.close.step, *self.close.looks(i, k))
        return live

    def looks(self, i: int, k: int) -> tuple[Histogram, Histogram | None, dict[str, np.ndarray]]:
        """What a close look saw of a member's layer."""
        row, graded = self.rows[k], [j for j, place in enumerate(self.places) if place.graded]
        behind = self.pictures[len(self.places) + graded.index(i)][row] if i in graded else None
        return self.pictures[i][row], behind, {n: a[row] for n, a in self.numbers[i].items()}

    def _parameters(self, row: int) -> tuple[WatchedParameter, ...]:
        out = []
        norms = self.norms[:, :, row].tolist()
        for (name, shape), before, update, gradient, kept in zip(self.parameters, *norms, strict=True):
            ratio = update / before if before > 0 else math.nan
            whole, whole_gradient, whole_state = (math.isfinite(v) for v in (before + update, gradient, kept))
            out.append(WatchedParameter(
                name, shape, before, gradient, update, ratio, whole, whole_gradient, whole_state, update == 0
            ))  # fmt: skip
        return tuple(out)
