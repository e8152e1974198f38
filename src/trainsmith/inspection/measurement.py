"""What one measured step showed, brought to the host in one go, and what it means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainsmith.inspection.fault import Finding, finding
from trainsmith.inspection.findings import of_layers
from trainsmith.inspection.histogram import Histogram, side_by_side
from trainsmith.inspection.live import LiveLayer, WatchedLayer
from trainsmith.inspection.moved import Moved, WatchedParameter, alike, twin_share
from trainsmith.inspection.sampling import SideBySide, gather, to_host
from trainsmith.inspection.units import DEAD_AFTER, Units, units_of

FAST = 0.1
"""Updates of weight matrices larger than this share of the weights, at two measured steps in a row."""


@dataclass(frozen=True)
class Measurement:
    """What one step showed: its number from 0, each layer in the order of the data's way, each parameter.

    input: mean and spread of the network's input, NaN where it holds whole numbers.
    """

    step: int
    input: tuple[float, float]
    layers: tuple[WatchedLayer, ...]
    parameters: tuple[WatchedParameter, ...]


class Room:
    """What one step's measurement leaves for the next, which needs no new memory where shapes are the same."""

    def __init__(self) -> None:
        self.samples: dict[object, SideBySide] = {}
        self.units: Units | None = None


@torch.no_grad()
def collect(
    step: int,
    called: Sequence[LiveLayer],
    given: Tensor | None,
    moved: Moved,
    closely: bool,
    room: Room,
) -> Measurement:
    """The step's measurement, after the optimizer moved the parameters.

    called: the layers in the order of the data's way. given: a sample of the network's input. room: the same
    at each step.
    """
    for live in called if closely else ():
        if (pairs := alike(live.layer)) is not None:
            live.numbers["twins"] = pairs
    backward = {i: len(called) + k for k, i in enumerate(i for i, c in enumerate(called) if c.gradient is not None)}
    samples = [c.sample for c in called] + [called[i].gradient for i in backward] + ([] if given is None else [given])
    blocks = gather([s for s in samples if s is not None], room.samples)
    tensors = [moved.after(closely), *(block.columns() for _, block in blocks)]
    tensors += [t for live in called for t in live.numbers.values()]
    tensors += [block.values for _, block in blocks] if closely else []
    host = iter(to_host(tensors))
    parameters = moved.read(next(host).tolist())
    moments = np.full((len(samples) + 1, 4), math.nan)
    for places, block in blocks:
        moments[places] = block.moments(next(host)).T
    numbers = [{name: next(host) for name in live.numbers} for live in called]
    for live, found in zip(called, numbers, strict=True):
        if found.get("twins"):  # seldom: then it is worth another transfer
            found["twins"] = np.asarray(twin_share(live.layer))
    drawn: dict[int, Histogram] = {}
    for places, block in blocks if closely else ():
        drawn.update(zip(places, side_by_side(next(host), block.widths), strict=True))
    inside = math.nan if given is None else float(moments[-2, 1] + moments[-2, 2])
    layers = layers_of(step, called, numbers, _units(called, numbers, room), moments, backward, drawn, inside)
    place = (math.nan, math.nan) if given is None else (float(moments[-2, 0]), math.sqrt(inside))
    return Measurement(step, place, layers, parameters)


def _units(called: Sequence[LiveLayer], numbers: list[dict[str, np.ndarray]], room: Room) -> list[list[float]]:
    """Of each layer the shares of its units that are dead, always on, and finite."""
    if not called:
        return []
    lowest, highest = ([found[name].reshape(-1) for found in numbers] for name in ("low", "high"))
    room.units = units_of(called, [len(low) for low in lowest], room.units)
    return room.units.count(lowest, highest)


def layers_of(
    step: int,
    called: Sequence[LiveLayer],
    numbers: list[dict[str, np.ndarray]],
    units: list[list[float]],
    moments: np.ndarray,
    backward: dict[int, int],
    drawn: dict[int, Histogram],
    given: float,
) -> tuple[WatchedLayer, ...]:
    """The layers, with their ratios to the layer before, to the input, and of gradients to the last.

    moments: of the outputs of all layers, then of the gradients, at the places that backward says; NaN in the end.
    """
    rows, variance = moments.tolist(), (moments[:, 1] + moments[:, 2]).tolist()
    last = math.sqrt(variance[backward[max(backward)]]) if backward else math.nan
    out = []
    for i, (live, found) in enumerate(zip(called, numbers, strict=True)):
        gradient = rows[backward[i]] if i in backward else None
        pictures = (drawn[i], drawn.get(backward.get(i, -1))) if drawn else None
        before = variance[i - 1] if i else math.nan
        out.append(live.read(step, rows[i], gradient, found, units[i], pictures, (before, given, last)))
        live.sample = live.gradient = None
    return tuple(out)


def findings_of(measured: Measurement) -> list[Finding]:
    """What one measured step says: of layers as `inspect` judges them, of parameters and the optimizer's state."""
    found: list[Finding] = []
    if measured.layers:
        examples = min(DEAD_AFTER, max(m.examples for m in measured.layers))
        found += of_layers(measured.layers, examples if examples >= DEAD_AFTER else 0)
    for p in measured.parameters:
        if not p.finite or not p.gradient_finite:
            what = "gradient" if p.finite else "parameter"
            words = f"{p.name}: the {what} holds NaN or infinity."
            found.append(finding("not finite", p.name, f"finite {what}", float("nan"), 1.0, words))
        if not p.state_finite:
            words = f"{p.name}: what the optimizer remembers of it holds NaN or infinity."
            found.append(finding("optimizer's state not finite", p.name, "finite state", float("nan"), 1.0, words))
        if len(p.shape) > 1 and p.update_ratio > FAST:
            words = (
                f"{p.name}: one step moved it by {p.update_ratio:.0%} of its norm; about 0.1 % is usual, "
                f"more than {FAST:.0%} is too fast."
            )
            found.append(finding("learning rate too high", p.name, "update / weight", p.update_ratio, FAST, words))
    return found
