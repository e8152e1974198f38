"""Too high a learning rate kills ReLU units for good; leaky ReLU and ELU lose none.

python results/claims/c10_dead.py [--quick]
"""

from collections.abc import Callable

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from torch import Tensor, nn
from training import Arm, Course, Part, best_rate, errors, parts

import trainsmith
from trainsmith.activation import ELU, LeakyReLU, ReLU

COMMENT = (
    "ReLU's part holds. But leaky ReLU and ELU do not save a network from such a rate: with SGD their activations "
    "grow without bound until all is nan, and with Adam a third of ELU's units saturates on every image. Only "
    "leaky ReLU with Adam keeps all its units."
)
CLAIM = Claim(
    number="C10",
    statement="At 30 times the best learning rate a ReLU perceptron loses more than 20 % of its hidden units for "
    "good, one with leaky ReLU or ELU none.",
    paper="Karpathy et al., CS231n course notes, Neural networks 1 (commonly used activation functions)",
    figure="'as much as 40 % of your network can be dead' if the learning rate is set too high",
    setup="784-100-100-10, 5,000 MNIST images, SGD and Adam, batch 100, constant rates; the best of 5 by 10,000 "
    "validation images after 500 steps for each activation, then 3 and 30 times that. Lost for good: the "
    "activation's derivative is below 0.001 on all training images after 500 steps and still after 500 more, or the "
    "whole network is nan",
    differs="the notes give no experiment; a unit of ELU counts as lost where it is saturated on all images",
)
RATES = {"sgd": (0.01, 0.03, 0.1, 0.3, 1.0), "adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}
TIMES, LOST = (1, 3, 30), 1e-3
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"ReLU": ReLU, "leaky ReLU": LeakyReLU, "ELU": ELU}


def factory(activation: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def network() -> nn.Module:
        hidden = [nn.Linear(784, 100), activation(), nn.Linear(100, 100), activation()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(100, 10))

    return network


def dead(module: nn.Module, x: Tensor) -> np.ndarray:
    """Which hidden units (200,) have a derivative below LOST on every one of the images x."""
    found = []
    for layer in module.children():
        if isinstance(layer, (ReLU, LeakyReLU, ELU)):
            before = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(layer(before).sum(), before)
            found.append((slope.abs() < LOST).all(0))
        with torch.no_grad():
            x = layer(x)
    return torch.cat(found).numpy()


def lost(arm: Arm, rate: float, part: Part, test: Part, steps: int, seeds: int) -> dict[str, np.ndarray]:
    population = trainsmith.Population(arm.network, optimizer=arm.optimizer, lr=rate, seeds=list(range(seeds)))
    found = []
    for _ in range(2):
        population.fit(part.x, part.y, steps, 100)
        found.append(np.array([dead(population.member(k).eval(), part.x) for k in range(seeds)]))
    ended = np.isin(np.arange(seeds), population.active, invert=True)
    share = 100 * np.where(ended, 1.0, (found[0] & found[1]).mean(1))
    return {"lost for good, %": share, "nan, % of networks": 100.0 * ended, "test error, %": errors(population, test)}


def measure(quick: bool) -> Measured:
    data = parts("mnist", 5_000, 10_000)
    steps, seeds = (50, 3) if quick else (500, 10)
    arms = {
        (rule, name): Arm(factory(make), rates, rule)
        for rule, rates in RATES.items()
        for name, make in ACTIVATIONS.items()
    }
    chosen = {key: best_rate(arm, data, Course(steps, 100, "constant"), 2) for key, arm in arms.items()}
    test = data.test()
    figures, checks = {}, []
    for (rule, name), arm in arms.items():
        for times in TIMES:
            found = lost(arm, chosen[rule, name][0] * times, data.train, test, steps, seeds)
            figures |= {f"{rule}, {name}, {times} x its best rate: {what}": v for what, v in found.items()}
        least, most = (20, np.inf) if name == "ReLU" else (-np.inf, 1)
        where = "above 20" if name == "ReLU" else "below 1"
        checks.append(Check(f"{rule}, {name}, 30 x: lost for good, %, {where}", found["lost for good, %"], least, most))
    tuning = {", ".join(key): {"lr": rate, "validation error of each lr": t} for key, (rate, t) in chosen.items()}
    return Measured(checks, figures, seeds, {"comment": COMMENT, "tuning": tuning})


if __name__ == "__main__":
    main(CLAIM, measure)
