"""What the measurements of a network's layers mean: each finding with value, threshold and source."""

import itertools
import math
from collections.abc import Iterator, Sequence

from trainsmith.inspection.faults.fault import Finding, finding, spoken
from trainsmith.inspection.statistics.layers import LayerStatistics

TRAINABLE = math.exp(6)
"""A signal or gradient that changes by more than this over the network does not train: depth <= 6 xi."""
SATURATED = 0.30
DEAD = 0.20
"""Share of dead units that is no surprise: a third of the zoo's trained controls have a layer with a tenth."""
DEAD_TIMES = 3
"""Random weights leave as many units always on as always off; more than so many times as many off is a fault."""
DEAD_EXAMPLES = 100
"""Fewer examples than these cannot tell a dead unit from a silent one."""
TWINS = 0.05
OVERFLOWN = ("initialization=he", "initialization=xavier", "normalization=layer")
"""What is tried against outputs that are not finite: it helps where they overflow, or weights are NaN themselves."""
RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def of_layers(layers: Sequence[LayerStatistics], examples: int) -> tuple[Finding, ...]:
    """What the layers' statistics say, in the order of the layers."""
    chain = _behind_recurrent(layers)
    found = [*_not_finite(layers), *_signal(chain), *_gradient(chain), *_units(layers, examples)]
    places = {layer.name: i for i, layer in enumerate(layers)}
    return tuple(sorted(found, key=lambda f: places[f.layer]))


def _not_finite(layers: Sequence[LayerStatistics]) -> Iterator[Finding]:
    """What follows the first such layer, or precedes it for gradients, is poisoned by it."""
    outputs = next((layer for layer in layers if not layer.finite), None)
    gradients = next((layer for layer in reversed(layers) if not layer.gradient_finite), None)
    for layer, what in ((outputs, "outputs"), (None if outputs else gradients, "gradients")):
        if layer is not None:
            words = f"{spoken(layer.name)}: the {what} hold NaN or infinity."
            remedies = OVERFLOWN if layer is outputs else ()
            yield finding("not finite", layer.name, f"finite {what}", math.nan, 1.0, words, remedies)


def _judged(layers: Sequence[LayerStatistics]) -> list[LayerStatistics]:
    """The layers compared along the depth: hidden, and of one sort, as a sigmoid alone changes variance by 16.

    The output may be as small as it likes: many networks rightly start with a last layer of zeros.
    """
    functions = [layer for layer in layers[:-1] if layer.saturated is not None]
    return functions if len(functions) > 1 else [layer for layer in layers[:-1] if layer.parameters]


def _behind_recurrent(layers: Sequence[LayerStatistics]) -> Sequence[LayerStatistics]:
    """The layers behind the last recurrent one, or all.

    Gates halve what passes them, and one module holds several layers: two layers of an LSTM as torch makes it leave a
    thousandth of the variance, and train.
    """
    recurrent = [i for i, layer in enumerate(layers) if layer.kind in RECURRENT]
    return layers[recurrent[-1] + 1 :] if recurrent else layers


def _behind_embeddings(layers: Sequence[LayerStatistics]) -> Sequence[LayerStatistics]:
    """The layers in which a signal may grow: embeddings start as small as they like, and what follows undoes it.

    From the first normalization behind embeddings on, if no function comes before it, else those behind embeddings.
    """
    weights = (i for i, layer in enumerate(layers) if layer.parameters)
    embeddings = list(itertools.takewhile(lambda i: "Embedding" in layers[i].kind, weights))
    if not embeddings:
        return layers
    behind = layers[embeddings[-1] + 1 :]
    linear = list(itertools.takewhile(lambda layer: layer.saturated is None, behind[:-1]))
    return behind[next((i for i, layer in enumerate(linear) if "Norm" in layer.kind), 0) :]


def _from_where(ratios: Sequence[float], sign: int) -> int:
    """The first place from which on every ratio is beyond trainable, to the side: -1 vanishes, 1 explodes.

    What a normalization mends further on is no fault. Without such a place it is the length.
    """
    i = len(ratios)
    while i and math.isfinite(ratios[i - 1]) and sign * (ratios[i - 1] - TRAINABLE**sign) > 0:
        i -= 1
    return i


def _signal(layers: Sequence[LayerStatistics]) -> Iterator[Finding]:
    """The first function at which the signal has fallen or grown beyond trainable, and all hidden layers after.

    The signal is the variance over examples: a sigmoid's outputs keep their spread over units, and their mean
    of 1/2, where they no longer depend on the input.
    """
    for sign, compared in ((-1, layers), (1, _behind_embeddings(layers))):
        judged = [layer for layer in _judged(compared) if math.isfinite(layer.signal)]
        if not judged or not judged[0].signal > 0:
            continue
        first = judged[0]
        i = _from_where([layer.signal / first.signal for layer in judged], sign)
        if i < len(judged):
            yield from _signal_from(layers, judged[i], first, sign)
            return


