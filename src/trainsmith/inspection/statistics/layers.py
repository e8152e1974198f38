"""What is measured of each layer."""

import copy
import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainsmith.inspection.passes.double import doubled, share
from trainsmith.inspection.passes.record import Call, Pass
from trainsmith.inspection.statistics.histogram import Histogram, histogram
from trainsmith.inspection.statistics.likeness import effective_rank, likeness, of_units, similarity
from trainsmith.inspection.statistics.meanfield import moments
from trainsmith.inspection.statistics.sampling import coprime

FLAT_SLOPE = 0.05
"""A saturated output is one where the activation's slope is below this share of its largest."""
MOST_UNITS = 4096
"""Layers with more units are not searched for twins: every pair is looked at."""
EQUAL, EQUAL_GRADIENTS = 1e-9, 1e-3
"""Equal units differ by no more than this share of the longest unit's length, and their gradients of the longest's."""
MOST_DRAWN = 2**17
"""A histogram is of so many values, at most: it is a picture, and more would not change it."""


@dataclass(frozen=True)
class LayerStatistics:
    """One layer on one batch.

    mean, std, second_moment: of its outputs. signal: their variance over the examples, averaged over units: what
    still tells one example from another; NaN for one example. zeros: share of outputs that are exactly 0. dead:
    share of units, of pictures channels, that are 0 on every example. always_on: share of units above 0 on every
    example; random weights of either sign make as many of these as of the dead. saturated: share of outputs where
    the slope is below 5 % of the function's largest, None for layers that are no activation function. gradient:
    spread of the loss's gradient for the outputs. predicted: the second moment that mean-field theory expects from
    the measured weights and inputs, None where it does not apply. twins: share of units whose incoming weights
    equal another unit's, and their gradients too. gradient_finite: whether no number of the gradient is NaN or
    infinite. verdict: the findings on this layer in short, or "healthy". effective_rank: participation ratio of the
    outputs over examples. likeness: mean correlation of the outputs for two examples. similarity: largest |cosine|
    between the incoming weights of two units. variance_ratio: variance of the outputs over that of the layer before,
    NaN for the first; input_ratio: over that of the network's input, NaN where it holds whole numbers. gradient_ratio:
    spread of the gradient over that of the last layer. histogram, gradient_histogram: of outputs and gradient, of
    131,072 evenly spaced values at most, without what is exactly 0; None for a gradient that there was not.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    second_moment: float
    signal: float
    zeros: float
    dead: float
    always_on: float
    saturated: float | None
    gradient: float
    predicted: float | None
    twins: float
    parameters: int
    finite: bool
    gradient_finite: bool
    histogram: Histogram
    verdict: str = "healthy"
    effective_rank: float = math.nan
    likeness: float = math.nan
    similarity: float = math.nan
    variance_ratio: float = math.nan
    input_ratio: float = math.nan
    gradient_ratio: float = math.nan
    gradient_histogram: Histogram | None = None


def measure(seen: Pass) -> list[LayerStatistics]:
    """The statistics of every call of the pass, in the order of the data's way."""
    predictions = predict(seen.calls)
    alone = [_measure(call, p) for call, p in zip(seen.calls, predictions, strict=True)]
    last = next((m.gradient for m in reversed(alone) if not math.isnan(m.gradient)), math.nan)
    before, found = math.nan, []
    for m in alone:
        ratios = ratio(m.std**2, before), ratio(m.std**2, seen.entered), ratio(m.gradient, last)
        found.append(dataclasses.replace(m, variance_ratio=ratios[0], input_ratio=ratios[1], gradient_ratio=ratios[2]))
        before = m.std**2
    return found


def ratio(value: float, reference: float) -> float:
    """NaN where there is nothing to compare with."""
    return value / reference if reference > 0 else math.nan


def _measure(call: Call, predicted: float | None) -> LayerStatistics:
    out = doubled(call.left)
    return LayerStatistics(
        name=call.name,
        kind=type(call.layer).__name__,
        shape=tuple(call.left.shape[1:]),
        mean=float(out.mean()),
        std=float(out.std(correction=0)),
        second_moment=float(out.square().mean()),
        signal=float(out.var(0, correction=0).mean()) if len(out) > 1 else math.nan,
        zeros=share(out == 0),
        dead=_units(out == 0),
        always_on=_units(out > 0),
        saturated=saturated(call),
        gradient=math.nan if call.gradient is None else float(doubled(call.gradient).std(correction=0)),
        predicted=predicted,
        twins=twins(call),
        parameters=sum(p.numel() for p in call.layer.parameters()),
        finite=bool(out.isfinite().all()),
        gradient_finite=call.gradient is None or bool(call.gradient.isfinite().all()),
        histogram=_drawn(call.left),
        gradient_histogram=None if call.gradient is None else _drawn(call.gradient),
        effective_rank=effective_rank(call.left),
        likeness=likeness(call.left),
        similarity=similarity(call.layer),
    )


