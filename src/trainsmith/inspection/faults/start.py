"""What shows before the first step: the scale of the inputs, the first loss, a missing non-linearity."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from trainsmith.inspection.faults.fault import Finding, finding, spoken
from trainsmith.inspection.passes.copying import copy_of
from trainsmith.inspection.passes.double import doubled, share
from trainsmith.inspection.passes.given import tensors
from trainsmith.inspection.passes.record import Call, Loss, Pass, first_tensor, loss_value
from trainsmith.inspection.statistics.layers import same_numbers
from trainsmith.inspection.statistics.likeness import likeness

SMALL, LARGE = 0.1, 5.0
"""What the root mean square of the inputs that are not 0 should lie between."""
UNLIKE = 100.0
"""How many times the median spread of the inputs their largest may be."""
CONSTANT = 0.5
"""Share of inputs that may be the same for every example; the borders of pictures are."""
TOO_SURE, TOO_LARGE = 2.0, 16.0
"""How many nats above chance a first loss for classes may lie, and how many times the best constant's for numbers."""
FAR = 1.5
"""How many spreads from 0 the mean of numbers to predict may lie."""
WIDE = 10.0
"""How far their spread may be from 1, as a factor."""
LEAST_EXAMPLES = 16


ALIKE = 0.98
"""Mean correlation of two examples behind the last hidden layer."""


def of_data(x: Any, y: Tensor | None) -> Iterator[Finding]:
    """Inputs or targets that hold NaN or infinity, which everything behind them will."""
    for name, values in (("inputs", tensors(x)), ("targets", [] if y is None else [y])):
        broken = [t for t in values if t.is_floating_point() and not t.isfinite().all()]
        if broken:
            count = sum(int((~t.isfinite()).sum()) for t in broken)
            rows = sum(int((~t.isfinite()).flatten(1).any(1).sum()) if t.ndim > 1 else count for t in broken)
            words = f"the {name} hold {count:,} NaN or infinite numbers, in {rows:,} of {len(broken[0]):,} examples."
            yield finding("not finite", name, f"finite {name}", float(count), 0.0, words)


def of_likeness(seen: Pass) -> Iterator[Finding]:
    """Examples that can hardly be told apart where the last weight layer takes them, and could before.

    Only of a plain chain of layers: with sums of branches, as in transformers, what all examples share may be large
    where what tells them apart still passes.
    """
    weights = [c for c in seen.calls if any(p.ndim > 1 for p in c.layer.parameters())]
    first = next((c for c in weights if c.entered.is_floating_point()), None)
    if first is None or len(weights) < 2 or len(first.entered) < LEAST_EXAMPLES:
        return
    before, value = likeness(first.entered), likeness(weights[-1].entered)
    if not value > ALIKE or not before < ALIKE or not _is_chain(seen.calls, first, weights[-1]):
        return
    words = (
        f"{spoken(weights[-1].name)}: two examples have a correlation of {value:.4f} where it takes them, {before:.2g} "
        f"where they came in; beyond {ALIKE:g} they look alike."
    )
    yield finding("examples look alike", weights[-1].name, "mean correlation", value, ALIKE, words)


def _is_chain(calls: list[Call], first: Call, last: Call) -> bool:
    """Whether each layer from the one to the other takes the very numbers that the layer before gave."""
    start, end = (next(i for i, call in enumerate(calls) if call is one) for one in (first, last))
    return all(same_numbers(a.left, b.entered) for a, b in itertools.pairwise(calls[start : end + 1]))


