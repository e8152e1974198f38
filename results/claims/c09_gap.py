"""On 300 images the L2 penalty and dropout each shrink the gap between training and test accuracy.

python results/claims/c09_gap.py [--quick]
"""

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from grid import Side, Trial, own_examples, population
from torch import nn
from training import Course, Part, errors, parts

from trainsmith.initialization import he
from trainsmith.regularization import L2, Dropout

COMMENT = (
    "Neither helps here: with both, training and test accuracy fall. L2's gap shrinks because training accuracy "
    "falls further; dropout's may not shrink at all. The book's settings were taken as they are."
)
CLAIM = Claim(
    number="C9",
    statement="Trained on 300 MNIST images, an L2 penalty of 0.1 and dropout of 0.2 each shrink the gap between "
    "training and test accuracy.",
    paper="Saitoh 2016, Deep Learning from Scratch, section 6.4 (two figures)",
    figure="without: training accuracy 100 %, test far below; with either: the curves lie closer, training below 100 %",
    setup="784-(100)x6-10 ReLU, He weights, SGD with learning rate 0.01, batch 100; L2 for 201 epochs, dropout "
    "behind every hidden layer for 301; nothing tuned; 300 images drawn by each seed, gap = training minus test "
    "accuracy",
    differs="each seed has its own 300 images, the book one set of them",
)
IMAGES, BATCH = 300, 100


def network(rate: float) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in zip([784] + [100] * 5, [100] * 6, strict=True):
        layers += [nn.Linear(a, b), nn.ReLU(), Dropout(rate)]
    made = nn.Sequential(*layers, nn.Linear(100, 10))
    for layer in made:
        if isinstance(layer, nn.Linear):
            he(layer.weight.data)
            nn.init.zeros_(layer.bias)
    return made


SIDES = {
    "nothing, 201 epochs": (201, Trial(0.01, {"rate": 0.0})),
    "L2 0.1, 201 epochs": (201, Trial(0.01, {"rate": 0.0}, lambda: [L2(0.1)])),
    "nothing, 301 epochs": (301, Trial(0.01, {"rate": 0.0})),
    "dropout 0.2, 301 epochs": (301, Trial(0.01, {"rate": 0.2})),
}


def measure(quick: bool) -> Measured:
    data, seeds = parts("mnist", 50_000, 10_000), 3 if quick else 16
    chosen = own_examples(range(seeds), len(data.train.x), IMAGES)
    train, test, made = {}, {}, {}
    for name, (epochs, trial) in SIDES.items():
        steps = (20 if quick else epochs) * IMAGES // BATCH
        course = Course(steps, BATCH, "constant")
        made[name] = population(Side(network, [trial], "sgd"), [trial], range(seeds), data.train, course, IMAGES)
    opened = data.test()
    for name, members in made.items():
        test[name] = 100 - errors(members, opened)
        train[name] = np.array([own_accuracy(members.member(k), data.train, chosen[k]) for k in range(seeds)])
    gap = {name: train[name] - test[name] for name in SIDES}
    plain, l2, longer, dropout = gap.values()
    checks = [
        Check("gap without minus gap with L2, points", plain - l2, least=0),
        Check("gap without minus gap with dropout, points", longer - dropout, least=0),
    ]
    figures = {f"gap, {name}, points": v for name, v in gap.items()}
    figures |= {f"training accuracy, {name}, %": v for name, v in train.items()}
    figures |= {f"test accuracy, {name}, %": v for name, v in test.items()}
    return Measured(checks, figures, seeds, {"comment": COMMENT})


def own_accuracy(module: nn.Module, part: Part, chosen: np.ndarray) -> float:
    """Accuracy in per cent on the images the member trained on."""
    with torch.no_grad():
        return 100 * float((module.eval()(part.x[chosen]).argmax(-1) == part.y[chosen]).double().mean())


if __name__ == "__main__":
    main(CLAIM, measure)
