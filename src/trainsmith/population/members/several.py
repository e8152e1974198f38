"""Ensembles by name in a population: each member is several networks, of which each sees examples of its own."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.catalogue import find, techniques
from trainsmith.errors import InvalidInput
from trainsmith.luck import batches, generator
from trainsmith.regularization.ensemble import COUNT

Kind = type[Any]
"""The class of an ensemble."""


def named(given: Sequence[Any]) -> list[Any]:
    """The regularizers with those given by name made at their defaults; an ensemble stays a class.

    So does what is refused among regularizers and cannot be made without a network.
    """
    return [_made(r) if isinstance(r, str) else r for r in given]


def _made(name: str) -> Any:
    technique = find(name, "regularization")
    return technique.make if technique.role in ("ensemble", "nothing", "pair", "tying") else technique.make()


def without_ensemble(members: Sequence[Sequence[Any]]) -> tuple[Kind | None, list[list[Any]]]:
    """The ensemble among the regularizers of all members, and these without it.

    Raises InvalidInput where some members have another than others, or one has two.
    """
    kinds = {t.make for t in techniques("regularization") if t.role == "ensemble"}
    found = [[r for r in own if isinstance(r, type) and r in kinds] for own in members]
    if len({tuple(own) for own in found}) > 1 or any(len(own) > 1 for own in found):
        raise InvalidInput("all members must have the same ensemble, and one at most; train others by themselves.")
    return (found[0][0] if found[0] else None), [[r for r in own if r not in kinds] for own in members]


def networks_in(ensemble: Kind | None) -> int:
    """How many networks of a member train side by side, each on its own part of a batch."""
    return COUNT if hasattr(ensemble, "resampled") else 1


def joined(ensemble: Kind, build: Callable[..., nn.Module]) -> nn.Module:
    """An ensemble of networks by build(*words), whose words set their luck apart; snapshots are of one network."""
    if networks_in(ensemble) == 1:
        return ensemble([copy.deepcopy(build()) for _ in range(COUNT)])
    return ensemble([build(*_words(m)) for m in range(COUNT)])


def averages(loss: object, y: Tensor) -> str:
    """What an ensemble averages, given the loss and targets: probabilities of classes or of labels, or numbers."""
    if isinstance(loss, nn.BCEWithLogitsLoss):
        return "labels"
    return "numbers" if loss == "mse" or (loss != "cross-entropy" and y.is_floating_point()) else "classes"


def own_batches(ensemble: Kind | None, seed: int, examples: np.ndarray, size: int | None, steps: range) -> np.ndarray:
    """The examples (steps, networks * size) of a member, its networks' side by side; all in each step for size None.

    Bagging draws for each network as many examples as there are, with replacement, as a study does.
    """
    parts = []
    for m in range(networks_in(ensemble)):
        pool = examples
        if getattr(ensemble, "resampled", False):
            pool = pool[generator(seed, "bootstrap", m).integers(0, len(pool), len(pool))]
        if size is None:
            parts.append(np.tile(pool, (len(steps), 1)))
        else:
            parts.append(batches(seed, pool, size, len(steps), steps.start, words=_words(m)))
    return np.hstack(parts) if len(parts) > 1 else parts[0]


def for_each_network(ensemble: Kind | None, x: Tensor, axis: int) -> Tensor:
    """A batch once for each network of a member. Raises InvalidInput for what has to know the whole training."""
    if ensemble is not None and (networks_in(ensemble) == 1 or ensemble.resampled):
        raise InvalidInput(f"{ensemble.__name__} has to know examples and length of the training: train by `fit`.")
    return torch.cat([x] * networks_in(ensemble), axis) if ensemble is not None else x


def _words(m: int) -> tuple[str | int, ...]:
    return ("network", m) if m else ()
