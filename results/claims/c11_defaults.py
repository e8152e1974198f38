"""Trying eight optimizers at their defaults is worth about as much as tuning one of them with as many trials.

python results/claims/c11_defaults.py [--quick]
"""

from collections.abc import Sequence

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from torch import nn
from training import Course, Part, errors, parts

import trainsmith
from trainsmith.data import load

COMMENT = (
    "In trainings as short as these, 8 trials on one optimizer's learning rate are worth more than 8 optimizers at "
    "their defaults, on both data sets: about a point, and beside momentum on digits about half a point, of which it "
    "cannot be told whether it is less."
)
CLAIM = Claim(
    number="C11",
    statement="The best of eight optimizers at their default settings is within half a point of one optimizer whose "
    "learning rate was tuned with as many trials, on digits and on MNIST.",
    paper="Schmidt, Schneider & Hennig 2021, Descending through a crowded valley",
    figure="abstract: evaluating multiple optimizers with default parameters works approximately as well as tuning "
    "the hyperparameters of a single, fixed optimizer",
    setup="64-64-64-10 on digits (1,000 training, 437 validation images, 1,500 steps) and 784-100-100-10 on 5,000 "
    "MNIST images (2,000 validation images, 1,000 steps), ReLU, batch 64, cosine; Adam and momentum tuned over 8 "
    "rates; each seed draws its own training and validation images and chooses by them; then test error",
    differs="two small tasks in place of eight; one seed a trial, as a user would; 8 trials on both sides",
)
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adagrad", "nadam", "radam")
GRIDS = {"adam": np.geomspace(1e-4, 3e-2, 8), "momentum": np.geomspace(1e-3, 1.0, 8)}
NEAR = 0.5


def factory(inputs: int, width: int) -> nn.Module:
    hidden = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 10))


class Task:
    """Examples to draw from, the test part, sizes; and every trial's validation and test errors for each seed."""

    def __init__(self, pool: Part, test: Part, sizes: tuple[int, int], network: Sequence[int], course: Course) -> None:
        self.pool, self.test, self.course = pool, test, course
        self.sizes, self.network = sizes, {"inputs": network[0], "width": network[1]}

    def trials(self, optimizer: str, rates: Sequence[float], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Validation and test errors in per cent, each (rates, seeds)."""
        train, validation = self.sizes
        orders = [np.random.default_rng([s, 11]).permutation(len(self.pool.x)) for s in seeds]
        numbers = {"lr": [r for r in rates for _ in seeds]} if len(rates) else {}
        count = max(len(rates), 1)
        population = trainsmith.Population(
            factory, optimizer=optimizer, seeds=list(seeds) * count, **self.network, **numbers
        )
        population.fit(
            self.pool.x, self.pool.y, self.course.steps, self.course.batch_size, schedule=self.course.rate,
            examples=[o[:train] for o in orders] * count,
        )  # fmt: skip
        wrong = (population.outputs(self.pool.x).argmax(-1) != self.pool.y).double().numpy()
        wrong[sorted(set(range(len(population))) - set(population.active))] = 1.0
        held = [100 * float(w[orders[i % len(seeds)][train : train + validation]].mean()) for i, w in enumerate(wrong)]
        shape = count, len(seeds)
        return np.array(held).reshape(shape), errors(population, self.test).reshape(shape)


def choices(task: Task, seeds: Sequence[int]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Test error of what each seed's validation images choose, for every way of spending 8 trials."""
    at_default = [task.trials(name, (), seeds) for name in OPTIMIZERS]
    ways = {"eight at defaults": tuple(np.concatenate(part) for part in zip(*at_default, strict=True))}
    ways |= {f"{name} tuned": task.trials(name, rates.tolist(), seeds) for name, rates in GRIDS.items()}
    taken = [OPTIMIZERS[i] for i in ways["eight at defaults"][0].argmin(0)]
    found = {way: test[held.argmin(0), np.arange(len(seeds))] for way, (held, test) in ways.items()}
    return found | {"adam at its default": at_default[OPTIMIZERS.index("adam")][1][0]}, taken


def measure(quick: bool) -> Measured:
    digits, mnist = load("digits"), parts("mnist", 50_000, 10_000)
    seeds, few = range(3 if quick else 12), 40
    tasks = {
        "digits": Task(Part(digits.x, digits.y), Part(*digits.test.open()), (1_000, 437), (64, 64),
                       Course(few if quick else 1_500, 64)),
        "MNIST": Task(Part(mnist.train.x[:20_000], mnist.train.y[:20_000]), mnist.test(), (5_000, 2_000), (784, 100),
                      Course(few if quick else 1_000, 64)),
    }  # fmt: skip
    checks, figures, notes = [], {}, {}
    for name, task in tasks.items():
        found, notes[f"chosen at defaults, {name}"] = choices(task, seeds)
        for tuned in GRIDS:
            difference = found["eight at defaults"] - found[f"{tuned} tuned"]
            what = f"{name}: eight at defaults minus {tuned} tuned, points, within {NEAR}"
            checks.append(Check(what, difference, -NEAR, NEAR))
        figures |= {f"{name}, {way}: test error, %": v for way, v in found.items()}
    return Measured(checks, figures, len(seeds), {"comment": COMMENT} | notes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(CLAIM, measure)
