"""Sides of a comparison whose learning rate and strength are chosen together, with equally many trials on each side.

A seed draws a member's weights, batches and masks, and, where `examples` says so, its own training examples.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn
from training import TUNING_SEED, Course, Part, Parts, errors

import trainsmith


@dataclass(frozen=True)
class Trial:
    """A learning rate, what the network's factory is called with, and what makes fresh regularizers."""

    lr: float
    network: Mapping[str, Any] = field(default_factory=dict)
    regularizers: Callable[[], Sequence[Any]] = tuple
    numbers: Mapping[str, float] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what makes its networks, and the trials among which validation data choose."""

    network: Callable[..., nn.Module]
    trials: Sequence[Trial]
    optimizer: str = "momentum"


def grid(rates: Sequence[float], values: Sequence[float], make: Callable[[float, float], Trial]) -> list[Trial]:
    """Every pair of a learning rate and a value."""
    return [make(lr, value) for lr, value in itertools.product(rates, values)]


def own_examples(seeds: Sequence[int], pool: int, examples: int) -> list[np.ndarray]:
    """Which examples each seed trains on, drawn from the pool without replacement."""
    return [np.random.default_rng([seed, 77]).choice(pool, examples, replace=False) for seed in seeds]


def population(
    side: Side, trials: Sequence[Trial], seeds: Sequence[int], part: Part, course: Course, examples: int | None = None
) -> trainsmith.Population:
    """The trials, each with every seed, trained (trials first)."""
    pairs = list(itertools.product(trials, seeds))
    arguments = {name: [t.network[name] for t, _ in pairs] for name in trials[0].network}
    numbers = {name: [t.numbers[name] for t, _ in pairs] for name in trials[0].numbers}
    made = trainsmith.Population(
        side.network,
        optimizer=side.optimizer,
        lr=[t.lr for t, _ in pairs],
        seeds=[seed for _, seed in pairs],
        regularizers=[list(t.regularizers()) for t, _ in pairs],
        **arguments,
        **numbers,
    )
    drawn = None if examples is None else own_examples([seed for _, seed in pairs], len(part.x), examples)
    made.fit(part.x, part.y, course.steps, course.batch_size, schedule=course.rate, examples=drawn)
    return made


def choose(
    side: Side, data: Parts, course: Course, tuning_seeds: int, examples: int | None
) -> tuple[Trial, dict[str, Any]]:
    """The trial with the lowest mean validation error, and the error of each."""
    seeds = [TUNING_SEED + i for i in range(tuning_seeds)]
    found = errors(population(side, side.trials, seeds, data.train, course, examples), data.validation)
    means = found.reshape(len(side.trials), tuning_seeds).mean(1)
    best = side.trials[int(means.argmin())]
    names = [f"lr {t.lr:g}{t.name and ', '}{t.name}" for t in side.trials]
    told = {n: round(float(m), 3) for n, m in zip(names, means, strict=True)}
    return best, {"chosen": names[int(means.argmin())], "validation error of each trial": told}


def compared(
    sides: Mapping[str, Side],
    data: Parts,
    course: Course,
    seeds: int,
    tuning_seeds: int = 1,
    examples: int | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Test error in per cent of each side at its chosen trial for fresh seeds, and how it was tuned."""
    if len({len(side.trials) for side in sides.values()}) > 1:
        raise ValueError("every side must have the same number of trials")
    chosen = {name: choose(side, data, course, tuning_seeds, examples) for name, side in sides.items()}
    ready = {
        name: population(side, [chosen[name][0]], range(seeds), data.train, course, examples)
        for name, side in sides.items()
    }
    test = data.test()
    return {name: errors(p, test) for name, p in ready.items()}, {name: told for name, (_, told) in chosen.items()}
