"""The spread of activations through five layers is what the initialization makes it: the histogram experiment.

python results/claims/c01_histograms.py [--quick]
"""

import math
from collections.abc import Callable

import numpy as np
from claim import Check, Claim, Measured, main

CLAIM = Claim(
    number="C1",
    statement="After five layers of 100 units the activations' spread is what mean-field theory says for each pair of an "
    "activation function and an initialization: Xavier keeps tanh alive, He keeps ReLU, N(0, 1) saturates, N(0, 0.01²) "
    "vanishes.",
    paper="Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks; He et al. 2015",
    figure="a healthy He layer of ReLU units has spread sqrt(1 - 1/π) = 0.826, not 1; tanh under Xavier falls slowly",
    setup="1,000 inputs of 100 numbers from N(0, 1), five layers of 100 units without biases, no training; the spread of "
    "the fifth layer's outputs divided by the theory's, 100 draws of weights",
    differs="the theory is the recursion q' = n Var(w) E f(sqrt(q) z)², by quadrature, for infinite width",
)
F: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}
STD = {"N(0, 1)": 1.0, "N(0, 0.01²)": 0.01, "Xavier": 0.1, "He": math.sqrt(2 / 100)}
UNITS, LAYERS, EXAMPLES = 100, 5, 1_000


def predicted(f: Callable[[np.ndarray], np.ndarray], std: float) -> float:
    """The fifth layer's spread over units and inputs in the limit of infinite width."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(201)
    weights = weights / weights.sum()
    second, mean = 1.0, 0.0
    for _ in range(LAYERS):
        values = f(math.sqrt(UNITS * std**2 * second) * nodes)
        second, mean = float(weights @ values**2), float(weights @ values)
    return math.sqrt(second - mean**2)


def measured(f: Callable[[np.ndarray], np.ndarray], std: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(EXAMPLES, UNITS))
    for _ in range(LAYERS):
        h = f(h @ rng.normal(scale=std, size=(UNITS, UNITS)))
    return float(h.std())


def measure(quick: bool) -> Measured:
    seeds = 3 if quick else 100
    ratios, spreads = {}, {}
    for name, f in F.items():
        for init, std in STD.items():
            found = [measured(f, std, seed) for seed in range(seeds)]
            spreads[f"{name}, {init}: spread at layer 5"] = found
            ratios[f"{name}, {init}"] = np.array(found) / predicted(f, std)
    checks = [Check(f"{cell}: measured / predicted", r, 0.9, 1.1) for cell, r in ratios.items()]
    return Measured(checks, spreads, seeds)


if __name__ == "__main__":
    main(CLAIM, measure)
