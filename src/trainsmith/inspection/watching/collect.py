"""What a measured step left on the device, of one network or of stacked members, brought to the host in one go."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.statistics.histogram import Histogram, side_by_side
from trainsmith.inspection.statistics.sampling import Blocks, SideBySide, to_host
from trainsmith.inspection.statistics.twins import twin_share
from trainsmith.inspection.watching.live import SELDOM, Look
from trainsmith.inspection.watching.moved import Move, Moved, Norms, numbers_of
from trainsmith.inspection.watching.snapshot import Form, Snapshot
from trainsmith.inspection.watching.units import Units, units_of

_ABSENT = {"total": 0.0, "saturated": math.nan}
_ABSENT_CLOSELY = {**_ABSENT, "effective_rank": math.nan, "running_shift": math.nan, "twins": 0.0}
"""Numbers that a layer may have, and what stands for those that it has not."""


class Room:
    """What one step's measurement leaves for the next, which needs no new memory where shapes are the same."""

    def __init__(self) -> None:
        self.samples = Blocks()
        self.scratch = torch.empty(0)
        self.units: Units | None = None

    def columns(self, block: SideBySide) -> Tensor:
        """What its columns say."""
        if self.scratch.numel() < block.numel or self.scratch.device != block.device:
            self.scratch = torch.empty(block.numel, device=block.device)
        return block.columns(self.scratch)


@dataclass(frozen=True)
class Step:
    """What is to be brought to the host.

    number: the step's, from 0. rows: where each member stands in stacked tensors. numbers: of each layer what it keeps
    of a call, of units (units,) or (members, units), of layers () or (members,). blocks: samples of all outputs, then
    of the gradients that there are, then of the network's input, if it is given, as `Blocks.gather` gives them. new:
    whether the network did something else the step before.
    """

    number: int
    rows: dict[int, int]
    form: Form
    numbers: Sequence[Mapping[str, Tensor]]
    blocks: Sequence[tuple[list[int], SideBySide]]
    closely: bool
    new: bool = False

    def as_before(self, other: "Step") -> bool:
        """Whether both, of one network, can be brought to the host together."""
        same = self.form is other.form and not self.closely and not other.closely
        return same and all(a.keys() == b.keys() for a, b in zip(self.numbers, other.numbers, strict=True))


def collect(
    steps: Sequence[Step], moves: Sequence[Move], moved: Moved, room: Room
) -> tuple[list[Snapshot], np.ndarray]:
    """One network's steps, alike, and which of them cannot give a finding."""

    def twins(i: int, _: np.ndarray) -> list[float]:
        return [twin_share(steps[0].form.layers[i].layer)]

    batch, seen = brought(steps, numbers_of(moves), lambda numbers: moved.read(numbers, moves[0]), twins, room)
    alone = [batch.alone(row, step.number, seen[row]) for row, step in enumerate(steps)]
    return alone if len(steps) > 1 else [batch], batch.calm()


@torch.no_grad()
def brought(
    steps: Sequence[Step],
    norms: Sequence[Sequence[Tensor]],
    read: Callable[[np.ndarray], Norms],
    twins: Callable[[int, np.ndarray], list[float]],
    room: Room,
) -> tuple[Snapshot, list[list[int]]]:
    """A step of some members, or some steps of one network, on the host; and how many examples each layer saw by then.

    Several steps stand side by side like members. norms: of each step numbers that say what happened to the parameters,
    and read, which reads them. twins: share of equal units of the members of a layer, by its place, given how many
    pairs of units may be equal.
    """
    first, form, layers = steps[0], steps[0].form, steps[0].form.layers
    absent = _ABSENT_CLOSELY if first.closely else _ABSENT
    there = {name: [i for i, own in enumerate(first.numbers) if name in own] for name in absent}
    counted = [i for i, own in enumerate(first.numbers) if "low" in own]
    members, rows = len(first.rows), len(first.rows) * len(steps)
    host = iter(to_host([
        [own, *([room.columns(block)] for _, block in step.blocks),
         *(_side_by_side([step.numbers[i][end] for i in counted]) for end in ("low", "high") if counted),
         *([step.numbers[i][name] for i in places] for name, places in there.items()),
         *([block.values] for _, block in step.blocks if step.closely)]
        for step, own in zip(steps, norms, strict=True)
    ]))  # fmt: skip
    read_norms = read(next(host))
    moments = np.full((len(layers) + len(form.graded) + form.given, 4, rows), math.nan)
    for places, block in first.blocks:
        moments[places] = block.moments(next(host).reshape(len(steps), 3, -1))
    shares, seen = np.full((len(layers), 3, rows), math.nan), [[0] * len(layers)] * len(steps)
    if counted:
        shares[counted], seen = _counted(first, counted, (next(host), next(host)), room)
    found = {name: np.full((len(layers), rows), value) for name, value in absent.items()}
    for name, places in there.items():
        numbers = next(host).reshape(len(steps), len(places), members)
        found[name][places] = numbers.swapaxes(0, 1).reshape(len(places), rows)
    shares[there["total"], 2] = np.isfinite(found["total"][there["total"]])
    for i in there.get("twins", ()):
        if found["twins"][i].any():  # seldom: then it is worth another transfer
            found["twins"][i] = twins(i, found["twins"][i])
    if first.closely:
        _look(first, [(places, next(host)[0], block) for places, block in first.blocks], found)
    looks = [layer.look for layer in layers]
    batch = Snapshot(
        first.number, first.rows, form, seen[0], looks, moments, shares, found["saturated"], found.get("twins"),
        read_norms,
    )  # fmt: skip
    return batch, seen


def _counted(
    step: Step, counted: list[int], ends: tuple[np.ndarray, np.ndarray], room: Room
) -> tuple[np.ndarray, list[list[int]]]:
    """Of these layers the shares of `Units.count` at each of some steps like this (layers, 3, rows), and how many
    examples each layer saw until then. ends: the smallest and largest of each unit (steps, members x units)."""
    layers, members = step.form.layers, len(step.rows)
    own, sizes = [layers[i] for i in counted], [step.numbers[i]["low"].numel() // members for i in counted]
    examples = [step.form.examples[i] for i in counted]
    room.units = units_of(own, sizes, members, room.units)
    low, high = (end.reshape(len(end), members, -1) for end in ends)
    shares = room.units.count(low, high, examples)
    last, each = [layer.seen for layer in layers], dict(zip(counted, examples, strict=True))
    return shares, [[n - k * each.get(i, 0) for i, n in enumerate(last)] for k in reversed(range(len(low)))]


def _look(step: Step, blocks: Sequence[tuple[list[int], np.ndarray, SideBySide]], found: dict[str, np.ndarray]) -> None:
    """Have each layer remember what a close look saw."""
    members, drawn = len(step.rows), dict[int, list[Histogram]]()
    for places, values, block in blocks:
        pictures = side_by_side(values.reshape(-1, sum(block.widths)), block.widths)
        drawn.update({place: pictures[k * members : (k + 1) * members] for k, place in enumerate(places)})
    behind = {i: drawn[j] for j, i in enumerate(step.form.graded, len(step.form.layers))}
    for i, live in enumerate(step.form.layers):
        numbers = {name: found[name][i] for name in SELDOM}
        live.look = Look(step.number, drawn[i], behind.get(i), numbers, step.rows)


def _side_by_side(units: list[Tensor]) -> list[Tensor]:
    """All layers' units; if they are stacked, of all members."""
    return units if units[0].ndim < 2 else [torch.cat(units, -1)]