def of_inputs(seen: Pass) -> Iterator[Finding]:
    """What reaches the first weight layer: its size, how unlike its columns are, and what never changes."""
    call = _first_weights(seen.calls)
    if call is None or len(call.entered) < LEAST_EXAMPLES or not call.entered.isfinite().all():
        return
    x = doubled(call.entered)
    per_example = x.std(0, correction=0)
    constant = share(per_example <= 1e-6 * x.abs().mean(0))
    if constant > CONSTANT:
        words = (
            f"{spoken(call.name)}: {constant:.0%} of the numbers that reach it are the same for all {len(x)} examples; "
            f"up to {CONSTANT:.0%} is no surprise."
        )
        yield finding("constant inputs", call.name, "constant inputs", constant, CONSTANT, words)
    used = x[x != 0]
    size = float(used.square().mean().sqrt()) if len(used) else 0.0
    if not SMALL <= size <= LARGE:
        bound = SMALL if size < SMALL else LARGE
        words = (
            f"{spoken(call.name)}: the inputs that are not 0 have a root mean square of {size:.3g}, which should lie "
            f"between {SMALL:g} and {LARGE:g}; the curvature of the loss in its weights grows with the square of it."
        )
        yield finding("unscaled inputs", call.name, "root mean square", size, bound, words)
        return
    spreads = _columns(call, x)
    spreads = spreads[spreads > 1e-6 * spreads.max()]
    ratio = float(spreads.max() / spreads.median()) if len(spreads) else 1.0
    if ratio > UNLIKE:
        words = (
            f"{spoken(call.name)}: the widest of its inputs has {ratio:.3g} times the median's spread; beyond "
            f"{UNLIKE:g} one learning rate cannot suit them all."
        )
        yield finding("unscaled inputs", call.name, "spread ratio", ratio, UNLIKE, words)


def _first_weights(calls: Sequence[Call]) -> Call | None:
    """The first layer with a matrix of weights, if no embedding comes before it."""
    for call in calls:
        if isinstance(call.layer, (nn.Embedding, nn.EmbeddingBag)):
            return None
        if any(p.ndim > 1 for p in call.layer.parameters()) and call.entered.is_floating_point():
            return call
    return None


def _columns(call: Call, x: Tensor) -> Tensor:
    """The spread of each column, or channel of pictures."""
    axis = 1 if isinstance(call.layer, _ConvNd) and x.ndim > 2 else x.ndim - 1
    return x.std([a for a in range(x.ndim) if a != axis], correction=0)


def of_first_loss(seen: Pass, y: Tensor | None, loss: Loss | None) -> Iterator[Finding]:
    """The first loss against that of the best constant answer, which a network should start near."""
    output = first_tensor(seen.output)
    if y is None or output is None or not math.isfinite(seen.loss):
        return
    chance = of_constant(seen.output, y, loss)
    if chance is None or not chance > 0:
        return
    if y.is_floating_point():
        yield from _of_targets(seen, doubled(y.detach()), chance)
    allowed = chance * TOO_LARGE if y.is_floating_point() else chance + TOO_SURE * _nat(output, y, chance)
    if seen.loss <= allowed:
        return
    spread = float(doubled(output.detach()).std(correction=0))
    words = (
        f"the first loss is {seen.loss:.3g}, where always giving the best constant has {chance:.3g}; more than "
        f"{allowed:.3g} says that it begins sure of what it cannot know (its outputs have spread {spread:.2g})."
    )
    yield finding("wrong initial loss", seen.calls[-1].name, "first loss", seen.loss, allowed, words)


def _nat(output: Tensor, y: Tensor, chance: float) -> float:
    """What a nat of every example is in this loss: 1 in a mean, n in a sum. The chance is the log of the classes, of
    which a single number an example tells two."""
    if output.numel() == y.numel():
        return chance / math.log(2)
    classes = output.shape[-1] if output.shape[:-1] == y.shape else output.shape[min(1, output.ndim - 1)]
    return chance / math.log(classes) if classes > 1 else 1.0


def share_left(seen: Pass, y: Tensor | None, loss: Loss | None) -> float:
    """The loss over that of the best constant answer; 1 where that cannot be asked for."""
    chance = None if y is None else of_constant(seen.output, y, loss)
    return seen.loss / chance if chance is not None and chance > 0 else 1.0