def _signal_from(
    layers: Sequence[LayerStatistics], start: LayerStatistics, first: LayerStatistics, sign: int
) -> Iterator[Finding]:
    verb, short = ("vanishes", "signal vanishes") if sign < 0 else ("explodes", "signal explodes")
    for layer in layers[layers.index(start) : -1]:
        ratio = layer.signal / first.signal
        theory = "" if layer.predicted is None else f" (predicted {layer.predicted:.2g})"
        words = (
            f"{spoken(layer.name)}: the signal {verb}: its variance over examples is {ratio:.2g} times that of "
            f"{spoken(first.name)} (spread {layer.std:.2g}, second moment {layer.second_moment:.2g}{theory}); "
            f"beyond a factor of {TRAINABLE:.0f} a network does not train."
        )
        yield finding(short, layer.name, "variance ratio", ratio, TRAINABLE**sign, words)


def _gradient(layers: Sequence[LayerStatistics]) -> Iterator[Finding]:
    """The last function whose gradient is beyond trainable from that at the last one, and all layers before.

    Where no hidden layer gets any gradient, the last layer is 0, and will not be after one step.
    """
    for sign, compared in ((-1, layers), (1, _behind_embeddings(layers))):
        backward = [layer for layer in reversed(_judged(compared)) if not math.isnan(layer.gradient)]
        if len(backward) < 2 or not backward[0].gradient > 0:
            continue
        last = backward[0]
        reference = _square(last)
        if sign > 0:  # what the data pass on the way back from the end to there: a branch may be scaled down on purpose
            reference = max(_square(m) for m in layers[layers.index(last) : -1] if not math.isnan(m.gradient))
        ways = [m for m in compared[:1] if not math.isnan(m.gradient) and m is not backward[-1]]
        i = _from_where([_square(m) / reference for m in (*backward, *ways)], sign)
        if i < len(backward):
            yield from _gradient_until(layers[: layers.index(backward[i]) + 1], last, reference, sign)
            return


def _gradient_until(
    layers: Sequence[LayerStatistics], last: LayerStatistics, reference: float, sign: int
) -> Iterator[Finding]:
    verb, short = ("vanishes", "gradient vanishes") if sign < 0 else ("explodes", "gradient explodes")
    for layer in layers:
        ratio = _square(layer) / reference
        if not sign * (ratio - TRAINABLE**sign) > 0:
            continue
        words = (
            f"{spoken(layer.name)}: the gradient {verb} on its way back: per example its square is {ratio:.2g} times "
            f"that at {spoken(last.name)}; beyond a factor of {TRAINABLE:.0f} a network does not train."
        )
        yield finding(short, layer.name, "gradient ratio", ratio, TRAINABLE**sign, words)


def _square(layer: LayerStatistics) -> float:
    """The gradient's squared length per example: pooling spreads it without losing it."""
    return layer.gradient**2 * math.prod(layer.shape)


def _units(layers: Sequence[LayerStatistics], examples: int) -> Iterator[Finding]:
    for layer in layers:
        output = layer is layers[-1]  # which may be as sure of itself as it likes
        if layer.saturated is not None and layer.saturated > SATURATED and not output:
            words = (
                f"{spoken(layer.name)}: {layer.saturated:.0%} of its outputs lie where {layer.kind} is flat "
                f"(slope under 5 % of its largest); more than {SATURATED:.0%} is too much."
            )
            yield finding("saturated", layer.name, "saturated", layer.saturated, SATURATED, words)
        dead_allowed = max(DEAD, DEAD_TIMES * layer.always_on)
        if layer.dead > dead_allowed and examples >= DEAD_EXAMPLES and layer.saturated is not None:
            words = (
                f"{spoken(layer.name)}: {layer.dead:.0%} of its units are 0 on all {examples} examples "
                f"({layer.always_on:.0%} are always on; up to {dead_allowed:.0%} would be no surprise)."
            )
            yield finding("dead units", layer.name, "dead units", layer.dead, dead_allowed, words)
        if layer.twins > TWINS:
            words = (
                f"{spoken(layer.name)}: {layer.twins:.0%} of its units have the same incoming weights as another unit."
            )
            yield finding("symmetric units", layer.name, "symmetric units", layer.twins, TWINS, words)
