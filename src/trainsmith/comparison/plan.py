"""What a study will train: the techniques around a baseline, the trials of each, and their seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainsmith.catalogue import (
    FAMILIES,
    Family,
    Hyperparameter,
    Recipe,
    Run,
    Technique,
    Trial,
    techniques,
)
from trainsmith.comparison.budget import Budget
from trainsmith.comparison.points import MOST_TUNED, shared_quantiles
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.network import Factory, called_by_name, techniques_of
from trainsmith.optimizer import Schedule
from trainsmith.population import Alone, Member, Training, make_member

COMBINATIONS = "combinations"
"""In place of a family, where techniques of several families stand together."""
FIRST_LOOK = frozenset(
    """
    zeros constant normal xavier he glorot-normal glorot-uniform orthogonal none standardization batch layer
    sigmoid tanh relu leaky-relu elu sgd momentum nesterov rmsprop adam l2 dropout label-smoothing early-stopping
    """.split()  # noqa: SIM905 - a list of words reads better so
)
"""What a study compares when it is not told: the usual choices of each family. The whole catalogue, asked
for by families or names, would take many times as long and hide them among variants."""
ALREADY = "every technique asked for is already part of the baseline."
FEW = 8
"""A step on fewer examples is tried before it is planned."""
FIRST_FRESH_SEED = 1000
"""Tuning draws its seeds from 0 on, confirmation from here on: no fresh seed was seen in tuning."""


class LeftOut(str):
    """The note that something does not apply here, which knows its name and the reason."""

    name: str
    reason: str

    def __new__(cls, name: str, reason: str) -> "LeftOut":
        note = super().__new__(cls, f"{name} was left out: {reason}.")
        note.name, note.reason = name, reason
        return note


@dataclass(frozen=True)
class Candidate:
    """Techniques in the places of the baseline's choices, one of a family; the baseline itself has none."""

    techniques: tuple[Technique, ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        return " + ".join(t.name for t in self.techniques) or "baseline"

    @property
    def family(self) -> str | None:
        """The family whose table it stands in: COMBINATIONS for several techniques, None for the baseline."""
        if not self.techniques:
            return None
        return self.techniques[0].family if len(self.techniques) == 1 else COMBINATIONS

    def tuned(self) -> list[tuple[str, Hyperparameter]]:
        """The hyper-parameters a study searches, the optimizer's learning rate first."""
        numbers = [(name, h) for name, h in self.recipe.hyperparameters() if h.tuned]
        return sorted(numbers, key=lambda pair: not pair[0].endswith(".lr"))[:MOST_TUNED]

    def trials(self, count: int) -> list[Trial]:
        """The default setting, then points that lie at the same quantiles of every technique's ranges."""
        tuned = self.tuned()
        points = [
            Trial(self.recipe, {name: h.at(q) for (name, h), q in zip(tuned, quantiles, strict=False)})
            for quantiles in shared_quantiles(count - 1)
        ]
        return [Trial(self.recipe), *points]


def default_baseline(dataset: Dataset, network: str | Factory | None = None) -> Recipe:
    """He, Adam, and the normalization and activation that the network has, if they are the catalogue's; else ReLU.

    Tables are standardized where the network normalizes nothing, since raw columns differ in unit; images are not.
    """
    standard = Recipe(normalization="standardization" if dataset.kind == "table" else "none")
    if network is None:
        return standard
    found: Mapping[str, Any] = techniques_of(network, dataset.input_shape, dataset.outputs)
    return replace(standard, **found)


def candidates(
    baseline: Recipe,
    dataset: Dataset,
    vary: Sequence[str] | None,
    only: Sequence[Technique] | None,
    schedule: str = Training.schedule,
) -> tuple[list[Candidate], list[str]]:
    """The baseline and every technique to compare with it, and notes on those that do not apply here.

    vary: the families (default the usual techniques of all). only: the techniques (default all of the families).
    schedule: of the trainings.
    """
    families = _families(vary)
    usual = vary is None and only is None
    if other := [t for t in only or () if t.family not in families]:
        raise InvalidInput(
            f"{other[0].name} is of the family {other[0].family}, which is not among those to vary "
            f"({', '.join(families)}): leave it out, or vary its family too."
        )
    chosen = [Candidate((), baseline)]
    asked = None if only is None else {(t.family, t.name) for t in only}
    notes: list[str] = []
    for technique in techniques():
        if technique.family not in families or (asked is not None and (technique.family, technique.name) not in asked):
            continue
        if usual and technique.name not in FIRST_LOOK:
            continue
        recipe = having(baseline, technique)
        if recipe == baseline:
            continue
        own = Schedule(technique.name, 1).name if technique.role == "schedule" and baseline.schedule == "none" else ""
        if own == schedule:
            notes.append(LeftOut(technique.name, f"the baseline has this schedule (--schedule {schedule})"))
            continue
        if not _for_task(technique, dataset):
            notes.append(LeftOut(technique.name, "it is defined for classification only"))
            continue
        if technique.role == "loss" and dataset.class_weights:
            notes.append(LeftOut(technique.name, "it is a loss of its own, without class weights"))
            continue
        chosen.append(Candidate((technique,), recipe))
    if len(chosen) == 1:
        raise nothing_left(notes) if notes else InvalidInput(f"nothing to compare: {ALREADY}")
    return chosen, notes


def nothing_left(notes: Sequence[str]) -> InvalidInput:
    """The error for a study all of whose techniques were left out: each reason once, with those that it keeps out."""
    reasons: dict[str, list[str]] = {}
    for note in notes:
        if isinstance(note, LeftOut):
            reasons.setdefault(note.reason, []).append(note.name)
    said = (f"{', '.join(n)} {'was' if len(n) == 1 else 'were'} left out: {why}" for why, n in reasons.items())
    return InvalidInput(f"nothing to compare: {'; '.join(said)}.")


def having(recipe: Recipe, technique: Technique) -> Recipe:
    """The recipe with `technique` in place of its family's choice; "no regularization" empties that family."""
    if technique.role == "nothing" and technique.family == "regularization":
        return replace(recipe, regularization=())
    return recipe.having(technique)


def _for_task(technique: Technique, dataset: Dataset) -> bool:
    if technique.role == "loss":
        return dataset.task == "classification"
    return dataset.classifies or not getattr(technique.make, "classifies", False)


def applicable(
    chosen: Sequence[Candidate], network: str | Factory, dataset: Dataset, batch_size: int = FEW
) -> tuple[list[Candidate], list[str]]:
    """The candidates whose techniques can be put into the network, and notes on the others and the baseline.

    batch_size: of few examples, on which some cannot take a step.
    Raises InvalidInput for a network without weights to train.
    """
    kept, notes = [], list[str]()
    of_baseline: tuple[str, ...] = ()
    for candidate in chosen:
        member = make_member(Run(Trial(candidate.recipe), 0), network, dataset)
        skipped = member.skipped
        if not any(p.requires_grad for p in member.objective.network.parameters()):
            raise InvalidInput(
                f"the network {called_by_name(network)} has no weights that are trained: nothing to compare."
            )
        if not candidate.techniques:
            notes += [f"the network has {left}." for left in member.unchanged]
            of_baseline = member.unchanged
            notes += [
                f"the baseline's {name} could not be put into the network: {why}." for name, why in skipped.items()
            ]
        reasons = [skipped.get(t.name) or _idle(t, member, dataset) for t in candidate.techniques]
        if candidate.techniques and not any(reasons):
            reasons.append(_stuck(member, dataset, batch_size))
        if missing := [reason for reason in reasons if reason]:
            notes.append(LeftOut(candidate.name, missing[0]))
        else:
            own = [left for left in member.unchanged if candidate.techniques and left not in of_baseline]
            notes += [f"{candidate.name}: the network has {left}." for left in own]
            kept.append(candidate)
    return kept, notes


def _idle(technique: Technique, member: Member, dataset: Dataset) -> str:
    """Why the technique would do nothing beside the member's network, or nothing."""
    idle = getattr(technique.make, "idle", None)
    return idle(member.objective.network, dataset.x[:8]) if idle is not None else ""


def _stuck(member: Member, dataset: Dataset, batch_size: int) -> str:
    """Why the member, which is used up, cannot take a step on so few examples, or nothing."""
    if batch_size >= FEW:
        return ""
    x, y = member.batch(dataset, batch_size)
    member.length = 1
    try:
        Alone(member).step(1, 0.0, x[None], member.targets(y)[None])
    except InvalidInput as error:
        return f"{str(error).rstrip('.')}, in batches of {batch_size}"
    return ""


def _families(vary: Sequence[str] | None) -> tuple[Family, ...]:
    for name in vary or ():
        if name not in FAMILIES:
            raise unknown_name("family", name, FAMILIES)
    return tuple(f for f in FAMILIES if vary is None or f in vary)


def tuning_runs(trials: Sequence[Trial], first_seed: int, seeds: int) -> list[Run]:
    """Every trial with so many tuning seeds from first_seed on, trial by trial."""
    return [Run(trial, first_seed + i) for trial in trials for i in range(seeds)]


def fresh_runs(trial: Trial, budget: Budget) -> list[Run]:
    """The trial with every fresh seed."""
    return [Run(trial, FIRST_FRESH_SEED + i) for i in range(budget.fresh_seeds)]


def check_training(training: Training, dataset: Dataset) -> None:
    """Refuse a batch that is larger than what a run trains on."""
    from trainsmith.data import labelled, split

    available = len(labelled(dataset, split(dataset, 0)[0], 0))
    if training.batch_size > available:
        raise InvalidInput(
            f"batch size {training.batch_size} is larger than the {available} examples a run trains on; "
            "choose a smaller one."
        )
