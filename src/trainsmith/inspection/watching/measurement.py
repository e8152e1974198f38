"""What one measured step showed of one network, and what it means."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from trainsmith.inspection.faults.fault import Finding, finding
from trainsmith.inspection.faults.findings import of_layers
from trainsmith.inspection.watching.live import WatchedLayer
from trainsmith.inspection.watching.moved import WatchedParameter
from trainsmith.inspection.watching.units import DEAD_AFTER

FAST = 0.1
"""Updates of weight matrices larger than this share of the weights, at two measured steps in a row."""
HALF = 0.5
"""So large an update of at least half of the weight matrices is too fast, seen once: there may be no second one, as
units that it kills move no more."""
MOST_MATRICES = "update / weight, of half of the matrices"


@dataclass(frozen=True)
class Measurement:
    """What one step showed: its number from 0, each layer in the order of the data's way, each parameter.

    input: mean and spread of the network's input, NaN where it holds whole numbers.
    """

    step: int
    input: tuple[float, float]
    layers: tuple[WatchedLayer, ...]
    parameters: tuple[WatchedParameter, ...]


def findings_of(measured: Measurement, several: bool = False) -> list[Finding]:
    """What one measured step says: of layers as `inspect` judges them, of parameters and the optimizer's state.

    several: it had more than one pass, of which layers show the first. Where that one's gradients alone are not finite,
    its step was left out, as by a GradScaler that looks for its factor.
    """
    found: list[Finding] = []
    if measured.layers:
        examples = min(DEAD_AFTER, max(m.examples for m in measured.layers))
        found += of_layers(measured.layers, examples if examples >= DEAD_AFTER else 0)
    if several and all(p.gradient_finite for p in measured.parameters):
        found = [f for f in found if f.quantity != "finite gradients"]
    for p in measured.parameters:
        if not p.finite or not p.gradient_finite:
            what = "gradient" if p.finite else "parameter"
            words = f"{p.name}: the {what} holds NaN or infinity."
            found.append(finding("not finite", p.name, f"finite {what}", float("nan"), 1.0, words))
        if not p.state_finite:
            words = f"{p.name}: what the optimizer remembers of it holds NaN or infinity."
            found.append(finding("optimizer's state not finite", p.name, "finite state", float("nan"), 1.0, words))
        if len(p.shape) > 1 and p.update_ratio > FAST:
            share = f"{p.update_ratio:.0%} of" if p.update_ratio < 10 else f"{p.update_ratio:.2g} times"
            words = (
                f"{p.name}: one step moved it by {share} its norm; about 0.1 % is usual, "
                f"more than {FAST:.0%} is too fast."
            )
            found.append(finding("learning rate too high", p.name, "update / weight", p.update_ratio, FAST, words))
    small = any(
        f.short in ("signal vanishes", "gradient vanishes") for f in found
    )  # weights, of which any step is large
    return found if small else [*found, *_of_all(measured)]


def _of_all(measured: Measurement) -> Iterator[Finding]:
    """An update that leaves little of what most of the network was. Matrices of zeros have no ratio."""
    ratios = [p.update_ratio for p in measured.parameters if len(p.shape) > 1 and math.isfinite(p.update_ratio)]
    if ratios and (middle := statistics.median_low(ratios)) > HALF:
        words = (
            f"one step moved half of the {len(ratios)} weight matrices by {middle:.2g} times their norm or more; about "
            f"0.001 is usual, more than {HALF:g} leaves little of what they were."
        )
        yield finding("learning rate too high", "optimizer", MOST_MATRICES, middle, HALF, words)
