"""Remedies: the techniques that may help against findings, tried on copies of the network as one population."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.catalogue import find
from trainsmith.errors import InvalidInput
from trainsmith.inspection.cures import cured
from trainsmith.inspection.fault import Finding
from trainsmith.inspection.given import check_whole, read
from trainsmith.inspection.inspect import Inspection, inspect_network
from trainsmith.inspection.record import Loss, loss_value
from trainsmith.inspection.telling import tell
from trainsmith.inspection.threads import fitting_threads
from trainsmith.inspection.treatment import AS_IT_IS, Remedy, Treatment, compared
from trainsmith.optimizer import Optimizer
from trainsmith.population import Population

MOST = 6
"""Remedies tried, those against the first findings first."""
RATES = {"learning rate too high": (0.1, 0.01, 0.001), "learning rate too low": (10.0, 100.0, 1000.0),
         "batch far too small": (0.3, 0.1)}  # fmt: skip
TORCHS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw", "RMSprop": "rmsprop", "Adagrad": "adagrad", "NAdam": "nadam",
          "RAdam": "radam", "Adamax": "adamax"}  # fmt: skip
"""The catalogue's names of torch's optimizers."""


@dataclass(frozen=True)
class _Arm:
    """One thing tried: a network for each seed, and what it is trained with."""

    name: str
    finding: Finding | None
    networks: list[nn.Module]
    rule: str
    numbers: dict[str, float]


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

    A seed draws the weights that a remedy draws anew, the batches and the noise. optimizer: that of the training, of a
    kind the catalogue has; else Adam with its default learning rate. The loss is that of the whole batch in evaluation
    mode. None if no finding has a remedy. Raises InvalidInput for a network without targets or with several inputs.
    """
    check_whole(seeds=seeds, steps=steps, batch_size=batch_size)
    x, y = read(batch)
    if not isinstance(x, Tensor) or y is None:
        raise InvalidInput("remedies are tried on networks with one input tensor, and with targets.")
    rule, numbers = _rule(optimizer)
    against = _chosen(inspection.findings)
    if not against:
        return None
    arms, skipped = [_Arm(AS_IT_IS, None, [module] * seeds, rule, numbers)], {}
    size = min(batch_size, len(x))
    with fitting_threads(module, x, size):
        for name, finding in against:
            for arm in _arms(name, finding, module, x, y, seeds, rule, numbers):
                if isinstance(arm, _Arm):
                    arms.append(arm)
                else:
                    skipped[name] = arm
        tell(f"remedies: {len(arms) - 1} and the network as it is, {seeds} seeds, {steps} steps each")
        losses = _trained(arms, x, y, loss, steps, size, seeds)
        seen = [inspect_network(a.networks[0], (x, y), loss) for a in arms]
    rows = [_row(arm, losses[i], losses[0], seen[i], seen[0], inspection) for i, arm in enumerate(arms)]
    ranked = sorted(rows[1:], key=lambda r: (r.diverged > 0, r.loss))
    told = f"{rule}, learning rate {numbers['lr']:g}" if "lr" in numbers else rule
    return Treatment(rows[0], tuple(ranked), skipped, steps, seeds, size, told, inspection.loss)


def _chosen(findings: Sequence[Finding]) -> list[tuple[str, Finding]]:
    """What is tried, with the finding it is against: the remedies of the first finding of each kind, in turn."""
    firsts = list({f.short: f for f in reversed(findings)}.values())[::-1]
    lists = [[(name, f) for name in f.remedies] for f in firsts]
    chosen: dict[str, Finding] = {}
    for place in range(max(map(len, lists), default=0)):
        for entries in lists:
            if place < len(entries):
                chosen.setdefault(*entries[place])
    return list(chosen.items())[:MOST]


def _arms(
    name: str,
    finding: Finding,
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    seeds: int,
    rule: str,
    numbers: dict[str, float],
) -> Iterator[_Arm | str]:
    """What is trained for this remedy, or why it cannot be put in."""
    family, _, technique = name.partition("=")
    if name == "optimizer=lr":
        for factor in RATES[finding.short] if "lr" in numbers else ():
            rate = numbers["lr"] * factor
            yield _Arm(f"learning rate {rate:g}", finding, [module] * seeds, rule, {**numbers, "lr": rate})
        return
    found = find(technique, family)
    if family == "optimizer":
        if found.name != rule:
            yield _Arm(name, finding, [module] * seeds, found.name, {k: float(v) for k, v in found.defaults.items()})
        return
    try:
        networks = [cured(module, found, x, y, seed, finding) for seed in range(seeds)]
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            networks[0].eval()(x[:2])
    except Exception as reason:
        yield str(reason).strip().splitlines()[0].rstrip(".")
        return
    yield _Arm(name, finding, networks, rule, numbers)


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


def _trained(
    arms: list[_Arm], x: Tensor, y: Tensor, loss: Loss | None, steps: int, size: int, seeds: int
) -> np.ndarray[Any, Any]:
    """The loss on all of x after training (arms, seeds), infinite where it did not stay finite."""
    losses = np.full((len(arms), seeds), math.inf)
    for rule in dict.fromkeys(a.rule for a in arms):
        places = [i for i, a in enumerate(arms) if a.rule == rule]
        networks = [n for i in places for n in arms[i].networks]
        numbers = {n: [arms[i].numbers[n] for i in places for _ in range(seeds)] for n in arms[places[0]].numbers}
        population = Population(
            networks,
            optimizer=rule,
            loss=loss,
            seeds=[s for _ in places for s in range(seeds)],
            **numbers,  # type: ignore[arg-type]
        )
        fit = population.fit(x, y, steps, size)
        with torch.no_grad():
            for k, outputs in enumerate(population.outputs(x)):
                value = float(loss_value(outputs, y, loss))
                if k not in fit.ended and math.isfinite(value):
                    losses[places[k // seeds], k % seeds] = value
    return losses


def _row(
    arm: _Arm,
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
    was, now = ({m.name: m.std for m in i.layers}.get(layer, math.nan) for i in (before, seen))
    left = {f.short for f in seen.findings}
    cures = tuple(short for short in dict.fromkeys(f.short for f in before.findings) if short not in left)
    against = finding.short if finding else ""
    return Remedy(arm.name, against, *loss, *difference, diverged, layer, was, now, cures, saved)
