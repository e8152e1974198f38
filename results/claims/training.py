"""How claims train: arms of a comparison as populations, each arm's learning rate chosen on validation data."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import trainsmith
from trainsmith.data import Dataset, load
from trainsmith.errors import InvalidInput
from trainsmith.population import Training

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
EVALUATED_AT_ONCE = 1000


@dataclass(frozen=True)
class Part:
    """Inputs x (n, ...) and classes y (n,)."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Parts:
    """Training, validation and test examples. The test part is read once a claim, at its end."""

    train: Part
    validation: Part
    locked: Dataset

    def test(self) -> Part:
        return Part(*self.locked.test.open())


def parts(name: str, train: int, validation: int) -> Parts:
    """A data set's development part cut by a fixed shuffle; the data folder is ../shared/data beside the project."""
    try:
        dataset = load(name, data_dir=DATA / name if name == "mnist" else DATA)
    except InvalidInput as error:
        raise SystemExit(f"this claim needs {name}: {error}") from error
    order = np.random.default_rng(0).permutation(len(dataset.x))
    first, second = order[:train], order[train : train + validation]
    return Parts(Part(dataset.x[first], dataset.y[first]), Part(dataset.x[second], dataset.y[second]), dataset)


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: what makes its network, its optimizer, the learning rates tried, other numbers."""

    network: Callable[..., nn.Module]
    rates: Sequence[float]
    optimizer: str = "momentum"
    numbers: Mapping[str, float] = field(default_factory=dict)
    loss: Any = None


@dataclass(frozen=True)
class Course:
    """Steps, batch size and schedule ("cosine": 5 % warm-up, then to zero; "constant")."""

    steps: int
    batch_size: int
    schedule: str = "cosine"

    def rate(self, step: int) -> float:
        return Training(self.steps, self.batch_size).rate(step) if self.schedule == "cosine" else 1.0


def trained(
    arm: Arm, part: Part, course: Course, rates: Sequence[float], seeds: Sequence[int]
) -> trainsmith.Population:
    """A population of the arm's network, one member for each pair of a learning rate and a seed (rates first)."""
    pairs = [(rate, seed) for rate in rates for seed in seeds]
    population = trainsmith.Population(
        arm.network,
        optimizer=arm.optimizer,
        lr=[rate for rate, _ in pairs],
        seeds=[seed for _, seed in pairs],
        loss=arm.loss,
        **arm.numbers,
    )
    population.fit(part.x, part.y, course.steps, course.batch_size, schedule=course.rate)
    return population


def errors(population: trainsmith.Population, part: Part) -> np.ndarray:
    """Each member's error in per cent (members,); one that was taken out guesses."""
    wrong = torch.zeros(len(population), dtype=torch.float64)
    for x, y in zip(part.x.split(EVALUATED_AT_ONCE), part.y.split(EVALUATED_AT_ONCE), strict=True):
        wrong += (population.outputs(x).argmax(-1) != y).double().sum(1)
    found = 100 * wrong / len(part.x)
    chance = 100 * (1 - float(torch.bincount(part.y).max()) / len(part.y))
    out = sorted(set(range(len(population))) - set(population.active))
    found[out] = chance
    return found.numpy()


TUNING_SEED = 1_000
"""Tuning sees other seeds than what is reported."""


def best_rate(arm: Arm, data: Parts, course: Course, tuning_seeds: int = 1) -> tuple[float, dict[str, float]]:
    """The learning rate with the lowest mean validation error, and the error of each."""
    seeds = [TUNING_SEED + i for i in range(tuning_seeds)]
    if len(arm.rates) == 1:
        return arm.rates[0], {}
    found = errors(trained(arm, data.train, course, arm.rates, seeds), data.validation)
    means = found.reshape(len(arm.rates), len(seeds)).mean(1)
    return arm.rates[int(means.argmin())], {f"{r:g}": float(m) for r, m in zip(arm.rates, means, strict=True)}


def final_errors(
    arms: Mapping[str, Arm], data: Parts, course: Course, seeds: int, tuning_seeds: int = 1
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Test error in per cent of every arm for each of `seeds` fresh seeds at its tuned rate; and how it was tuned."""
    chosen = {name: best_rate(arm, data, course, tuning_seeds) for name, arm in arms.items()}
    ready = {name: trained(arm, data.train, course, [chosen[name][0]], range(seeds)) for name, arm in arms.items()}
    test = data.test()
    found = {name: errors(population, test) for name, population in ready.items()}
    return found, {name: {"lr": rate, "validation error of each lr": tried} for name, (rate, tried) in chosen.items()}


def perceptron(*widths: int, initialize: Callable[[Tensor], Any] | None = None) -> Callable[[], nn.Module]:
    """A ReLU perceptron's factory; initialize: fills each weight matrix, biases are then zero; else torch's default."""

    def network() -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for a, b in itertools.pairwise(widths):
            linear = nn.Linear(a, b)
            if initialize is not None:
                initialize(linear.weight.data)
                nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return network
