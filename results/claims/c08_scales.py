"""With 16 scales of the initial weights, batch normalization trains at all of them, a plain network near one.

python results/claims/c08_scales.py [--quick]
"""

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from torch import nn
from training import parts

import trainsmith

CLAIM = Claim(
    number="C8",
    statement="Over initial weight scales from 1 to 0.0001 a five-layer perceptron with batch normalization learns at "
    "every scale, without it only near the right one.",
    paper="Ioffe & Szegedy 2015, Batch normalization, sections 3.3 and 4",
    figure="a layer with batch normalization does not change when its weights are scaled: BN(aWu) = BN(Wu)",
    setup="1,000 MNIST images, 784-(100)x5-10 ReLU, 16 log-spaced standard deviations, SGD at 0.01, batch 100, 20 epochs; "
    "training accuracy at the end",
)
SCALES = tuple(np.logspace(0, -4, 16))


COMMENT = (
    "At 12 of 16 scales instead of 2, but not at all of them: below 0.001 the variance of the pre-activations falls under "
    "the 1e-5 that batch normalization adds to it, which then no longer undoes the scale; near 1 the weights are so large "
    "that steps of a fixed rate hardly turn them."
)


def network(std: float, normalized: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in ((784, 100), *[(100, 100)] * 4):
        layers += [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if normalized else []), nn.ReLU()]
    layers.append(nn.Linear(100, 10))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def measure(quick: bool) -> Measured:
    data = parts("mnist", 1_000, 100).train
    seeds, steps = (2, 40) if quick else (8, 200)
    found = {}
    for normalized in (True, False):
        pairs = [(std, seed) for std in SCALES for seed in range(seeds)]
        population = trainsmith.Population(
            network,
            optimizer="sgd",
            lr=0.01,
            std=[std for std, _ in pairs],
            seeds=[seed for _, seed in pairs],
            normalized=normalized,
        )
        population.fit(data.x, data.y, steps, 100)
        right = (population.outputs(data.x).argmax(-1) == data.y).double().mean(1) * 100
        out = sorted(set(range(len(pairs))) - set(population.active))
        right[torch.tensor(out, dtype=torch.long)] = 100 * float(torch.bincount(data.y).max()) / len(data.y)
        found["BN" if normalized else "plain"] = right.reshape(len(SCALES), seeds).numpy()
    learned = {name: (accuracy > 50).sum(0) for name, accuracy in found.items()}
    checks = [
        Check("batch normalization: scales at which more than half is learned, of 16", learned["BN"], least=15.5),
        Check("plain: such scales", learned["plain"], most=8),
        Check("batch normalization: accuracy at the worst scale, %", found["BN"].min(0), least=50),
    ]
    figures = {
        f"accuracy, {name}, std {std:.2g}, %": accuracy[i]
        for name, accuracy in found.items()
        for i, std in enumerate(SCALES)
        if i % 3 == 0
    }
    return Measured(checks, figures, seeds, {"comment": COMMENT})


if __name__ == "__main__":
    main(CLAIM, measure)
