"""Mean-field theory from its papers, slowly: adaptive quadrature with derivatives written by hand, in float64.

Poole et al. 2016, equation 3; Schoenholz et al. 2017, equation 4.
"""

import math

import numpy as np
from scipy import integrate

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


FUNCTIONS = {
    "linear": (lambda x: x, lambda x: 1.0),
    "relu": (lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "elu": (lambda x: x if x > 0 else math.expm1(x), lambda x: 1.0 if x > 0 else math.exp(x)),
    "selu": (
        lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x)),
        lambda x: SELU_SCALE * (1.0 if x > 0 else SELU_ALPHA * math.exp(x)),
    ),
    "softplus": (lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))), sigmoid),
}
"""name: (f, f')."""


def expectation(g, q):
    """E g(sqrt(q) z), z ~ N(0, 1), in two halves, since g may have a kink at 0."""
    density = 1 / math.sqrt(2 * math.pi)
    halves = ((-12, 0), (0, 12))
    return sum(
        integrate.quad(
            lambda z: g(math.sqrt(q) * z) * density * math.exp(-z * z / 2), *half, epsabs=1e-13, epsrel=1e-13, limit=400
        )[0]
        for half in halves
    )


def moments(name, q):
    """(E f, E f^2, E f'^2)."""
    f, slope = FUNCTIONS[name]
    return tuple(expectation(g, q) for g in (f, lambda x: f(x) ** 2, lambda x: slope(x) ** 2))


def recursion(name, gains, second=1.0, bias_variance=0.0):
    """[(q, std of the activations, chi)] layer by layer."""
    rows = []
    for gain in gains:
        q = gain * second + bias_variance
        mean, second, slope = moments(name, q)
        rows.append((q, math.sqrt(second - mean**2), gain * slope))
    return rows


def monte_carlo(name, gains, width, seed):
    """Second moments of the pre-activations of one wide random network on one example."""
    rng = np.random.default_rng(seed)
    f = np.vectorize(FUNCTIONS[name][0])
    h, rows = rng.normal(size=width), []
    h *= math.sqrt(width) / np.linalg.norm(h)
    for gain in gains:
        u = rng.normal(size=(width, width)) * math.sqrt(gain / width) @ h
        rows.append(float(np.mean(u**2)))
        h = f(u)
    return rows
