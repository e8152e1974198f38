"""What is trained against findings: copies of a network with one remedy each, and the network as it is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.catalogue import find
from trainsmith.inspection.faults.fault import Finding
from trainsmith.inspection.passes.copying import copy_of
from trainsmith.inspection.passes.given import called, over, some
from trainsmith.inspection.passes.record import Loss, loss_value, reason_of, untouched
from trainsmith.inspection.tried.changes import CHANGES
from trainsmith.inspection.tried.cures import cured
from trainsmith.inspection.tried.treatment import AS_IT_IS

MOST = 6
"""Remedies tried, those against the first findings first."""
TRIED_ON = 64
"""Examples that a network with a remedy must take before it is trained."""
SAME_LAYERS = ("change=optimizer", "change=thaw", "change=train")
"""Changes in which layers keep their names."""
RATES = {"batch far too small": (0.3, 0.1), "not finite": (0.1, 0.01)}
"""What the learning rate is multiplied with where no sweep says which rates do better."""


@dataclass(frozen=True)
class Arm:
    """One thing tried: a network for each seed, and what it is trained with.

    clipping: the catalogue's name of what clips the gradients, or "". used: the user's own optimizer, whose state goes
    on; else one of the rule is made anew. place: what the last layer with the finding is called in these networks, ""
    if it is gone.
    """

    name: str
    finding: Finding | None
    networks: list[nn.Module]
    rule: str
    numbers: dict[str, float]
    clipping: str = ""
    used: torch.optim.Optimizer | None = None
    place: str = ""


@dataclass(frozen=True)
class Patient:
    """A network with what it is trained on, and how: all that a remedy may change.

    rule, numbers: the catalogue's name of the optimizer, and its numbers. findings: all that there are.
    """

    module: nn.Module
    x: Any
    y: Tensor | None
    loss: Loss | None
    seeds: int
    rule: str
    numbers: dict[str, float]
    optimizer: torch.optim.Optimizer | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def shorts(self) -> set[str]:
        """The kinds of finding there are."""
        return {f.short for f in self.findings}

    def layer(self, finding: Finding) -> str:
        """The last layer with a finding of this kind."""
        return next((f.layer for f in reversed(self.findings) if f.short == finding.short), finding.layer)

    @property
    def still(self) -> list[nn.Parameter]:
        """The parameters that its optimizer does not hold, which do not move though they could."""
        if "not in the optimizer" not in self.shorts or self.optimizer is None:
            return []
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        return [p for p in self.module.parameters() if p.requires_grad and id(p) not in held]

    @property
    def stays(self) -> bool:
        """Whether the network is in evaluation mode, and that is a finding: batch norms do not normalize."""
        return "batch norm's statistics" in self.shorts and not self.module.training

    def as_it_is(self, *, still: bool = True, mode: bool = True) -> nn.Module:
        """The network as it would train. still, mode: whether `still` stays as it is, and whether the mode does."""
        held = self.still if still else []
        stays = mode and self.stays
        if not held and not stays:
            return self.module
        network, kept = copy_of(self.module, (self.module, held))
        for p in kept:
            p.requires_grad_(False)
        if stays:
            network.training = True  # its own alone: who trains it would switch all of it otherwise
        return network


def own_arm(patient: Patient) -> Arm:
    """The network as it is."""
    used = patient.optimizer if "optimizer's state not finite" in patient.shorts else None
    return Arm(AS_IT_IS, None, [patient.as_it_is()] * patient.seeds, patient.rule, patient.numbers, used=used)


def arms(name: str, finding: Finding, patient: Patient) -> Iterator[Arm | str]:
    """What is trained for this remedy, or why it cannot be tried."""
    layer = patient.layer(finding)
    for arm in _arms(name, finding, patient):
        same = isinstance(arm, Arm) and (name.startswith("optimizer=") or name in SAME_LAYERS)
        yield replace(arm, place=layer) if same and isinstance(arm, Arm) else arm


def _arms(name: str, finding: Finding, patient: Patient) -> Iterator[Arm | str]:
    family, _, what = name.partition("=")
    rule, numbers, seeds = patient.rule, patient.numbers, patient.seeds
    if what.split(" ")[0] == "lr":
        yield from _of_rates(what.partition(" ")[2], finding, patient)
    elif name == "change=optimizer":
        whole = patient.as_it_is(still=False)
        told = "a new optimizer" if finding.short == "optimizer's state not finite" else "all in the optimizer"
        yield Arm(told, finding, [whole] * seeds, rule, numbers)
    elif family == "optimizer":
        found, network = find(what, family), patient.as_it_is()
        if found.role == "clipping":
            yield Arm(name, finding, [network] * seeds, rule, numbers, clipping=found.name)
        elif found.name != rule:
            yield Arm(name, finding, [network] * seeds, found.name, {k: float(v) for k, v in found.defaults.items()})
    else:
        try:
            changed = _changed(what, patient) if family == "change" else _cured(name, finding, patient)
            told, networks, place = changed
            _check(networks[0], patient)
        except Exception as reason:
            yield reason_of(reason)
            return
        yield Arm(told, finding, networks, rule, numbers, place=place)


def _of_rates(told: str, finding: Finding, patient: Patient) -> Iterator[Arm]:
    """The learning rate that a remedy names, or those that stand for its kind of finding."""
    if "lr" not in patient.numbers:
        return
    own = patient.numbers["lr"]
    for rate in [float(told)] if told else [own * factor for factor in RATES[finding.short]]:
        networks = [patient.as_it_is()] * patient.seeds
        yield Arm(f"learning rate {rate:g}", finding, networks, patient.rule, {**patient.numbers, "lr": rate})


def _cured(name: str, finding: Finding, patient: Patient) -> tuple[str, list[nn.Module], str]:
    """The remedy's name, a network with it for each seed, and where the finding's layer is in these."""
    family, _, technique = name.partition("=")
    found, layer, still = find(technique, family), patient.layer(finding), patient.still
    data = patient.module, found, patient.x, patient.y
    made = [cured(*data, seed, finding, layer, still) for seed in range(patient.seeds)]
    for network, _ in made if patient.stays else ():
        network.training = True
    return name, [network for network, _ in made], made[0][1]


def _changed(what: str, patient: Patient) -> tuple[str, list[nn.Module], str]:
    """What the change is called, and the network with it for each seed."""
    kept = patient.as_it_is(mode=what != "train")
    data = patient.x, patient.y, patient.loss
    network, told = CHANGES[what](copy_of(kept, kept), patient.module, *data)
    return told, [network] * patient.seeds, ""


def _check(network: nn.Module, patient: Patient) -> None:
    """Raises whatever the network or the loss does where they cannot take a few of the examples any more."""
    few = over(some(patient.x, slice(TRIED_ON)), Tensor.clone)
    y = None if patient.y is None else patient.y[:TRIED_ON]
    with untouched(network), torch.no_grad():
        loss_value(called(network.eval(), few), y, patient.loss)
