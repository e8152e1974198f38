"""A member: one run made ready to train, with its own weights, data split and luck."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith import luck
from trainsmith.catalogue import Role, Run
from trainsmith.data import Dataset, labelled, split
from trainsmith.errors import InvalidInput
from trainsmith.network import Factory
from trainsmith.optimizer import Optimizer
from trainsmith.population.members.constrained import clashing, constrained
from trainsmith.population.members.held_back import afterwards, checked, hold_back
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.networks import Sample, at_most_one, networks_of
from trainsmith.population.members.objective import Objective
from trainsmith.population.members.outer_layers import without_hidden
from trainsmith.population.members.pace import own_pace
from trainsmith.population.members.task import Regression, Rules, loss_of, rules_of
from trainsmith.regularization import Averaging, SnapshotEnsemble
from trainsmith.rows import Examples, Rows, fit

ONE: tuple[Role, ...] = ("loss", "mixing", "pass")
"""Roles of which a recipe has at most one technique."""


@dataclass
class Member(Learner):
    """A run ready to train.

    train, validation, watch: examples of the development part, as indices; `watch` is what early stopping
    holds back from training, else empty. unlabelled: examples of all inputs that may be trained on without their
    labels, those in `train` among them. rules: the task's. centre and scale: what numbers to predict are
    standardized with, from the training examples. stopping: the early-stopping policy, if the recipe has one. skipped:
    techniques that could not be put into the network, with the reason. unchanged: what else was left as it was.
    samples: of an ensemble the words that set each network's luck apart, and the training examples that it sees. ends:
    the step after which its training ends, before the others', if it does.
    """

    train: np.ndarray
    validation: np.ndarray
    watch: np.ndarray
    unlabelled: np.ndarray
    rules: Rules
    centre: float | Tensor = 0.0
    scale: float | Tensor = 1.0
    stopping: Any = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    unchanged: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    ends: int | None = None

    def order(self, batch_size: int, steps: int, start: int = 0) -> np.ndarray:
        """The examples of `steps` steps from `start` on, (steps, n), of all inputs; for an ensemble side by side.

        The first `targeted` have targets; those behind, for what learns from such, are unlabelled.
        """
        labelled = self.samples or (((), self.train),)
        parts = [luck.batches(self.seed, pool, batch_size, steps, start, words) for words, pool in labelled]
        if count := self.objective.unlabelled * batch_size:
            parts.append(luck.batches(self.seed, self.unlabelled, count, steps, start, ("unlabelled",)))
        return np.hstack(parts)

    def targeted(self, batch_size: int) -> int:
        """How many of a step's examples have targets."""
        return batch_size * max(1, len(self.samples))

    def batch(self, dataset: Dataset, size: int) -> tuple[Tensor, Tensor]:
        """(inputs, targets as the data have them) of the first step of a training in steps of so many examples."""
        chosen = torch.from_numpy(self.order(size, 1)[0])
        return dataset.inputs[chosen], dataset.y[chosen[: self.targeted(size)]]

    def targets(self, y: Tensor) -> Tensor:
        """Class indices and labels as they are, numbers standardized."""
        return (y - self.centre) / self.scale if isinstance(self.rules, Regression) else y

    def also_equal(self) -> tuple[object, ...]:
        """Numbers of examples: they are evaluated together."""
        return len(self.validation), len(self.watch)


def make_member(run: Run, network: str | Factory, dataset: Dataset, again: bool = False) -> Member:
    """Build the run's network, put its techniques in, draw its weights and split. All from the run's seed.

    again: for the second training of a run whose early stopping trains on all examples afterwards.
    """
    trial = run.trial
    given, validation = split(dataset, run.seed)
    train, watch, stopping = hold_back(labelled(dataset, given, run.seed), run, again)
    x, seen = Rows(dataset.x, train), np.concatenate([train, watch]) if afterwards(stopping) else train
    network, surgery, samples = networks_of(run, network, dataset, train)
    rule, numbers, clashes = _rule(run)
    unfit = _unfit(run, dataset, network, x[:8]) | _paced(run, network)
    member = Member(
        run.seed,
        _objective(network, run, dataset, x, dataset.y[seen], unfit),
        rule,
        numbers,
        train,
        validation,
        watch,
        np.concatenate([given, np.arange(len(dataset.x), len(dataset.inputs))]),
        rules_of(dataset),
        stopping=checked(stopping, network),
        skipped={**surgery.skipped, **clashes, **unfit},
        unchanged=surgery.unchanged,
        samples=samples,
    )
    for technique in trial.recipe.techniques():
        if technique.role == "clipping":
            member.clip_by(technique.make, trial.of(technique), x[:2])  # type: ignore[arg-type]
        if technique.role == "schedule" and technique.name not in {*clashes, *unfit}:
            member.schedule = technique, trial.of(technique)
    member.average = _average(run, clashes)
    member.set_apart(x[:2])
    member.unchanged += without_hidden(member.rule, member.objective, member.outside)
    member.pace = own_pace(network, member.average)
    if isinstance(member.rules, Regression):
        member.centre, member.scale = _standard(dataset, seen)
    return member.checked()


