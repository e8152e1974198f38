"""What a measured step left on the device, of one network or of stacked members, brought to the host in one go."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.histogram import Histogram, side_by_side
from trainsmith.inspection.live import SELDOM, LiveLayer, Look
from trainsmith.inspection.moved import Moved, Norms, alike, twin_share
from trainsmith.inspection.sampling import Blocks, Sampled, SideBySide, in_single_precision, to_host
from trainsmith.inspection.snapshot import Snapshot
from trainsmith.inspection.units import Units, units_of

_ABSENT = {"total": 0.0, "saturated": math.nan}
_ABSENT_CLOSELY = {**_ABSENT, "effective_rank": math.nan, "running_shift": math.nan, "twins": 0.0}
"""Numbers that a layer may have, and what stands for those that it has not."""


class Room:
    """What one step's measurement leaves for the next, which needs no new memory where shapes are the same."""

    def __init__(self) -> None:
        self.samples = Blocks()
        self.units: Units | None = None


@dataclass(frozen=True)
class Step:
    """What is to be brought to the host.

    number: the step's, from 0. rows: where each member stands in stacked tensors. layers: the calls in the order of the
    data's way; numbers: of each, what it keeps of a call, of units (units,) or (members, units), of layers () or
    (members,). graded: the layers that got a gradient, by place. blocks: samples of all outputs, then of these
    gradients, then of the network's input, if `given`, as `Blocks.gather` gives them.
    """

    number: int
    rows: dict[int, int]
    layers: list[LiveLayer]
    numbers: Sequence[Mapping[str, Tensor]]
    graded: list[int]
    given: bool
    blocks: Sequence[tuple[list[int], SideBySide, Tensor]]
    closely: bool


@torch.no_grad()
def collect(
    number: int, called: list[LiveLayer], given: Sampled | None, moved: Moved, closely: bool, room: Room
) -> Snapshot:
    """One network's step, after the optimizer moved the parameters.

    called: the layers in the order of the data's way. given: a sample of the network's input. room: the same at each
    step.
    """
    for live in called if closely else ():
        if (pairs := alike(live.layer)) is not None:
            live.numbers["twins"] = pairs
    graded = [i for i, live in enumerate(called) if live.graded]
    sampled = [live.outputs for live in called] + [called[i].gradients for i in graded]
    sampled += [] if given is None else [given]
    blocks = room.samples.gather([s.values for s in sampled], len(called), 1)
    for places, block, _ in blocks:
        for place, slot in zip(places, block.slots, strict=True):
            sampled[place].values = slot  # where the next step's is written at once
    step = Step(number, {0: 0}, called, [live.numbers for live in called], graded, given is not None, blocks, closely)
    return brought(step, moved.after(closely), moved.read, lambda i, _: [twin_share(called[i].layer)], room)


def brought(
    step: Step,
    norms: Tensor,
    read: Callable[[np.ndarray], Norms],
    twins: Callable[[int, np.ndarray], list[float]],
    room: Room,
) -> Snapshot:
    """The step on the host.

    norms: numbers that say what happened to the parameters, and read, which reads them. twins: share of equal units of
    the members of a layer, by its place, given how many pairs of units may be equal.
    """
    absent, layers, members = _ABSENT_CLOSELY if step.closely else _ABSENT, step.layers, len(step.rows)
    there = {name: [i for i, own in enumerate(step.numbers) if name in own] for name in absent}
    counted = [i for i, own in enumerate(step.numbers) if "low" in own]
    units = [_joined([step.numbers[i][end] for i in counted]) for end in ("low", "high")] if counted else []
    tensors = [norms, *(columns for *_, columns in step.blocks), *units]
    tensors += [_stacked([step.numbers[i][name] for i in places]) for name, places in there.items() if places]
    tensors += [block.values for _, block, _ in step.blocks] if step.closely else []
    host = iter(to_host(tensors))
    read_norms = read(next(host))
    moments = np.full((len(layers) + len(step.graded) + step.given, 4, members), math.nan)
    for places, block, _ in step.blocks:
        moments[places] = block.moments(next(host))
    shares = np.full((len(layers), 3, members), math.nan)
    if counted:
        sizes = [step.numbers[i]["low"].numel() // members for i in counted]
        room.units = units_of([layers[i] for i in counted], sizes, members, room.units)
        shares[counted] = room.units.count(next(host).reshape(members, -1), next(host).reshape(members, -1))
    found = {name: np.full((len(layers), members), value) for name, value in absent.items()}
    for name, places in there.items():
        if places:
            found[name][places] = next(host).reshape(len(places), members)
    shares[there["total"], 2] = np.isfinite(found["total"][there["total"]])
    for i in there.get("twins", ()):
        if found["twins"][i].any():  # seldom: then it is worth another transfer
            found["twins"][i] = twins(i, found["twins"][i])
    if step.closely:
        _look(step, [(places, next(host), block) for places, block, _ in step.blocks], found)
    return Snapshot(
        step.number, step.rows, layers, step.graded, step.given, moments, shares,
        found["saturated"], found.get("twins"), read_norms,
    )  # fmt: skip


def _look(step: Step, blocks: Sequence[tuple[list[int], np.ndarray, SideBySide]], found: dict[str, np.ndarray]) -> None:
    """Have each layer remember what a close look saw."""
    members, drawn = len(step.rows), dict[int, list[Histogram]]()
    for places, values, block in blocks:
        pictures = side_by_side(values, block.widths)
        drawn.update({place: pictures[k * members : (k + 1) * members] for k, place in enumerate(places)})
    behind = {i: drawn[j] for j, i in enumerate(step.graded, len(step.layers))}
    for i, live in enumerate(step.layers):
        numbers = {name: found[name][i] for name in SELDOM}
        live.look = Look(step.number, drawn[i], behind.get(i), numbers, step.rows)


def _joined(units: Sequence[Tensor]) -> Tensor:
    """All layers' units, of all members if they are stacked."""
    flat = [t.reshape(-1) if t.ndim < 2 else t for t in units]
    return torch.cat(in_single_precision(flat, flat[0].device), -1)


def _stacked(numbers: Sequence[Tensor]) -> Tensor:
    return torch.stack(in_single_precision(numbers, numbers[0].device))
