"""Permutation-invariant MNIST: with dropout and max-norm, maxout beats ReLU.

python results/claims/h03_maxout.py [--quick]
"""

import itertools

from claim import Check, Claim, Measured, main
from grid import Side, Trial, compared, grid
from torch import nn
from training import Course, parts

from trainsmith.activation import Maxout, ReLU
from trainsmith.regularization import Dropout, MaxNorm

COMMENT = (
    "Maxout's lead at equal units is not there at equal parameters, or is too small to be seen with 6 seeds: what "
    "the second piece adds, wider ReLU layers add as well."
)
CLAIM = Claim(
    number="H3",
    statement="On MNIST without its geometry, maxout errs less than ReLU, both with dropout and max-norm: at equal "
    "units and at equal parameters.",
    paper="Goodfellow et al. 2013, Maxout networks, table 1",
    figure="test error: maxout + dropout 0.94 %, ReLU + dropout + max-norm 1.05 % (Srivastava et al.)",
    setup="maxout of 2 pieces, 784-128-128-10 units, beside ReLU 784-128-128-10 (equal units) and 784-240-240-10 "
    "(about equal parameters); 5,000 MNIST images drawn by each seed, momentum 0.9, cosine, batch 100, 1,200 steps; "
    "8 trials a side (4 learning rates x 2 limits, 3 tuning seeds each) on 10,000 validation images; dropout 0.2 on inputs, 0.5 on hidden "
    "units",
    differs="a twelfth of the images, layers of 128 units and 2 pieces in place of 240 and 5, 24 passes of hundreds",
)
RATES, LIMITS = (0.01, 0.03, 0.1, 0.3), (1.5, 3.0)


def relu(width: int) -> nn.Module:
    return network(width, 1)


def maxout(width: int) -> nn.Module:
    return network(width, 2)


def network(width: int, pieces: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten(), Dropout(0.2)]
    for a, b in itertools.pairwise((784, width, width)):
        layers += [nn.Linear(a, b * pieces), Maxout(pieces) if pieces > 1 else ReLU(), Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def trials(width: int) -> list[Trial]:
    return grid(RATES, LIMITS, lambda lr, c: Trial(lr, {"width": width}, lambda: [MaxNorm(c)], name=f"limit {c:g}"))


SIDES = {
    "maxout, 128 units of 2 pieces": Side(maxout, trials(128)),
    "ReLU, 128 units": Side(relu, trials(128)),
    "ReLU, 240 units": Side(relu, trials(240)),
}


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 10_000)
    course, seeds = Course(40 if quick else 1_200, 100), 2 if quick else 6
    error, tuning = compared(SIDES, data, course, seeds, 1 if quick else 3, examples=5_000)
    best, *others = SIDES
    checks = [Check(f"{name} minus maxout, points", error[name] - error[best], least=0) for name in others]
    counts = {name: sum(p.numel() for p in side.network(**side.trials[0].network).parameters())
              for name, side in SIDES.items()}  # fmt: skip
    figures = {f"test error, {k}, %": v for k, v in error.items()}
    return Measured(checks, figures, seeds, {"comment": COMMENT, "parameters": counts, "tuning": tuning})


if __name__ == "__main__":
    main(CLAIM, measure)
