"""Optimizers at their default rates, and the same optimizers tuned: the unfair comparison beside the fair one.

python results/claims/c06_optimizers.py [--quick]
"""

import numpy as np
from claim import Check, Claim, Measured, main
from training import Arm, Course, final_errors, parts, perceptron

from trainsmith.initialization import he

CLAIM = Claim(
    number="C6",
    statement="Adam and AdaGrad lead plain SGD on a five-layer MNIST perceptron at the usual default rates, and the lead "
    "shrinks when each optimizer's learning rate is tuned with 12 trials.",
    paper="Choi et al. 2019, On empirical comparisons of optimizers; Schmidt et al. 2021, Descending through a crowded "
    "valley",
    figure="rankings of optimizers follow the search space; tuning one optimizer gains as much as choosing another",
    setup="784-100-100-100-100-10, He, batch 128, 2,000 steps. Unfair: constant rates SGD 0.01, momentum 0.01, AdaGrad "
    "0.01, Adam 0.001. Fair: 12 log-spaced rates each over two decades and a half around its default, same cosine "
    "schedule, chosen on 10,000 validation images by the mean of 3 tuning seeds; test error of fresh seeds",
    differs="a small network, one data set",
)
DEFAULTS = {
    "SGD": ("sgd", 0.01, (3e-3, 1.0), {}),
    "momentum": ("momentum", 0.01, (1e-3, 0.3), {"momentum": 0.9}),
    "AdaGrad": ("adagrad", 0.01, (1e-3, 0.3), {}),
    "Adam": ("adam", 0.001, (1e-4, 0.03), {}),
}


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 10_000)
    steps, seeds, trials = (60, 2, 3) if quick else (2_000, 8, 12)
    network = perceptron(784, *[100] * 4, 10, initialize=he)
    unfair = {f"{n}, default": Arm(network, (lr,), rule, k) for n, (rule, lr, _, k) in DEFAULTS.items()}
    fair = {
        f"{n}, tuned": Arm(network, tuple(np.geomspace(*between, trials)), rule, k)
        for n, (rule, _, between, k) in DEFAULTS.items()
    }
    errors, _ = final_errors(unfair, data, Course(steps, 128, "constant"), seeds)
    tuned, tuning = final_errors(fair, data, Course(steps, 128), seeds, 1 if quick else 3)
    errors |= tuned
    lead = {
        (name, how): errors[f"SGD, {how}"] - errors[f"{name}, {how}"]
        for name in ("Adam", "AdaGrad")
        for how in ("default", "tuned")
    }
    checks = [
        Check("Adam's lead over SGD at defaults, points of error", lead["Adam", "default"], least=0),
        Check("AdaGrad's lead over SGD at defaults", lead["AdaGrad", "default"], least=0),
        Check("how much of Adam's lead tuning takes away", lead["Adam", "default"] - lead["Adam", "tuned"], least=0),
        Check("how much of AdaGrad's lead", lead["AdaGrad", "default"] - lead["AdaGrad", "tuned"], least=0),
        Check("Adam's lead when both are tuned: within half a point", lead["Adam", "tuned"], -0.5, 0.5),
    ]
    return Measured(checks, {f"test error, {k}, %": v for k, v in errors.items()}, seeds, {"tuning": tuning})


if __name__ == "__main__":
    main(CLAIM, measure)
