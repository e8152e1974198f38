"""What is wrong with how a network is set up: frozen or unreached parameters, batch norm, the optimizer's state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainsmith.inspection.faults.fault import Finding, finding, spoken
from trainsmith.inspection.faults.start import of_constant
from trainsmith.inspection.passes.double import doubled
from trainsmith.inspection.passes.given import called, over
from trainsmith.inspection.passes.prepared import without_dropout
from trainsmith.inspection.passes.record import Call, Loss, Pass, loss_value

MISMATCH, UNTOUCHED = 0.5, 0.02
"""Divergence, in nats a channel, between what reaches a batch norm and what its averages say: of averages that have
seen data, and of those that have seen none, which fit by accident at most."""
NOISE = 0.25
"""Variance of a batch norm's outputs due to the rest of the batch, in units of their own."""
DIFFERS = 0.2
"""Share of the loss, or of the best constant's if that is larger, by which evaluation mode may be worse."""
FEW_LEFT = 0.9
"""Who freezes more than this share of all numbers trains adapters, and means it."""


def of_parameters(module: nn.Module, seen: Pass, optimizer: torch.optim.Optimizer | None) -> Iterator[Finding]:
    """Parameters that will not move: frozen behind trained ones, unreached by the loss, or in no group."""
    yield from _frozen(module, seen.calls)
    named = dict(module.named_parameters())
    if seen.unused and len(seen.unused) < len(named):
        yield from _told("disconnected", seen.unused, named, "no gradient of the loss reaches")
    elif seen.unused:
        yield from _told("disconnected", tuple(named), named, "the loss does not depend on")
    if optimizer is not None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        missing = tuple(n for n, p in named.items() if p.requires_grad and id(p) not in held)
        if missing:
            yield from _told("not in the optimizer", missing, named, "the optimizer does not hold")


def _told(short: str, names: Sequence[str], named: Mapping[str, Tensor], verb: str) -> Iterator[Finding]:
    numbers = sum(named[n].numel() for n in names)
    share = numbers / sum(p.numel() for p in named.values())
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
    words = f"{verb} {shown}: {numbers:,} numbers, {share:.0%} of the network, stay what they are."
    yield finding(short, names[0].rpartition(".")[0] or names[0], "share of the parameters", share, 0.0, words)


def frozen_behind(module: nn.Module, calls: Sequence[Call]) -> tuple[str, ...]:
    """The frozen parameters behind trained ones. A frozen beginning is how a network is fine-tuned."""
    layers = [c for c in calls if any(True for _ in c.layer.parameters())]
    moves = [any(p.requires_grad for p in c.layer.parameters()) for c in layers]
    if True not in moves:
        return ()
    named = {id(p): n for n, p in module.named_parameters()}
    called = {id(p) for c in layers for p in c.layer.parameters()}
    behind = {id(p) for c in layers[moves.index(True) :] for p in c.layer.parameters() if not p.requires_grad}
    trained = False  # parameters of layers that are never called by themselves, in the order of their registration
    for p in module.parameters():
        if id(p) not in called and not p.requires_grad and trained:
            behind.add(id(p))
        trained = trained or p.requires_grad
    return tuple(n for i, n in named.items() if i in behind)


def _frozen(module: nn.Module, calls: Sequence[Call]) -> Iterator[Finding]:
    """Frozen layers behind trained ones, unless almost all is frozen."""
    names = frozen_behind(module, calls)
    total = sum(p.numel() for p in module.parameters())
    if names and sum(p.numel() for p in module.parameters() if not p.requires_grad) <= FEW_LEFT * total:
        yield from _told("frozen", names, dict(module.named_parameters()), "frozen behind layers that train:")


def of_batch_norms(seen: Pass, training: Mapping[nn.Module, bool], size: int) -> Iterator[Finding]:
    """Batch norms whose averages do not fit, where these are used, and those whose batches are too small.

    training: each module's mode as the user had it. size: examples in a batch of the user's training.
    """
    norms = [c for c in seen.calls if isinstance(c.layer, _BatchNorm) and c.entered.isfinite().all()]
    judged = [(c, _mismatch(c)) for c in norms if not training.get(c.layer, True) and c.layer.track_running_stats]
    for call, value in sorted(judged, key=lambda pair: -pair[1])[:1]:
        limit = UNTOUCHED if int(call.layer.num_batches_tracked or 0) == 0 else MISMATCH  # type: ignore[arg-type]
        if not value > limit:
            break
        words = (
            f"{spoken(call.name)}: in evaluation mode, as it is, its averages do not fit what reaches it "
            f"(divergence {value:.2g} nats a channel; up to {limit:g} is no surprise): it does not normalize."
        )
        yield finding("batch norm's statistics", call.name, "divergence", value, limit, words)
    if any(training.get(c.layer, True) for c in norms):
        noisy = [(c, _noise(doubled(c.entered), size)) for c in norms if len(c.entered) > 1]
        if noisy and (worst := max(noisy, key=lambda pair: pair[1]))[1] > NOISE:
            call, value = worst
            words = (
                f"{spoken(call.name)}: with {size} examples a batch, its outputs vary with the rest of the batch "
                f"by {value:.2g} of their own variance; up to {NOISE:g} is no surprise."
            )
            yield finding("batch norm's batches", call.name, "noise of the statistics", value, NOISE, words)


