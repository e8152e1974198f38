"""On few images with wrong labels, early stopping beats a full training.

python results/claims/h16_early_stopping.py [--quick]
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from grid import own_examples
from torch import Tensor
from torch.nn import functional
from training import Part, errors, parts, perceptron

import trainsmith
from trainsmith.regularization import EarlyStopping

COMMENT = (
    "With wrong labels early stopping saves three points and half the steps. With right ones it costs two points; "
    "it learned from a tenth fewer images, and took fewer steps."
)
CLAIM = Claim(
    number="H16",
    statement="On 1,000 MNIST images a fifth of whose labels are wrong, stopping early on held-back images errs "
    "less than training to the end on all of them, and takes fewer steps; with right labels it does not err more "
    "than half a point more.",
    paper="Prechelt 1998, Early stopping - but when?; Goodfellow et al. 2016, Deep Learning, section 7.8",
    figure="qualitative: the error on unseen data rises again while the training error falls",
    setup="784-256-256-10 ReLU, Adam, batch 50, constant rate, 1,500 steps; the learning rate of each side the best "
    "of 4 on 10,000 clean validation images; early stopping watches 100 of the 1,000 (with wrong labels too), looks "
    "every 25 steps, patience 8, takes the best weights; images drawn by each seed",
    differs="Prechelt compares stopping rules on small tables",
)
RATES, IMAGES, WATCHED, WRONG = (1e-4, 3e-4, 1e-3, 3e-3), 1_000, 100, 0.2
BATCH, EVERY, PATIENCE = 50, 25, 8
NETWORK = perceptron(784, 256, 256, 10)
State = dict[str, Tensor]


def with_wrong_labels(part: Part, share: float) -> Part:
    """The same images; a share of them has one of the nine other labels."""
    luck = np.random.default_rng(5)
    wrong = luck.random(len(part.y)) < share
    other = (part.y.numpy() + luck.integers(1, 10, len(part.y))) % 10
    return Part(part.x, torch.from_numpy(np.where(wrong, other, part.y.numpy())))


def population(rates: Sequence[float], seeds: Sequence[int]) -> trainsmith.Population:
    pairs = [(rate, seed) for rate in rates for seed in seeds]
    return trainsmith.Population(NETWORK, lr=[r for r, _ in pairs], seeds=[s for _, s in pairs])


def full(part: Part, rates: Sequence[float], seeds: Sequence[int], steps: int) -> Any:
    """All images, all steps."""
    made = population(rates, seeds)
    made.fit(part.x, part.y, steps, BATCH, examples=own_examples(made.seeds, len(part.x), IMAGES))
    return made


def stopped(part: Part, rates: Sequence[float], seeds: Sequence[int], steps: int) -> tuple[list[Any], np.ndarray]:
    """The best networks by the held-back images, and the steps that each training took."""
    made = population(rates, seeds)
    drawn = own_examples(made.seeds, len(part.x), IMAGES)
    policies = [EarlyStopping(PATIENCE) for _ in made.seeds]
    best: list[Any] = [made.member(k) for k in range(len(made))]
    taken = np.full(len(made), steps)
    for step in range(EVERY, steps + 1, EVERY):
        made.fit(part.x, part.y, EVERY, BATCH, examples=[d[WATCHED:] for d in drawn])
        for k in made.active:
            module, watch = made.member(k), drawn[k][:WATCHED]
            with torch.no_grad():
                loss = float(functional.cross_entropy(module.eval()(part.x[watch]), part.y[watch]))
            if policies[k].update(loss):
                best[k] = copy.deepcopy(module)
            if policies[k].stop:
                taken[k] = step
        going = [k for k in made.active if not policies[k].stop]
        if not going:
            break
        made.keep(going)
    return best, taken


def error_of(modules: Sequence[Any], part: Part) -> np.ndarray:
    """Test error in per cent of each network."""
    with torch.no_grad():
        return np.array([100 * float((m.eval()(part.x).argmax(-1) != part.y).double().mean()) for m in modules])


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 10_000)
    steps, seeds = (100, 2) if quick else (1_500, 8)
    figures, tuning, ready = {}, {}, {}
    tuners = range(1_000, 1_002)
    for name, share in (("a fifth wrong", WRONG), ("right labels", 0.0)):
        part = with_wrong_labels(data.train, share)
        tried = {
            "full": errors(full(part, RATES, tuners, steps), data.validation),
            "stopped": error_of(stopped(part, RATES, tuners, steps)[0], data.validation),
        }
        means = {side: found.reshape(len(RATES), -1).mean(1) for side, found in tried.items()}
        chosen = {side: RATES[int(m.argmin())] for side, m in means.items()}
        tuning[name] = {side: {"lr": chosen[side], "validation error of each lr": [round(float(v), 2) for v in m]}
                        for side, m in means.items()}  # fmt: skip
        best, taken = stopped(part, [chosen["stopped"]], range(seeds), steps)
        ready[name] = full(part, [chosen["full"]], range(seeds), steps), best
        figures[f"{name}: steps of early stopping, of {steps}"] = taken
    test = data.test()
    difference = {}
    for name, (whole, best) in ready.items():
        ends, early = errors(whole, test), error_of(best, test)
        figures |= {f"{name}, full training: test error, %": ends, f"{name}, early stopping: test error, %": early}
        difference[name] = ends - early
    checks = [
        Check("a fifth wrong: full minus early stopping, points", difference["a fifth wrong"], least=0),
        Check("a fifth wrong: steps saved by early stopping, %",
              100 * (1 - figures[f"a fifth wrong: steps of early stopping, of {steps}"] / steps), least=0),
        Check("right labels: full minus early stopping, points, above -0.5", difference["right labels"], least=-0.5),
    ]  # fmt: skip
    return Measured(checks, figures, seeds, {"comment": COMMENT, "tuning": tuning})


if __name__ == "__main__":
    main(CLAIM, measure)
