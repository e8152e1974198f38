"""Stochastic pooling beside max and mean pooling in a small convolutional network.

python results/claims/h17_pooling.py [--quick]
"""

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from grid import Side, Trial, choose, own_examples, population
from torch import Tensor, nn
from training import Course, errors, parts

COMMENT = (
    "Stochastic pooling leads by more than a point on these few images, the paper's order. The way of predicting makes "
    "no difference that these seeds could show: a network trained so does as well with max pooling in its place."
)
CLAIM = Claim(
    number="H17",
    statement="On few MNIST images a convolutional network with stochastic pooling errs less than with max and with "
    "mean pooling; at test time weighting by probability beats max pooling put in its place.",
    paper="Zeiler & Fergus 2013, Stochastic pooling for regularization of deep convolutional neural networks",
    figure="test error MNIST: stochastic 0.47 %, max 0.55, mean 0.83; CIFAR-10 15.1, 19.4, 19.2",
    setup="conv 8 of 5x5, ReLU, pool 2x2, conv 16 of 5x5, ReLU, pool 2x2, linear 256-10; 1,000 MNIST images drawn "
    "by each seed, momentum 0.9, cosine, batch 50, 600 steps (30 passes); 3 learning rates on 5,000 validation "
    "images, 4 seeds each; test error",
    differs="two small convolutions in place of three of 64 to 128 filters, windows of 2x2 without overlap in place "
    "of 3x3, 1,000 images",
)
RATES, IMAGES = (0.01, 0.03, 0.1), 1_000


def windows(x: Tensor) -> Tensor:
    """The 2x2 windows of x (n, c, h, w) as (n, c, h/2, w/2, 4)."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(3, 4).reshape(n, c, h // 2, w // 2, 4)


class StochasticPool(nn.Module):
    """One of the window's activations a_i >= 0, drawn with probability a_i / sum a; in evaluation sum a_i^2 / sum a."""

    def forward(self, x: Tensor) -> Tensor:
        a = windows(x)
        total = a.sum(-1, keepdim=True)
        if not self.training:
            return (a.square() / torch.where(total > 0, total, torch.ones_like(total))).sum(-1)
        below = a.detach().cumsum(-1)
        drawn = torch.rand_like(total) * below[..., -1:]
        chosen = (below <= drawn).sum(-1, keepdim=True).clamp_max(3)
        return a.gather(-1, chosen).squeeze(-1)


POOLS = {"stochastic": StochasticPool, "max": lambda: nn.MaxPool2d(2), "mean": lambda: nn.AvgPool2d(2)}


def network(pool: str) -> nn.Module:
    make = POOLS[pool]
    first = nn.Conv2d(1, 8, 5), nn.ReLU(), make()
    return nn.Sequential(*first, nn.Conv2d(8, 16, 5), nn.ReLU(), make(), nn.Flatten(), nn.Linear(256, 10))


def error_of(module: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return 100 * float((torch.cat([module.eval()(b) for b in x.split(1_000)]).argmax(-1) != y).double().mean())


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 5_000)
    course, seeds = Course(20 if quick else 600, 50), 2 if quick else 8
    ready, tuning = {}, {}
    for pool in POOLS:
        side = Side(network, [Trial(lr, {"pool": pool}) for lr in RATES])
        trial, tuning[pool] = choose(side, data, course, 1 if quick else 4, IMAGES)
        ready[pool] = population(side, [trial], range(seeds), data.train, course, IMAGES)
    test = data.test()
    figures = {f"test error, {pool}, %": errors(members, test) for pool, members in ready.items()}
    drawn = own_examples(range(seeds), len(data.train.x), IMAGES)
    for pool, members in ready.items():
        own = [error_of(members.member(k), data.train.x[d], data.train.y[d]) for k, d in enumerate(drawn)]
        figures[f"training error, {pool}, %"] = np.array(own)
    figures["test error, trained stochastic, max at test time, %"] = np.array(
        [error_of(with_max(ready["stochastic"].member(k)), test.x, test.y) for k in range(seeds)]
    )
    best = figures["test error, stochastic, %"]
    checks = [Check(f"{pool} minus stochastic, points", figures[f"test error, {pool}, %"] - best, least=0)
              for pool in ("max", "mean")]  # fmt: skip
    checks.append(Check("max at test time minus weighting by probability, points",
                        figures["test error, trained stochastic, max at test time, %"] - best, least=0))  # fmt: skip
    return Measured(checks, figures, seeds, {"comment": COMMENT, "tuning": tuning})


def with_max(module: nn.Module) -> nn.Module:
    """The same weights with max pooling."""
    return nn.Sequential(*[nn.MaxPool2d(2) if isinstance(m, StochasticPool) else m for m in module.children()])


if __name__ == "__main__":
    main(CLAIM, measure)
