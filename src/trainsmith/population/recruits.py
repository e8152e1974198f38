"""From what a user gives, a factory or modules and values for each member, to learners."""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainsmith import luck
from trainsmith.catalogue import Technique, find
from trainsmith.errors import InvalidInput, integer, shown, whole
from trainsmith.optimizer import Clipping, Optimizer
from trainsmith.population.members.asked import check_real, copied, number
from trainsmith.population.members.beside import average_among, for_each, objective_with, rule_with
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.member import give_head
from trainsmith.population.members.objective import CrossEntropy
from trainsmith.population.members.pace import own_pace
from trainsmith.population.members.several import Kind, averages, joined, without_ensemble

Networks = Callable[..., nn.Module] | Sequence[nn.Module]
Loss = str | Callable[[Tensor, Tensor], Tensor] | None


class Function(nn.Module):
    """A loss given as a function of outputs and targets."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.function(outputs, targets)


class MeanSquare(nn.Module):
    """Mean squared error; outputs (n, 1) meet targets (n,), and outputs (n,) targets (n, 1).

    Raises ValueError for others of unequal shapes, which would be compared each with each.
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        one = (*outputs.shape, 1) == targets.shape or (*targets.shape, 1) == outputs.shape
        if not one and outputs.shape != targets.shape:
            raise ValueError("for the squared error each output needs a target of its own")
        return functional.mse_loss(outputs.reshape(targets.shape), targets)


@dataclass(frozen=True)
class Recruits:
    """The members of a population to be: their networks, seeds, the optimizer's numbers and the loss of each.

    ensemble: of which each network is one, if any.
    """

    networks: list[nn.Module]
    seeds: list[int]
    rule: type[Optimizer]
    numbers: list[dict[str, float]]
    losses: list[Loss]
    regularizers: list[list[Any]]
    clipping: list[Clipping | None]
    ensemble: Kind | None = None

    def only(self, k: int) -> "Recruits":
        """Member k by itself."""
        return replace(
            self,
            networks=[self.networks[k]],
            seeds=[self.seeds[k]],
            numbers=[self.numbers[k]],
            losses=[self.losses[k]],
            regularizers=[self.regularizers[k]],
            clipping=[self.clipping[k]],
        )

    def learners(self, x: Tensor | None, y: Tensor) -> list[Learner]:
        """One learner a member, on copies of the networks, with the loss that suits targets like y.

        x: inputs like those to come, for regularizers that have weights of their own.
        """
        if self.ensemble is not None:
            for network, loss in zip(self.networks, self.losses, strict=True):
                network.kind = averages(loss, y)  # type: ignore[assignment]
        learners = [
            self.learner(copied(network), seed, numbers, loss, own, x, y)
            for network, seed, numbers, loss, own in zip(
                self.networks, self.seeds, self.numbers, self.losses, self.regularizers, strict=True
            )
        ]
        for learner, clipping in zip(learners, self.clipping, strict=True):
            few = None if x is None else x.cpu()
            learner.set_apart(few)
            if clipping is not None:
                learner.clip_by(type(clipping), dict(clipping.numbers), few)
        return learners

    def learner(
        self,
        network: nn.Module,
        seed: int,
        numbers: dict[str, float],
        loss: Loss,
        regularizers: list[Any],
        x: Tensor | None,
        y: Tensor,
    ) -> Learner:
        """The learner of this network, with copies of these regularizers."""
        regularizers = copy.deepcopy(regularizers)
        check_real(network)
        if x is not None:
            for own in regularizers:
                give_head(own, network, x.cpu(), seed)
        rule, added = rule_with(self.rule, regularizers)
        objective = objective_with(network, _loss(loss, y), regularizers)
        average = average_among(self.rule, regularizers)
        numbers = {**numbers, **added}
        learner = Learner(seed, objective, rule, numbers, average=average).checked()
        learner.pace = own_pace(network, average)
        return learner


def recruit(
    network: Networks,
    members: int | None,
    optimizer: str | type[Optimizer],
    loss: Loss | Sequence[Loss],
    seeds: int | Sequence[int] | None,
    given: Mapping[str, Any],
    regularizers: Any = None,
    clipping: Any = None,
) -> Recruits:
    """The members described by these arguments of Population. Raises InvalidInput for what does not fit together."""
    technique = _optimizer(optimizer)
    modules = None if callable(network) and not isinstance(network, nn.Module) else _modules(network)
    lists = {name: listed for name, value in given.items() if (listed := _values(value)) is not None}
    counts = {f"{name}=": len(values) for name, values in lists.items()}
    if members is not None:
        counts["members="] = whole("members", members)
    if modules is not None:
        counts["the list of networks"] = len(modules)
    if isinstance(regularizers, (list, tuple)) and regularizers and isinstance(regularizers[0], (list, tuple)):
        counts["regularizers="] = len(regularizers)
    counts |= {f"{name}=": len(value) for name, value in (("clipping", clipping), ("loss", loss)) if _listed(value)}
    if seeds is not None and not isinstance(seeds, int):
        counts["seeds="] = len(seeds)
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{what} {count}" for what, count in counts.items())
        raise InvalidInput(f"every list must have one value for each member; got {told}.")
    count = next(iter(counts.values()), 1)
    if count < 1:
        raise InvalidInput(f"a population needs at least one member; got {count!r}.")
    own = [{name: lists[name][k] if name in lists else value for name, value in given.items()} for k in range(count)]
    known = {h.name for h in technique.hyperparameters}
    numbers = [{**technique.defaults, **{n: number(n, v) for n, v in o.items() if n in known}} for o in own]
    for each in numbers:
        for h in technique.hyperparameters:
            h.check(each[h.name], technique.name)
    drawn = list(range(count)) if seeds is None else _seeds([seeds] * count if isinstance(seeds, int) else seeds)
    rest = [{n: v for n, v in o.items() if n not in known} for o in own]
    if modules is None:
        _check_arguments(network, rest[0], technique)  # type: ignore[arg-type]
        builds = [functools.partial(_build, network, seed, own) for seed, own in zip(drawn, rest, strict=True)]  # type: ignore[arg-type]
    elif rest[0]:
        raise InvalidInput(
            f"{technique.name} has no hyper-parameter {', '.join(rest[0])}; it has {', '.join(sorted(known))}."
        )
    else:
        builds = [functools.partial(_given, module) for module in modules]
    ensemble, beside = without_ensemble(for_each(regularizers, count))
    modules = [build() if ensemble is None else joined(ensemble, build) for build in builds]
    clips = [_clipping(c) for c in (clipping if _listed(clipping) else [clipping] * count)]
    losses: list[Loss] = list(loss) if _listed(loss) else [loss] * count  # type: ignore[list-item]
    recruits = Recruits(modules, drawn, technique.make, numbers, losses, beside, clips, ensemble)  # type: ignore[arg-type]
    for one, added in zip(losses, beside, strict=True):
        recruits.learner(modules[0], 0, {}, one, added, None, torch.zeros(2))  # what does not fit together is told now
    return recruits


