"""Adversarial examples break a clean MNIST network; training on one step's examples does not withstand forty steps.

python results/claims/c05_adversarial.py [--quick]
"""

from collections.abc import Callable

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from perceptrons import SideBySide
from torch import Tensor
from torch.nn.functional import cross_entropy
from training import Part, parts

from trainsmith.regularization import adversarial_loss, fgsm, pgd

CLAIM = Claim(
    number="C5",
    statement="FGSM with eps 0.25 breaks a clean MNIST perceptron; training on FGSM's examples repairs FGSM, but not "
    "PGD with 40 steps.",
    paper="Goodfellow, Shlens & Szegedy 2015, Explaining and harnessing adversarial examples, section 6; Madry et al. "
    "2018, Towards deep learning models resistant to adversarial attacks",
    figure="a maxout network errs on 89.4 % of FGSM's examples, trained on them on 17.9 %; a network trained on FGSM's "
    "examples does not withstand PGD",
    setup="784-400-400-10 ReLU, pixels in [0, 1], Adam(0.001), batches of 100 of 50,000 MNIST images, 2,000 steps; the "
    "adversarial side minimizes half the clean and half the FGSM loss; attacks in the maximum norm with eps 0.25, PGD "
    "with 40 steps and a random start, on 1,000 test images",
    differs="a ReLU perceptron in place of a maxout network, 4 passes over the data",
)
EPS, WIDTHS = 0.25, (784, 400, 400, 10)
Attack = Callable[..., Tensor]


def trained(part: Part, steps: int, batch: int, seeds: int, adversarial: bool) -> SideBySide:
    """One perceptron a seed, each with batches of its own; Adam does not notice that the mean is over all of them."""
    network = SideBySide(WIDTHS, range(seeds))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    luck = [torch.Generator().manual_seed(10_000 + seed) for seed in range(seeds)]
    for _ in range(steps):
        rows = torch.cat([torch.randint(len(part.x), (batch,), generator=g) for g in luck])
        x, y = part.x[rows], part.y[rows]
        optimizer.zero_grad()
        loss = adversarial_loss(network, x, y, EPS, attack=fgsm) if adversarial else cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
    return network


def error(network: SideBySide, part: Part, seeds: int, attack: Attack | None) -> np.ndarray:
    """Each seed's error in per cent on the same examples, attacked for each network by itself."""
    x, y = part.x.repeat(seeds, *(1,) * (part.x.ndim - 1)), part.y.repeat(seeds)
    moved = x if attack is None else attack(network, x, y, EPS)
    with torch.no_grad():
        wrong = network(moved).argmax(-1) != y
    return 100 * wrong.view(seeds, -1).double().mean(1).numpy()


def measure(quick: bool) -> Measured:
    data, seeds = parts("mnist", 50_000, 10_000), 2 if quick else 5
    test = data.test()
    test = Part(test.x[: 100 if quick else 1_000], test.y[: 100 if quick else 1_000])
    torch.manual_seed(0)
    found = {}
    for side in ("clean", "FGSM-trained"):
        network = trained(data.train, 20 if quick else 2_000, 100, seeds, side != "clean")
        for images, attack in (("clean", None), ("FGSM", fgsm), ("PGD-40", pgd)):
            found[side, images] = error(network, test, seeds, attack)
    checks = [
        Check("clean network under FGSM, error, %", found["clean", "FGSM"], least=80),
        Check("FGSM-trained under FGSM, error, %", found["FGSM-trained", "FGSM"], most=25),
        Check("FGSM-trained under PGD-40, error, %", found["FGSM-trained", "PGD-40"], least=80),
    ]
    figures = {f"{side} network, {images} images: test error, %": v for (side, images), v in found.items()}
    return Measured(checks, figures, seeds)


if __name__ == "__main__":
    main(CLAIM, measure)
