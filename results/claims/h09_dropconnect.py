"""DropConnect beside dropout and nothing, and its Gaussian inference beside mean inference.

python results/claims/h09_dropconnect.py [--quick]
"""

import math

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from grid import Side, Trial, choose, population
from torch import Tensor, nn
from torch.nn import functional
from training import Course, Part, errors, parts

from trainsmith.regularization import Dropout

COMMENT = (
    "All four lie within a seventh of a point: with 100 units a layer and 2,000 images neither dropout nor "
    "DropConnect is worth anything, and there is nothing to order. The signs of DropConnect's two differences are "
    "the paper's."
)
CLAIM = Claim(
    number="H9",
    statement="DropConnect errs less than nothing and at most 0.1 points more than dropout; its Gaussian inference "
    "errs less than inference with mean weights.",
    paper="Wan et al. 2013, Regularization of neural networks using DropConnect, experiments on MNIST",
    figure="784-800-800-10 ReLU, test error: DropConnect 1.20 %, dropout 1.28, nothing 1.62",
    setup="784-100-100-10 ReLU; the second hidden layer with dropout 0.5 on its units or DropConnect 0.5 on its "
    "weights, one mask an example; 2,000 MNIST images drawn by each seed, momentum 0.9, cosine, batch 50, 1,000 "
    "steps; 4 learning rates on 10,000 validation images, 2 seeds each; Gaussian inference in the limit of "
    "infinitely many draws, which ReLU has in closed form",
    differs="small layers, a thirtieth of the images, no augmentation, biases are not dropped; the paper draws "
    "1,000 samples at inference",
)
RATES, DROPPED = (0.01, 0.03, 0.1, 0.2), 0.5


class DropConnect(nn.Module):
    """A linear layer and a ReLU; in training each example has its own mask of the weights, kept with 1 - rate.

    With mean weights in evaluation. The weights here are those of training scaled by 1 / (1 - rate).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.linear(x).relu()
        kept = torch.rand(len(x), *self.linear.weight.shape, device=x.device) >= DROPPED
        masked = self.linear.weight * kept / (1 - DROPPED)
        return (torch.einsum("noi,ni->no", masked, x) + self.linear.bias).relu()

    def gaussian(self, x: Tensor) -> Tensor:
        """E relu(z), z normal with the mean and variance that the masks give the pre-activation."""
        mean = self.linear(x)
        std = (functional.linear(x.square(), self.linear.weight.square()) * DROPPED / (1 - DROPPED)).sqrt()
        z = mean / std.clamp_min(1e-12)
        density = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
        return mean * torch.special.ndtr(z) + std * density


class Dropped(nn.Module):
    """The linear layer with a ReLU and dropout behind it."""

    def __init__(self, inputs: int, outputs: int, rate: float) -> None:
        super().__init__()
        self.linear, self.drop = nn.Linear(inputs, outputs), Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.linear(x).relu())


def network(kind: str) -> nn.Module:
    second = DropConnect(100, 100) if kind == "DropConnect" else Dropped(100, 100, DROPPED if kind == "dropout" else 0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), second, nn.Linear(100, 10))


def gaussian_error(module: nn.Module, part: Part) -> float:
    """Error in per cent with Gaussian inference in the DropConnect layer."""
    flatten, first, relu, second, last = module.eval().children()
    with torch.no_grad():
        outputs = last(second.gaussian(relu(first(flatten(part.x)))))  # type: ignore[operator]
    return 100 * float((outputs.argmax(-1) != part.y).double().mean())


def monte_carlo_agrees(module: nn.Module, x: Tensor) -> float:
    """The largest gap between the Gaussian mean and the mean over 2,000 masks, in units of the mean activation."""
    flatten, first, relu, second, _ = module.eval().children()
    with torch.no_grad():
        inputs = relu(first(flatten(x)))
        expected = second.gaussian(inputs)  # type: ignore[operator]
        second.train()
        drawn = torch.stack([second(inputs) for _ in range(2_000)]).mean(0)
        second.eval()
    return float((drawn - expected).abs().max() / expected.abs().mean())


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 10_000)
    course, seeds = Course(30 if quick else 1_000, 50), 2 if quick else 8
    ready, tuning, error = {}, {}, {}
    for kind in ("nothing", "dropout", "DropConnect"):
        side = Side(network, [Trial(lr, {"kind": kind}) for lr in RATES])
        trial, tuning[kind] = choose(side, data, course, 1 if quick else 2, 2_000)
        ready[kind] = population(side, [trial], range(seeds), data.train, course, 2_000)
    test = data.test()
    error = {kind: errors(members, test) for kind, members in ready.items()}
    modules = [ready["DropConnect"].member(k) for k in range(seeds)]
    error["DropConnect, Gaussian inference"] = np.array([gaussian_error(m, test) for m in modules])
    gaussian, mean = error["DropConnect, Gaussian inference"], error["DropConnect"]
    checks = [
        Check("nothing minus DropConnect, points", error["nothing"] - gaussian, least=0),
        Check("DropConnect minus dropout, points, below 0.1", gaussian - error["dropout"], most=0.1),
        Check("mean inference minus Gaussian inference, points", mean - gaussian, least=0),
    ]
    gap = monte_carlo_agrees(modules[0], data.validation.x[:20])
    notes = {"tuning": tuning, "Gaussian mean beside 2,000 masks: largest gap / mean activation": gap}
    return Measured(checks, {f"test error, {k}, %": v for k, v in error.items()}, seeds, {"comment": COMMENT} | notes)


if __name__ == "__main__":
    main(CLAIM, measure)
