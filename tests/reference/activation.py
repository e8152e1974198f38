"""Activation functions and their derivatives, one number at a time, with the standard library's mathematics."""

import math

import numpy as np


def sigmoid(x):
    """1 / (1 + e^-x), by the side on which the exponential cannot overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def sigmoid_slope(x):
    """e^-|x| / (1 + e^-|x|)^2, which is even."""
    e = math.exp(-abs(x))
    return e / (1 + e) ** 2


def tanh(x):
    """(1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x."""
    e = math.exp(-2 * abs(x))
    return math.copysign((1 - e) / (1 + e), x)


def tanh_slope(x):
    """4 e^-2|x| / (1 + e^-2|x|)^2, which is even."""
    e = math.exp(-2 * abs(x))
    return 4 * e / (1 + e) ** 2


def relu(x):
    return max(0.0, x)


def relu_slope(x):
    return 1.0 if x > 0 else 0.0


def leaky_relu(x, slope):
    return x if x > 0 else slope * x


def leaky_relu_slope(x, slope):
    return 1.0 if x > 0 else slope


def elu(x, alpha):
    return x if x > 0 else alpha * (math.exp(x) - 1)


def elu_slope(x, alpha):
    return 1.0 if x > 0 else alpha * math.exp(x)


def on(function, x, **numbers):
    """`function` at every element of the array x."""
    return np.array([function(float(v), **numbers) for v in np.ravel(x)]).reshape(np.shape(x))