def of_evaluation(
    module: nn.Module, x: Any, y: Any, loss: Loss | None, training: Mapping[nn.Module, bool]
) -> Iterator[Finding]:
    """The loss in evaluation mode against that in training mode without dropout, where batch norms have averages.

    A network whose outputs in evaluation mode have another form, which the loss cannot take, says nothing here.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if y is None or not any(training[m] and int(m.num_batches_tracked or 0) for m in norms):
        return
    values: list[float] = []
    output: Any = None
    for mode in (False, True):
        module.train(mode)
        without_dropout(module)
        try:
            with torch.no_grad():
                output = called(module, over(x, Tensor.clone))
                values.append(float(loss_value(output, y, loss)))
        except Exception:  # a user's loss may fail in any way on what it was not written for
            return
    (evaluated, trained), chance = values, of_constant(output, y, loss)
    scale = max(abs(trained), chance or 0.0)
    if not math.isfinite(trained) or not evaluated - trained > DIFFERS * scale:
        return
    words = (
        f"in evaluation mode the loss is {evaluated:.3g}, where batch normalization by the batch itself gives "
        f"{trained:.3g}, without dropout in both; the difference should stay below {DIFFERS * scale:.2g}: the "
        "averages of batch normalization do not fit the weights as they are."
    )
    name = next(n for n, m in module.named_modules() if m is norms[0])
    yield finding("evaluation differs", name, "loss in evaluation", evaluated, trained + DIFFERS * scale, words)


def _by_channel(x: Tensor) -> Tensor:
    """(n, channels, positions)."""
    return x.reshape(*x.shape[:2], -1) if x.ndim > 1 else x[:, None, None]


def _mismatch(call: Call) -> float:
    """Kullback-Leibler divergence of the normal law with the batch's moments from that with the averages'."""
    layer: Any = call.layer
    x = _by_channel(doubled(call.entered))
    mean, variance = x.mean((0, 2)), x.var((0, 2), correction=0) + layer.eps
    ratio = variance / (doubled(layer.running_var) + layer.eps)
    shift = (mean - doubled(layer.running_mean)).square() / (doubled(layer.running_var) + layer.eps)
    value = float(((ratio + shift - 1 - ratio.log()) / 2).mean())
    return value if math.isfinite(value) else math.inf


def _noise(entered: Tensor, size: int) -> float:
    """Variance of a batch's mean, in units of the values', plus that of the logarithm of its spread.

    Examples are independent, the positions of one are not: with m_i and s_i an example's mean and its mean square
    around the mean of all, Var(m_i) / (size s) + Var(s_i) / (4 size s^2), s the mean of the s_i; 1.5 / size for normal
    numbers without positions.
    """
    x = _by_channel(entered)
    centred = x - x.mean((0, 2), keepdim=True)
    means, squares = centred.mean(2), centred.square().mean(2)
    s = squares.mean(0)
    kept = s > 0
    if not kept.any():
        return 0.0
    noise = means.var(0)[kept] / (size * s[kept]) + squares.var(0)[kept] / (4 * size * s[kept] ** 2)
    return float(noise.median())


def of_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Finding]:
    """Numbers of the optimizer's state that are NaN or infinite, which the weights may not show yet."""
    names = {id(p): n for n, p in module.named_parameters()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if not isinstance(value, Tensor) or not value.is_floating_point() or value.isfinite().all():
                continue
            count = int((~value.isfinite()).sum())
            name = names.get(id(parameter), "a parameter")
            still = "still finite" if parameter.isfinite().all() else "no longer finite"
            words = (
                f"{name}: {count:,} of {value.numel():,} numbers of the optimizer's {key} are NaN or infinite and will "
                f"stay so; the weights are {still}."
            )
            layer = name.rpartition(".")[0] or name
            yield finding("optimizer's state not finite", layer, f"finite {key}", float(count), 0.0, words)
            return
