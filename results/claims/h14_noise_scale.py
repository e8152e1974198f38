"""The gradient noise scale of MNIST is of the order of 900 after an epoch.

python results/claims/h14_noise_scale.py [--quick]
"""

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from training import Part, parts

import trainsmith

COMMENT = (
    "It grows all the way: after the first epoch it lies at the lower end of the band, after the fourth well "
    "within it. At the end of an epoch seeds differ threefold."
)
CLAIM = Claim(
    number="H14",
    statement="The simple gradient noise scale tr(covariance of the gradient) / (length of the gradient)² of a "
    "small network on MNIST is of the order of 900 after an epoch (300 to 3,000), and larger than at the start.",
    paper="McCandlish, Kaplan & Amodei 2018, An empirical model of large-batch training, abstract and table of "
    "noise scales",
    figure="about 900 on MNIST; the noise scale increases as the loss decreases over a training run",
    setup="conv 8 of 5x5 stride 2, conv 16 of 5x5 stride 2, linear, ReLU; SGD with momentum 0.9, lr 0.01, batch "
    "128, 4 passes of 50,000 MNIST images; per-example gradients of 2,000 of them, |gradient|² corrected for their "
    "number, at 5 points in the last tenth of passes 1 and 4, whose mean traces are divided by their mean squares",
    differs="their network and optimizer may differ; they average over more of the training",
)
PASS, BATCH, MEASURED = 390, 128, 2_000
WINDOWS = {"at the start": (0,), "after an epoch": (350, 360, 370, 380, 390),
           "after 4 epochs": (1520, 1530, 1540, 1550, 1560)}  # fmt: skip


def network() -> nn.Module:
    first = nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU()
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(256, 10))


def trace_and_square(module: nn.Module, part: Part) -> tuple[float, float]:
    """trace(S), S the covariance of one example's gradient, and |g|², which |mean|² overestimates by trace(S) / n."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(module, parameters, (x[None],)), y[None])

    count, square, total = len(part.x), 0.0, None
    for x, y in zip(part.x.split(250), part.y.split(250), strict=True):
        found = vmap(grad(loss), (None, 0, 0))(parameters, x, y)
        flat = torch.cat([g.flatten(1) for g in found.values()], 1).double()
        square += float(flat.square().sum())
        total = flat.sum(0) if total is None else total + flat.sum(0)
    assert total is not None
    mean = float((total / count).square().sum())
    trace = (square - count * mean) / (count - 1)
    return trace, mean - trace / count


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 1_000)
    seeds = 2 if quick else 8
    population = trainsmith.Population(network, optimizer="momentum", lr=0.01, seeds=list(range(seeds)))
    few = Part(data.train.x[:MEASURED], data.train.y[:MEASURED])
    figures, done = {}, 0
    for name, points in WINDOWS.items():
        found = np.zeros((seeds, 2))
        for point in (p // 20 for p in points) if quick else points:
            if point > done:
                population.fit(data.train.x, data.train.y, point - done, BATCH)
                done = point
            found += np.array([trace_and_square(population.member(k), few) for k in range(seeds)])
        figures[f"noise scale {name}"] = found[:, 0] / found[:, 1]
    start, one, _ = figures.values()
    checks = [
        Check("log10 of the noise scale after an epoch, within log10 of 300 and 3,000", np.log10(one),
              float(np.log10(300)), float(np.log10(3_000))),
        Check("log10 of its growth since the start, above 0", np.log10(one / start), least=0),
    ]  # fmt: skip
    return Measured(checks, figures, seeds, {"comment": COMMENT})


if __name__ == "__main__":
    main(CLAIM, measure)
