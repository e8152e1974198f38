"""Full-batch gradient descent drives the sharpness up to 2 / lr, where it stays.

python results/claims/h13_edge.py [--quick]
"""

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from torch import Tensor, nn
from torch.nn import functional
from training import Part, parts

import trainsmith

COMMENT = (
    "At 2 / lr = 20 and 40 it rises to the edge and stays. At 80 it has come within a tenth when the training "
    "ends: the 200 images are almost fitted by then, and the sharpness rises ever more slowly."
)
CLAIM = Claim(
    number="H13",
    statement="In full-batch gradient descent the sharpness (the Hessian's largest eigenvalue) starts below 2 / lr, "
    "rises to it and stays there: within 20 % in the last quarter of the training, at every learning rate.",
    paper="Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability, figure 1",
    figure="the sharpness rises to 2 / lr and hovers just above it, for networks on CIFAR-10",
    setup="784-50-50-10 tanh, half the squared error to one-hot targets, 200 MNIST images drawn by each seed, no "
    "schedule; learning rates 2/20, 2/40 and 2/80; sharpness by power iteration of Hessian-vector products; nothing "
    "tuned",
    differs="200 MNIST images and layers of 50 in place of 5,000 CIFAR-10 images and layers of 200",
)
THRESHOLDS, IMAGES, LOOKS, ROUNDS = (20, 40, 80), 200, 20, 60


def network() -> nn.Module:
    hidden = [nn.Linear(784, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(50, 10))


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return 0.5 * (outputs - targets).square().sum(-1).mean()


def sharpness(module: nn.Module, x: Tensor, y: Tensor) -> float:
    """The largest eigenvalue of the loss's Hessian, by power iteration (the leading one is positive here)."""
    parameters = list(module.parameters())
    gradients = torch.autograd.grad(half_square(module(x), y), parameters, create_graph=True)
    luck = torch.Generator().manual_seed(0)
    v = [torch.randn(p.shape, generator=luck) for p in parameters]
    value = 0.0
    for _ in range(ROUNDS):
        norm = torch.stack([t.square().sum() for t in v]).sum().sqrt()
        v = [t / norm for t in v]
        product = torch.autograd.grad(gradients, parameters, v, retain_graph=True)
        value = float(torch.stack([(a * b).sum() for a, b in zip(v, product, strict=True)]).sum())
        v = [t.detach() for t in product]
    return value


def courses(part: Part, threshold: float, seeds: range, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Sharpness (looks + 1, seeds) in units of 2 / lr, and the final loss (seeds,)."""
    drawn = [np.random.default_rng([s, 13]).choice(len(part.x), IMAGES, replace=False) for s in seeds]
    targets = functional.one_hot(part.y, 10).float()
    population = trainsmith.Population(network, optimizer="sgd", lr=2 / threshold, seeds=list(seeds), loss=half_square)

    def look() -> list[float]:
        modules = [population.member(k) for k in range(len(seeds))]
        return [sharpness(m, part.x[d], targets[d]) / threshold for m, d in zip(modules, drawn, strict=True)]

    found = [look()]
    for _ in range(LOOKS):
        fit = population.fit(part.x, targets, steps // LOOKS, None, examples=drawn)
        found.append(look())
    return np.array(found), fit.losses[-1].numpy()


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 1_000)
    seeds = range(2 if quick else 6)
    checks, figures, notes = [], {}, {}
    for threshold in THRESHOLDS[: 1 if quick else None]:
        course, loss = courses(data.train, threshold, seeds, 20 * threshold if quick else 100 * threshold)
        late = course[-LOOKS // 4 :].mean(0)
        name = f"2 / lr = {threshold}"
        figures |= {f"{name}: sharpness at the start, in units of 2 / lr": course[0],
                    f"{name}: sharpness, last quarter": late, f"{name}: final loss": loss}  # fmt: skip
        checks += [Check(f"{name}: sharpness at the start, below 1", course[0], most=1),
                   Check(f"{name}: sharpness in the last quarter, 0.9 to 1.2", late, 0.9, 1.2)]  # fmt: skip
        notes[f"{name}: mean sharpness at {LOOKS + 1} looks"] = [round(float(v), 3) for v in course.mean(1)]
    return Measured(checks, figures, len(seeds), {"comment": COMMENT} | notes)


if __name__ == "__main__":
    main(CLAIM, measure)
