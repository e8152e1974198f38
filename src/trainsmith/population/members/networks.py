"""The network of a run with its techniques in it, or the several networks of an ensemble."""

import copy
import functools
from typing import Any

import numpy as np
from torch import nn

from trainsmith import luck, regularization
from trainsmith.catalogue import Run
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.network import Factory, Surgery, apply, build_with, families_taken
from trainsmith.population.members.asked import check_hooks
from trainsmith.regularization.ensemble import COUNT
from trainsmith.rows import Rows

Sample = tuple[tuple[str | int, ...], np.ndarray]
"""The words that set a network's luck apart within a run, and the training examples that it sees."""
KINDS = {"classification": "classes", "multilabel": "labels"}
"""What an ensemble averages, by the task: probabilities; of any other task numbers."""


def networks_of(
    run: Run, network: str | Factory, dataset: Dataset, train: np.ndarray
) -> tuple[nn.Module, Surgery, tuple[Sample, ...]]:
    """The network with its techniques in it, what came of the surgery, and what each network of an ensemble sees."""
    chosen = list(run.trial.recipe.techniques())
    kind = KINDS.get(dataset.task, "classes" if dataset.classifies else "numbers")
    ensemble: Any = at_most_one(run, "ensemble", [t.make for t in chosen if t.role == "ensemble"])
    separate = ensemble is not None and hasattr(ensemble, "resampled")
    samples: list[Sample] = [((), train)]
    for m in range(1, COUNT if separate else 1):
        samples.append((("network", m), train))
    if separate and ensemble.resampled:
        draws = [luck.generator(run.seed, "bootstrap", m) for m in range(COUNT)]
        samples = [
            (words, sample[draw.integers(0, len(sample), len(sample))])
            for (words, sample), draw in zip(samples, draws, strict=True)
        ]
    operated = [_operated(run, network, dataset, train, words) for words, _ in samples]
    modules = [surgery.module for surgery in operated]
    inside = [t for t in chosen if hasattr(t.make, "around") and t.name not in operated[0].skipped]
    for t in inside:
        wrap = getattr(regularization, t.make.around)  # type: ignore[attr-defined]
        modules = [wrap(module, kind) for module in modules]
    if ensemble is None:
        return modules[0], operated[0], ()
    if separate:
        return ensemble(modules, kind), operated[0], tuple(samples)
    first = modules[0]
    return ensemble([first, *(copy.deepcopy(first) for _ in range(COUNT - 1))], kind), operated[0], ()


def _operated(
    run: Run, network: str | Factory, dataset: Dataset, train: np.ndarray, words: tuple[str | int, ...]
) -> Surgery:
    """One network with the trial's techniques in it; words: what sets its luck apart within the run's."""
    trial, x, y = run.trial, Rows(dataset.x, train), dataset.y[train]
    with luck.drawn(run.seed, *words, "construction"):
        module, refused = build_with(network, dataset.input_shape, dataset.outputs, trial, dataset.x[:2].clone())
    check_hooks(module)
    given = {family: refused.get(family, "") for family in families_taken(network)}
    with luck.drawn(run.seed, *words, "surgery"):
        draw = functools.partial(luck.torch_generator, run.seed, *words, "weights")
        return apply(module, trial, x, draw, y, given)


def at_most_one(run: Run, role: str, made: list[Any]) -> Any:
    """The one that was made, if any. Raises InvalidInput for several."""
    if len(made) > 1:
        names = " and ".join(t.name for t in run.trial.recipe.techniques() if t.role == role)
        raise InvalidInput(f"{names} cannot act together: a recipe has at most one {role}; choose one of them.")
    return made[0] if made else None
