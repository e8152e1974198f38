"""Batch normalization speeds up a sigmoid perceptron at every learning rate tried.

python results/claims/c03_batch_norm.py [--quick]
"""

import itertools

import numpy as np
from claim import Check, Claim, Measured, main
from torch import nn
from training import Arm, Course, errors, parts, trained

COMMENT = (
    "At the two lower rates batch normalization errs less for certain after 2,000 steps, by 3 and 11 points; at rate 1, "
    "which suits the plain network best, no difference is to be seen after 2,000 steps and about half a point after "
    "10,000, which 5 seeds cannot tell from none: it buys most where the rate is too low."
)
CLAIM = Claim(
    number="C3",
    statement="A perceptron of three layers of 100 sigmoid units errs less with batch normalization than without at "
    "each of three learning rates, after 2,000 and after 10,000 steps, and it gains most at the lowest rate.",
    paper="Ioffe & Szegedy 2015, Batch normalization, section 4.1 and figure 1",
    figure="784-100-100-100-10 with sigmoid units, batches of 60, 50,000 steps: the normalized network is the better "
    "one from the start",
    setup="784-100-100-100-10 sigmoid, weights from N(0, 0.1²), biases zero, plain SGD with a constant rate of 1, 0.3 "
    "or 0.1, batches of 60 of 50,000 MNIST images; test error after 2,000 and 10,000 steps",
    differs="a fifth of the steps; three rates in place of one",
)
RATES, WIDTHS = (1.0, 0.3, 0.1), (784, 100, 100, 100, 10)


def network(normalized: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in itertools.pairwise(WIDTHS):
        linear = nn.Linear(a, b)
        nn.init.normal_(linear.weight, std=0.1)
        nn.init.zeros_(linear.bias)
        layers += [linear, *([nn.BatchNorm1d(b)] if normalized and b != WIDTHS[-1] else []), nn.Sigmoid()]
    return nn.Sequential(*layers[:-1])


ARMS = {
    "plain": Arm(lambda: network(False), RATES, "sgd"),
    "batch norm": Arm(lambda: network(True), RATES, "sgd"),
}


def measure(quick: bool) -> Measured:
    data, seeds = parts("mnist", 50_000, 10_000), 2 if quick else 5
    test = data.test()
    figures: dict[str, np.ndarray] = {}
    for steps in (20, 40) if quick else (2_000, 10_000):
        for name, arm in ARMS.items():
            ready = trained(arm, data.train, Course(steps, 60, "constant"), RATES, range(seeds))
            found = errors(ready, test).reshape(len(RATES), seeds)
            figures |= {
                f"{name}, rate {r:g}, {steps} steps: test error, %": e for r, e in zip(RATES, found, strict=True)
            }
    gains = {
        name.removeprefix("plain, ").removesuffix(": test error, %"): plain
        - figures[name.replace("plain", "batch norm")]
        for name, plain in figures.items()
        if name.startswith("plain")
    }
    checks = [Check(f"plain minus batch norm, {name}, points", gain, least=0) for name, gain in gains.items()]
    for steps in sorted({name.split(", ")[1] for name in gains}):
        low, others = gains[f"rate 0.1, {steps}"], [gains[f"rate {r:g}, {steps}"] for r in RATES[:-1]]
        checks.append(Check(f"gain at 0.1 minus the larger other gain, {steps}", low - np.maximum(*others), least=0))
    return Measured(checks, figures, seeds, {"comment": COMMENT})


if __name__ == "__main__":
    main(CLAIM, measure)
