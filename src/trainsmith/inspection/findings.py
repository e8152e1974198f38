"""What the measurements of a network's layers mean: each finding with value, threshold and source."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainsmith.inspection.layers import LayerStatistics

TRAINABLE = math.exp(6)
"""A signal or gradient that changes by more than this over the network does not train: depth <= 6 xi."""
TRAINABLE_SOURCE = "Schoenholz et al. 2017, Deep information propagation: trainable depth is about 6 xi"
SATURATED = 0.30
SATURATED_SOURCE = "Glorot & Bengio 2010, section 3: saturation of a layer's outputs"
DEAD = 0.10
DEAD_TIMES = 3
"""Random weights leave as many units always on as always off; more than so many times as many off is a fault."""
DEAD_SOURCE = "Lu et al. 2019, Dying ReLU and initialization; the null is the share of units that are always on"
DEAD_EXAMPLES = 100
"""Fewer examples than these cannot tell a dead unit from a silent one."""
TWINS = 0.05
TWINS_SOURCE = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4: breaking symmetry"


@dataclass(frozen=True)
class Finding:
    """One thing about one layer: what was measured, against what, and where the threshold comes from."""

    layer: str
    quantity: str
    value: float
    threshold: float
    source: str
    words: str
    short: str


def findings(layers: Sequence[LayerStatistics], examples: int) -> tuple[Finding, ...]:
    """All findings, in the order of the layers."""
    found = [*_not_finite(layers), *_signal(layers), *_gradient(layers), *_units(layers, examples)]
    places = {layer.name: i for i, layer in enumerate(layers)}
    return tuple(sorted(found, key=lambda f: places[f.layer]))


def _not_finite(layers: Sequence[LayerStatistics]) -> Iterator[Finding]:
    for layer in layers:
        if not layer.finite:
            words = f"{layer.name}: the outputs hold NaN or infinity."
            yield Finding(layer.name, "finite outputs", math.nan, 1.0, "IEEE 754", words, "not finite")
            return  # what follows is poisoned by this layer


def _signal(layers: Sequence[LayerStatistics]) -> Iterator[Finding]:
    """The first layer at which the signal's variance has fallen or grown beyond trainable, and those after it."""
    weighted = [layer for layer in layers if layer.parameters]
    first = next((layer for layer in weighted if layer.std > 0), None)
    if first is None:
        return
    for layer in layers[layers.index(first) :]:
        ratio = (layer.std / first.std) ** 2
        if not math.isfinite(ratio) or 1 / TRAINABLE <= ratio <= TRAINABLE:
            continue
        verb, short = ("vanishes", "signal vanishes") if ratio < 1 else ("explodes", "signal explodes")
        theory = (
            ""
            if layer.predicted is None
            else f", second moment {layer.second_moment:.2g} (predicted {layer.predicted:.2g})"
        )
        words = (
            f"{layer.name}: the signal {verb}: its variance is {ratio:.2g} times that of {first.name} "
            f"(spread {layer.std:.2g}{theory}); beyond a factor of {TRAINABLE:.0f} a network does not train."
        )
        yield Finding(layer.name, "variance ratio", ratio, TRAINABLE, TRAINABLE_SOURCE, words, short)


def _gradient(layers: Sequence[LayerStatistics]) -> Iterator[Finding]:
    """Layers whose gradient is beyond trainable from that of the last layer with weights."""
    weighted = [layer for layer in layers if layer.parameters and not math.isnan(layer.gradient)]
    if len(weighted) < 2 or not weighted[-1].gradient > 0:
        return
    last = weighted[-1]
    for layer in weighted[:-1]:
        ratio = (layer.gradient / last.gradient) ** 2 * (math.prod(layer.shape) / math.prod(last.shape))
        if not math.isfinite(ratio) or 1 / TRAINABLE <= ratio <= TRAINABLE:
            continue
        verb, short = ("vanishes", "gradient vanishes") if ratio < 1 else ("explodes", "gradient explodes")
        words = (
            f"{layer.name}: the gradient {verb} on its way back: per example its square is {ratio:.2g} times that at "
            f"{last.name}; beyond a factor of {TRAINABLE:.0f} a network does not train."
        )
        yield Finding(layer.name, "gradient ratio", ratio, TRAINABLE, TRAINABLE_SOURCE, words, short)


def _units(layers: Sequence[LayerStatistics], examples: int) -> Iterator[Finding]:
    for layer in layers:
        if layer.saturated is not None and layer.saturated > SATURATED:
            words = (
                f"{layer.name}: {layer.saturated:.0%} of its outputs lie where {layer.kind} is flat "
                f"(slope under 5 % of its largest); more than {SATURATED:.0%} is too much."
            )
            yield Finding(layer.name, "saturated", layer.saturated, SATURATED, SATURATED_SOURCE, words, "saturated")
        dead_allowed = max(DEAD, DEAD_TIMES * layer.always_on)
        if layer.dead > dead_allowed and examples >= DEAD_EXAMPLES and layer.saturated is not None:
            words = (
                f"{layer.name}: {layer.dead:.0%} of its units are 0 on all {examples} examples "
                f"({layer.always_on:.0%} are always on; up to {dead_allowed:.0%} would be no surprise)."
            )
            yield Finding(layer.name, "dead units", layer.dead, dead_allowed, DEAD_SOURCE, words, "dead units")
        if layer.twins > TWINS:
            words = f"{layer.name}: {layer.twins:.0%} of its units have the same incoming weights as another unit."
            yield Finding(layer.name, "symmetric units", layer.twins, TWINS, TWINS_SOURCE, words, "symmetric units")