def _drawn(values: Tensor) -> Histogram:
    """The histogram of what is not exactly 0, with values from every place of an example."""
    each = values[0].numel() if values.ndim > 1 else 1
    spaced = values.flatten()[:: coprime(math.ceil(values.numel() / MOST_DRAWN), each)]
    return histogram(spaced[spaced != 0])


def _units(holds: Tensor) -> float:
    """Share of units for which it holds on every example and at every position.

    The units of pictures are their channels; of (n, a, b) they are a's or b's, whichever share is larger.
    """
    if holds.ndim == 1:
        return float(holds.all())
    axes = (2, 1) if holds.ndim == 3 else (1,)
    return max(share(holds.movedim(axis, 0).flatten(1).all(1)) for axis in axes)


def is_elementwise(layer: nn.Module) -> bool:
    """Whether a layer without parameters maps single numbers to single numbers, seen by trying it."""
    if any(True for _ in layer.parameters()) or isinstance(layer, (nn.Flatten, nn.Identity, nn.Dropout)):
        return False
    device = next((b.device for b in layer.buffers()), None)
    probe = torch.linspace(-2, 2, 12, device=device).view(3, 4)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            whole = layer(probe.clone())
            columns = torch.cat([layer(c.clone()) for c in probe.split(1, dim=1)], 1)
        return whole.shape == probe.shape and torch.equal(whole, columns) and not torch.equal(whole, probe)
    except Exception:
        return False


def saturated(call: Call) -> float | None:
    """Share of outputs where the layer's slope is under 5 % of its largest; zeros of a ReLU do not count."""
    if not is_elementwise(call.layer):
        return None
    slope = _slope(call.layer, call.entered)
    largest = _slope(call.layer, torch.linspace(-8, 8, 4001).to(call.entered)).abs().max()
    flat = (slope.abs() < FLAT_SLOPE * largest) & (call.left != 0)
    return share(flat)


def _slope(layer: nn.Module, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        y = layer(x * 1)
        return torch.autograd.grad(y.sum(), x)[0]


def twins(call: Call) -> float:
    """Share of a weight layer's units that equal another unit in incoming weights and in their gradient.

    Equal weights alone are no fault: a last layer may start at 0, where the targets tell its units apart.
    """
    weight = of_units(call.layer, getattr(call.layer, "weight", None), MOST_UNITS)
    if weight is None:
        return 0.0
    rows = doubled(weight.detach()).flatten(1)
    apart = EQUAL * rows.norm(dim=1).max()
    near = _near(rows, float(apart))
    equal = _distances(rows[near]) <= apart
    if call.weight_gradient is not None:
        gradients = doubled(call.weight_gradient).flatten(1)
        equal &= _distances(gradients[near]) <= EQUAL_GRADIENTS * gradients.norm(dim=1).max()
    return float(equal.fill_diagonal_(False).any(1).sum()) / len(rows)


def _near(rows: Tensor, apart: float) -> Tensor:
    """The places of the rows that may lie as near as `apart` to another, as their sums do: most layers have none."""
    sums, order = rows.sum(1).sort()
    slack = 1e-12 * float(rows.abs().sum(1).max())  # of adding them up
    close = sums.diff() <= apart * rows.shape[1] ** 0.5 + slack
    end = close.new_zeros(1)
    return order[torch.cat([close, end]) | torch.cat([end, close])].sort().values


def _distances(rows: Tensor) -> Tensor:
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")


def predict(calls: list[Call]) -> list[float | None]:
    """The second moment theory expects behind each linear layer and the activation that follows it.

    A linear layer takes the measured second moment where a chain begins and the predicted one inside it. A chain
    goes on where a layer takes the very numbers that the one before gave: not behind a sum of branches.
    """
    out: list[float | None] = []
    carried: float | None = None
    for i, call in enumerate(calls):
        layer = call.layer
        if i and carried is not None and not same_numbers(calls[i - 1].left, call.entered):
            carried = None
        if isinstance(layer, nn.Linear) and _is_centred(layer.weight):
            gain = float(layer.in_features * doubled(layer.weight.detach()).square().mean())
            bias = float(doubled(layer.bias.detach()).square().mean()) if layer.bias is not None else 0.0
            incoming = float(doubled(call.entered).square().mean()) if carried is None else carried
            carried = gain * incoming + bias
        elif carried is not None and i and is_elementwise(layer) and math.isfinite(carried):
            carried = moments(copy.deepcopy(layer).cpu().double(), carried).second
        else:
            carried = None
        out.append(carried)
    return out


def same_numbers(left: Tensor, entered: Tensor) -> bool:
    """Whether what entered one layer is what left another, perhaps in another shape."""
    return left.numel() == entered.numel() and torch.equal(left.flatten(), entered.flatten())


def _is_centred(weight: Tensor) -> bool:
    """Whether weights look like draws around 0, as the theory takes them to be."""
    return bool(weight.mean().square() <= 0.05 * weight.square().mean())
