"""Remedies: the techniques that may help against findings, tried on copies of the network as one population."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.catalogue import find
from trainsmith.errors import InvalidInput, whole
from trainsmith.inspection.faults.fault import Finding, ranked
from trainsmith.inspection.inspect import Inspection, inspect_network
from trainsmith.inspection.passes.given import called, count, over, read, some
from trainsmith.inspection.passes.record import Loss, untouched
from trainsmith.inspection.passes.telling import tell
from trainsmith.inspection.passes.threads import fitting_threads
from trainsmith.inspection.tried.arms import MOST, Arm, Patient, arms, own_arm
from trainsmith.inspection.tried.trained import losses_of
from trainsmith.inspection.tried.treatment import WORTH, Remedy, Treatment, compared
from trainsmith.optimizer import Optimizer

TORCHS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw", "RMSprop": "rmsprop", "Adagrad": "adagrad", "NAdam": "nadam",
          "RAdam": "radam", "Adamax": "adamax"}  # fmt: skip
"""The catalogue's names of torch's optimizers."""


def try_remedies(
    module: nn.Module,
    batch: Any,
    inspection: Inspection,
    loss: Loss | None = None,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    seeds: int = 8,
    steps: int = 100,
    batch_size: int = 64,
) -> Treatment | None:
    """Train copies of `module` with each finding's remedies for `steps` steps over `seeds` seeds, and rank them.

    Inputs may be of any form that `inspect` takes. A seed draws the weights that a remedy draws anew, the batches and
    the noise. optimizer: that of the training, of a kind the catalogue has; else Adam with its default learning rate.
    The loss is that of the whole batch in evaluation mode. None if no finding has a remedy. Raises InvalidInput without
    targets, unless the network makes a loss of its own.
    """
    seeds, steps, batch_size = whole("seeds", seeds), whole("steps", steps), whole("batch_size", batch_size)
    x, y = read(batch)
    against = _chosen(inspection.findings)
    if not against:
        return None
    _check_loss(module, x, y, loss)
    patient = Patient(module, x, y, loss, seeds, *_rule(optimizer), optimizer, inspection.findings)
    tried, skipped = [own_arm(patient)], {}
    size = min(batch_size, count(x))
    with fitting_threads(module, x, size):
        for name, finding in against:
            for arm in arms(name, finding, patient):
                if isinstance(arm, Arm):
                    tried.append(arm)
                else:
                    skipped[name] = arm
        tell(f"remedies: {len(tried) - 1} and the network as it is, {seeds} seeds, {steps} steps each")
        losses = losses_of(tried, patient, steps, size)
        seen = [inspect_network(a.networks[0], x if y is None else (x, y), loss) for a in tried]
    rows = [_row(arm, losses[i], losses[0], seen[i], seen[0], inspection) for i, arm in enumerate(tried)]
    ranking = sorted(rows[1:], key=lambda r: (r.diverged > 0, r.loss))
    rule, rate = patient.rule, patient.numbers.get("lr")
    told = rule if rate is None else f"{rule}, learning rate {rate:g}"
    return Treatment(rows[0], tuple(ranking), skipped, steps, seeds, size, told, inspection.loss)


def _check_loss(module: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> None:
    """Raises InvalidInput where there is nothing to train for."""
    if y is not None:
        return
    with untouched(module), torch.no_grad():
        output = called(module.eval(), over(some(x, slice(2)), Tensor.clone))
    if not isinstance(getattr(output, "loss", None), Tensor) and loss is None:
        raise InvalidInput("remedies are tried on networks with targets: give (inputs, targets), or a loss of its own.")


def _chosen(findings: Sequence[Finding]) -> list[tuple[str, Finding]]:
    """What is tried, with the finding it is against: the remedies of the first finding of each kind, in turn."""
    lists = [[(name, f) for name in f.remedies] for f, _ in ranked(findings)]
    chosen: dict[str, Finding] = {}
    for place in range(max(map(len, lists), default=0)):
        for entries in lists:
            if place < len(entries):
                chosen.setdefault(*entries[place])
    return list(chosen.items())[:MOST]


def _rule(optimizer: torch.optim.Optimizer | None) -> tuple[str, dict[str, float]]:
    """The catalogue's name of the optimizer, and its numbers of the first group."""
    if optimizer is None:
        return "adam", dict(find("adam", "optimizer").defaults)
    kind = type(optimizer).__name__
    group = optimizer.param_groups[0]
    name = kind if isinstance(optimizer, Optimizer) else TORCHS.get(kind, "")
    if kind == "SGD" and group.get("momentum"):
        name = "nesterov" if group.get("nesterov") else "momentum"
    if not name:
        return "adam", dict(find("adam", "optimizer").defaults)
    technique = find(name, "optimizer")
    given = {n: float(group[n]) for n in technique.defaults if isinstance(group.get(n), (int, float, Tensor))}
    betas = group.get("betas")
    if betas is not None:
        given |= {n: float(b) for n, b in zip(("beta1", "beta2"), betas, strict=False) if n in technique.defaults}
    return technique.name, {**technique.defaults, **given}


def _row(
    arm: Arm,
    losses: np.ndarray[Any, Any],
    own: np.ndarray[Any, Any],
    seen: Inspection,
    before: Inspection,
    whole: Inspection,
) -> Remedy:
    """seen, before: the network with the remedy and as it is, both looked at in the same way. whole: all findings."""
    loss, difference, diverged, saved = compared(losses, own)
    finding = arm.finding
    layer = next((f.layer for f in reversed(whole.findings) if finding and f.short == finding.short), "")
    was = {m.name: m.std for m in before.layers}.get(layer, math.nan)
    now = {m.name: m.std for m in seen.layers}.get(arm.place, math.nan)
    left = {f.short for f in seen.findings}
    cures = tuple(short for short in dict.fromkeys(f.short for f in before.findings) if short not in left)
    against, worth = finding.short if finding else "", WORTH * abs(whole.loss) if math.isfinite(whole.loss) else 0.0
    return Remedy(arm.name, against, *loss, *difference, diverged, layer, was, now, cures, saved, worth)