def _listed(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether there is one for each member."""
    return isinstance(value, (list, tuple))


def _seeds(given: Sequence[Any]) -> list[int]:
    """Whole numbers, whatever kind of whole number was given; luck hangs on how a seed is written."""
    seeds = [integer(seed) for seed in given]
    if not all(seed is not None and 0 <= seed < 2**63 for seed in seeds):
        raise InvalidInput(f"seeds must be whole numbers from 0 to 2**63 - 1; got {shown(given)}.")
    return [seed for seed in seeds if seed is not None]


def _optimizer(optimizer: str | type[Optimizer]) -> Technique:
    if isinstance(optimizer, str):
        return find(optimizer, "optimizer")
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return find(optimizer.__name__, "optimizer")
    given = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
    raise InvalidInput(
        f"optimizer must be the name or class of one of trainsmith's optimizers, which take one value a member; got "
        f"{given}. Say optimizer='adam', for example; `trainsmith techniques optimizer` lists them."
    )


def _clipping(given: Any) -> Clipping | None:
    """What clips the gradients, from an object, its name, or nothing."""
    if isinstance(given, str) and (technique := find(given, "optimizer")).role == "clipping":
        given = technique.make()
    if given is None or isinstance(given, Clipping):
        return given
    raise InvalidInput(
        f"clipping must be one of trainsmith.optimizer's, such as ClipByNorm(1.0), its name, or a list with one a "
        f"member; got {given if isinstance(given, str) else type(given).__name__}."
    )


def _modules(network: Any) -> list[nn.Module]:
    if isinstance(network, nn.Module) and not isinstance(network, nn.ModuleList):
        raise InvalidInput(
            "a population needs a function that makes a fresh network for each member, or a list of networks; got one "
            "network. Pass the function, not its result."
        )
    modules = list(network) if isinstance(network, (list, tuple, nn.ModuleList)) else []
    if not modules or not all(isinstance(m, nn.Module) for m in modules):
        raise InvalidInput(
            f"a population needs a function that makes a network, or a list of networks; got {type(network).__name__}."
        )
    return modules


def _values(value: Any) -> list[Any] | None:
    """One value a member, if a sequence, array or tensor of them was given."""
    if isinstance(value, (Tensor, np.ndarray)):
        return list(value.tolist()) if value.ndim else None
    return list(value) if isinstance(value, (list, tuple, range)) else None


def _check_arguments(network: Callable[..., nn.Module], arguments: Mapping[str, Any], technique: Technique) -> None:
    parameters = inspect.signature(network).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in arguments:
        if name not in parameters:
            numbers = ", ".join(h.name for h in technique.hyperparameters)
            raise InvalidInput(
                f"'{name}' is neither a hyper-parameter of {technique.name} ({numbers}) nor an argument of the "
                f"network's factory ({', '.join(parameters) or 'it takes none'})."
            )


def _given(module: nn.Module, *words: str | int) -> nn.Module:
    if words:
        raise InvalidInput("an ensemble draws several networks a member: pass a function that makes one, not a list.")
    return module


def _build(network: Callable[..., nn.Module], seed: int, arguments: Mapping[str, Any], *words: str | int) -> nn.Module:
    """A fresh network from the seed; words: what sets its luck apart from that of the seed's others."""
    with luck.drawn(seed, *words, "construction"):
        module = network(**arguments)
    if not isinstance(module, nn.Module):
        raise InvalidInput(f"the network's factory must return an nn.Module; it returned {type(module).__name__}.")
    return module


def _loss(loss: Loss, y: Tensor) -> nn.Module:
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss)
    if callable(loss):
        return Function(loss)
    if loss not in (None, "cross-entropy", "mse"):
        raise InvalidInput(
            f"loss must be 'cross-entropy', 'mse' or a function of outputs and targets, or a list with one a "
            f"member; got {loss!r}."
        )
    if loss == "mse" or (loss is None and y.is_floating_point()):
        return MeanSquare()
    return CrossEntropy() if y.ndim == 1 else nn.CrossEntropyLoss()
