"""What one step of stacked members showed: the numbers of one network, of all of them in few operations."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from trainsmith.inspection.statistics.layers import MOST_UNITS
from trainsmith.inspection.statistics.likeness import of_units
from trainsmith.inspection.statistics.sampling import VALUES, grid, in_memory_order
from trainsmith.inspection.statistics.twins import alike_rows
from trainsmith.inspection.watching.live import (
    RANK_VALUES,
    LiveLayer,
    all_but,
    rank_of,
    running_shift,
    total,
    where_flat,
)
from trainsmith.inspection.watching.stacked import Place, Seen

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
    """`sampling.sample` of each member's values (members, n, ...), to be read only, in whatever precision."""
    _, row_step, _, column_step = grid(x.shape[1:], values)
    return x.reshape(*x.shape[:2], -1)[:, ::row_step, ::column_step]


@torch.no_grad()
def numbers_of(
    places: Sequence[Place], edges: Sequence[Edges], seen: Seen, tensors: Named, closely: bool
) -> list[dict[str, Tensor]]:
    """Of each layer what `LiveLayer` keeps of a call, of all members: (members,), or of units (members, units).

    edges: each member's. tensors: the members' parameters and buffers before the step, by their name in the network.
    """
    entering = iter(seen.entered)
    found = []
    for i, place in enumerate(places):
        entered, left = next(entering) if place.takes else None, seen.left[i]
        others = [1 + axis for axis in all_but(place.axis, left.ndim - 1)]
        if place.live.parameters:
            numbers = {"total": total(left, 1)}
        else:
            numbers = {"low": left.amin(others).view(len(left), -1), "high": left.amax(others).view(len(left), -1)}
        own = [e for e in (each[i] for each in edges) if e is not None]
        if entered is not None and any(len(e) for e in own):
            before, after = (stacked_sample(t).float().contiguous() for t in (entered, left))
            numbers["saturated"] = _saturated(before, after, own)
        found.append(numbers | (_seldom(place, entered, left, tensors) if closely else {}))
    return found


def _saturated(entered: Tensor, left: Tensor, edges: list[Tensor]) -> Tensor:
    """The share of samples (members, rows, columns) that lies where each member's own function is flat."""
    if all(e is edges[0] for e in edges):
        return where_flat(entered, left, edges[0].to(entered.device)).mean((1, 2))
    each = zip(entered, left, edges, strict=True)
    return torch.stack([where_flat(x, y, e.to(x.device)).mean() for x, y, e in each])


def _seldom(place: Place, entered: Tensor | None, left: Tensor, tensors: Named) -> dict[str, Tensor]:
    """What a close look takes besides."""
    found = {}
    if left.ndim > 2 and left.shape[1] > 1:
        found["effective_rank"] = rank_of(stacked_sample(left, RANK_VALUES).to(torch.float32, copy=True))
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
    if stacked.ndim == 1:
        return stacked.abs()
    ordered = in_memory_order(stacked)  # otherwise it takes several times as long
    return torch.linalg.vector_norm(ordered, dim=tuple(range(1, stacked.ndim)))
