"""What a member of a population is regularized with, beside its network and its loss."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from trainsmith.catalogue import Technique, techniques
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import Optimizer
from trainsmith.population.members.constrained import clashing, constrained
from trainsmith.population.members.objective import Objective
from trainsmith.population.members.several import named
from trainsmith.regularization import Averaging

HOMES = {"penalty": "penalties", "augmentation": "augmentations", "perturbation": "perturbations",
         "gradient": "gradients", "mixing": "mixing", "pass": "passes"}  # fmt: skip
"""Where an objective has the regularizers of a role; constraints act around the optimizer's step instead."""
ELSEWHERE = {
    "layer": "it is a layer: put it into the network",
    "loss": "it is a loss: give it as loss=",
    "stopping": "it says when to stop: ask its `update` after each of several calls of fit",
    "pooling": "it is a layer: put it into the network",
    "branch": "it is a layer: put it into the network",
    "pair": "it is a layer: put it into the network",
    "tying": "it changes the network: call tied_weights in its factory",
    "ensemble": "it is made of the population's own networks: give its name",
    "nothing": "it does nothing: leave it out",
}


def for_each(given: Any, members: int) -> list[list[Any]]:
    """Each member's regularizers, from one list for all or a list with one list a member."""
    if given is None:
        return [[] for _ in range(members)]
    if not isinstance(given, (list, tuple)):
        raise InvalidInput(
            f"regularizers must be a list, such as [MaxNorm(3.0)], or a list of lists, one a member; got "
            f"{type(given).__name__}."
        )
    lists = [isinstance(g, (list, tuple)) for g in given]
    if not any(lists):
        return [named(given) for _ in range(members)]
    if not all(lists) or len(given) != members:
        raise InvalidInput(
            f"regularizers must be one list for all members or one list for each of {members}; got "
            f"{sum(lists)} lists among {len(given)} entries."
        )
    return [named(g) for g in given]


def objective_with(network: nn.Module, loss: nn.Module, regularizers: Sequence[Any]) -> Objective:
    """The network's objective with those regularizers that are part of it."""
    parts: dict[str, Any] = {}
    for technique, regularizer in zip(_known(regularizers), regularizers, strict=True):
        home = HOMES.get(technique.role)
        if home in ("mixing", "passes"):
            if home in parts:
                what = "mixings" if home == "mixing" else "techniques with passes of their own"
                raise InvalidInput(f"two {what} cannot act together; choose one of them.")
            parts[home] = regularizer
        elif home is not None:
            parts.setdefault(home, []).append(regularizer)
    if "passes" in parts and parts.keys() & {"mixing", "perturbations"}:
        raise InvalidInput("a technique with own passes cannot act with a mixing or perturbation; choose one of them.")
    return Objective(network, loss, **parts)


def rule_with(rule: type[Optimizer], regularizers: Sequence[Any]) -> tuple[type[Optimizer], dict[str, float]]:
    """The optimizer's rule with those regularizers that act around its step, and their numbers."""
    found = [(t, r) for t, r in zip(_known(regularizers), regularizers, strict=True) if t.role == "constraint"]
    if not found:
        return rule, {}
    chosen = tuple(t for t, _ in found)
    if clash := clashing(rule, chosen):
        raise InvalidInput("; ".join(f"{name} cannot be used: {reason}" for name, reason in clash.items()) + ".")
    hashable: Any = rule  # which a type checker cannot know of a subclass of torch.optim.Optimizer
    return constrained(hashable, chosen), {f"{t.name}.{n}": float(v) for t, r in found for n, v in r.numbers.items()}


def average_among(rule: type[Optimizer], regularizers: Sequence[Any]) -> Averaging | None:
    """The one among the regularizers that averages the weights."""
    found = [(t, r) for t, r in zip(_known(regularizers), regularizers, strict=True) if t.role == "average"]
    if len(found) > 1:
        raise InvalidInput("two averages of the weights cannot act together; choose one of them.")
    if clash := clashing(rule, [t for t, _ in found]):
        raise InvalidInput("; ".join(f"{name} cannot be used: {reason}" for name, reason in clash.items()) + ".")
    return found[0][1] if found else None


def _known(regularizers: Sequence[Any]) -> list[Technique]:
    """The catalogue's entry of each. Raises InvalidInput for what is not in it, or belongs elsewhere."""
    entries = techniques("regularization")
    found = [next((t for t in entries if t.make in (type(r), r)), None) for r in regularizers]
    for regularizer, entry in zip(regularizers, found, strict=True):
        if entry is None:
            raise InvalidInput(
                "regularizers must be made by classes of trainsmith.regularization (`trainsmith techniques "
                f"regularization` lists them); got {type(regularizer).__name__}."
            )
        if entry.role in ELSEWHERE:
            raise InvalidInput(f"{entry.name} cannot be among the regularizers: {ELSEWHERE[entry.role]}.")
    return [entry for entry in found if entry is not None]