def _of_targets(seen: Pass, y: Tensor, chance: float) -> Iterator[Finding]:
    """Numbers to predict that lie where no output does at the start. Labels and pixels, from 0 to 1, are left alone."""
    if y.min() >= 0 and y.max() <= 1:
        return
    mean, spread = y.mean(0), y.std(0, correction=0)
    far = float((mean.abs() / spread.clamp_min(1e-300)).max())
    wide = float(spread.max())
    if far <= FAR and 1 / WIDE <= wide <= WIDE:
        return
    value, limit, what = (far, FAR, "mean / spread") if far > FAR else (wide, WIDE, "spread")
    words = (
        f"the first loss is {seen.loss:.3g}, where always giving the best constant has {chance:.3g}: the numbers to "
        f"predict have mean {float(mean.abs().max()):.3g} and spread {wide:.3g}, where outputs begin around 0 with "
        "spread 1 or so."
    )
    yield finding("wrong initial loss", seen.calls[-1].name, f"targets' {what}", value, limit, words)


def of_constant(whole: Any, y: Tensor, loss: Loss | None) -> float | None:
    """The loss of the mean of the targets, or of classes all alike likely; None where it cannot be asked for.

    whole: what the network gave.
    """
    output = first_tensor(whole)
    if output is None:
        return None
    output = output.detach()
    if loss is not None and not isinstance(whole, Tensor):
        return None
    if y.is_floating_point():
        if y.numel() != output.numel():
            return None
        constant = y.mean(0, keepdim=True).expand(y.shape).reshape(output.shape).to(output.dtype)
    else:
        constant = torch.zeros_like(output)
    try:
        with torch.no_grad():
            return float(loss_value(constant, y, loss))
    except Exception:
        return None


POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
LINEAR = (nn.Flatten, nn.Identity, nn.Dropout, nn.Unflatten, _BatchNorm, *POOLS)
"""Layers behind which a linear function is still one."""


def of_linear_chains(seen: Pass) -> Iterator[Finding]:
    """Weight layers that take what another gave with nothing but linear layers between them.

    Two such layers can do no more than one. What goes elsewhere too, as around a residual branch, is not meant. Where
    what passes between them is narrower than both ends they save weights, which is done on purpose; so is a depthwise
    convolution beside a pointwise one.
    """
    for i, first in enumerate(seen.calls):
        if not _dense(first.layer):
            continue
        before = first
        for second in seen.calls[i + 1 :]:
            linear = _dense(second.layer) or isinstance(second.layer, LINEAR)
            if not linear or not same_numbers(before.left, second.entered) or not _only_there(before, second):
                break
            if _dense(second.layer):
                if second.layer is not first.layer and not _narrow(first.layer, second.layer):
                    words = (
                        f"{spoken(second.name)} takes what {spoken(first.name)} gives with no activation function "
                        "between them: two linear layers in a row can do no more than one."
                    )
                    yield finding("missing non-linearity", second.name, "linear layers in a row", 2.0, 1.0, words)
                break
            before = second


def _dense(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, _ConvNd) and layer.groups == 1)


def _only_there(first: Call, second: Call) -> bool:
    """Whether the second is the only one that takes what the first gave: then all of its gradient comes from there."""
    if first.gradient is None or second.gradient is None:
        return True
    if isinstance(second.layer, nn.Dropout):
        came = second.gradient * torch.where(second.entered != 0, second.left / second.entered, 0)
    else:
        x = second.entered.clone().requires_grad_()
        with torch.enable_grad():
            (came,) = torch.autograd.grad(copy_of(second.layer, second.layer)(x.clone()), x, second.gradient)
    there = first.gradient.flatten()
    return bool(there.isfinite().all()) and torch.allclose(
        came.flatten(), there, rtol=1e-3, atol=1e-4 * float(there.abs().max())
    )


def _narrow(first: Any, second: Any) -> bool:
    """Whether what passes between them has fewer features than what comes in and what goes out."""
    ends = (first.in_features, first.out_features) if isinstance(first, nn.Linear) else (
        first.in_channels, first.out_channels)  # fmt: skip
    out = second.out_features if isinstance(second, nn.Linear) else second.out_channels
    return bool(ends[1] < min(ends[0], out))