def trained_member(run: Run, network: str | Factory, dataset: Dataset, state: Mapping[str, np.ndarray]) -> Member:
    """The run's member with the weights that its training came to: `state`, the tensors of its network by name."""
    member = make_member(run, network, dataset, again=True)
    member.objective.network.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in state.items()})
    return member


def _standard(dataset: Dataset, train: np.ndarray) -> tuple[float | Tensor, float | Tensor]:
    """Centre and scale of a number to predict, of each of several, or of all pixels of an image together."""
    y = dataset.y[train].double()
    if y.ndim == 1 or (dataset.task == "autoencoding" and dataset.kind == "image"):
        return float(y.mean()), float(y.std(correction=0)) or 1.0
    scale = y.std(0, correction=0)
    return y.mean(0).float(), torch.where(scale > 0, scale, 1).float()


def _unfit(run: Run, dataset: Dataset, network: nn.Module, x: Tensor) -> dict[str, str]:
    """The recipe's techniques that are for another kind of data, or cannot act beside this network, with the reason."""
    found = {}
    for t in run.trial.recipe.techniques():
        kinds, unmet = getattr(t.make, "kinds", (dataset.kind,)), getattr(t.make, "unmet", None)
        if dataset.kind not in kinds:
            found[t.name] = f"it is for {' and '.join(f'{k}s' for k in kinds)}, and these data are {dataset.kind}s"
        elif unmet is not None and (reason := unmet(network, x)):
            found[t.name] = reason
    return found


def _paced(run: Run, network: nn.Module) -> dict[str, str]:
    """The recipe's schedule, where the network has the learning rate of every step, with the reason."""
    if not isinstance(network, SnapshotEnsemble):
        return {}
    found = [t.name for t in run.trial.recipe.techniques() if t.role == "schedule"]
    return dict.fromkeys(found, "an ensemble of snapshots has the learning rate of every step itself")


def _objective(
    network: nn.Module, run: Run, dataset: Dataset, x: Examples, y: Tensor, unfit: Mapping[str, str]
) -> Objective:
    def made(role: Role) -> list[Any]:
        found = [t for t in run.trial.recipe.techniques() if t.role == role and t.name not in unfit]
        modules = [t.make(**run.trial.of(t)) for t in found]
        return [fit(m, x) if hasattr(m, "fit") else m for m in modules]

    loss, mixing, passes = (at_most_one(run, role, made(role)) for role in ONE)
    give_head(passes, network, x[:8], run.seed)
    _alone(run, unfit)
    if loss is not None and dataset.class_weights:
        raise InvalidInput(
            "class weights and a loss that is a technique, such as label smoothing, cannot act together."
        )
    return Objective(
        network,
        loss or loss_of(dataset, y),
        made("penalty"),
        made("augmentation"),
        mixing,
        made("perturbation"),
        made("gradient"),
        passes,
    )


def give_head(passes: Any, network: nn.Module, x: Tensor, seed: int) -> None:
    """Give a second task, if that is what has the passes, its head for the network: its weights are the seed's."""
    if hasattr(passes, "with_head"):
        passes.with_head(network, x, luck.torch_generator(seed, "second task"))


def _alone(run: Run, unfit: Mapping[str, str]) -> None:
    """What has passes of its own cannot be put around those that mix examples or change weights."""
    chosen = [t for t in run.trial.recipe.techniques() if t.name not in unfit]
    own = [t.name for t in chosen if t.role == "pass"]
    separate = [t.name for t in chosen if hasattr(t.make, "resampled")]
    if own and separate:
        raise InvalidInput(
            f"{own[0]} and {separate[0]} cannot act together: it would take several networks for one; choose one."
        )
    others = [t.name for t in chosen if t.role in ("mixing", "perturbation")]
    if own and others:
        raise InvalidInput(f"{own[0]} and {others[0]} cannot act together: both want the network's pass; choose one.")


def _average(run: Run, clashes: Mapping[str, str]) -> Averaging | None:
    """What averages the weights, unless the optimizer does."""
    found = [t for t in run.trial.recipe.techniques() if t.role == "average" and t.name not in clashes]
    return at_most_one(run, "average", [t.make(**run.trial.of(t)) for t in found])


def _rule(run: Run) -> tuple[type[Optimizer], dict[str, float], dict[str, str]]:
    """The optimizer's rule with the recipe's constraints around it, its numbers, and what cannot be put around it."""
    optimizer = run.trial.recipe.one("optimizer")
    rule: Any = optimizer.make
    around = [t for t in run.trial.recipe.techniques() if t.role in ("constraint", "average", "schedule")]
    clashes = clashing(rule, around)
    chosen = tuple(t for t in around if t.name not in clashes and t.role == "constraint")
    numbers = {f"{t.name}.{name}": value for t in chosen for name, value in run.trial.of(t).items()}
    return constrained(rule, chosen) if chosen else rule, {**run.trial.of(optimizer), **numbers}, clashes
