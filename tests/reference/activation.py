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


def hard_sigmoid(x, slope):
    return min(1.0, max(0.0, slope * x + 0.5))


def hard_sigmoid_slope(x, slope):
    return slope if -0.5 / slope < x < 0.5 / slope else 0.0


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def selu(x):
    return SELU_SCALE * elu(x, SELU_ALPHA)


def selu_slope(x):
    return SELU_SCALE * elu_slope(x, SELU_ALPHA)


def normal_integral(x):
    """P(z <= x) for a standard normal z."""
    return math.erfc(-x / math.sqrt(2)) / 2


def normal_density(x):
    return math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def gelu(x):
    return x * normal_integral(x)


def gelu_slope(x):
    return normal_integral(x) + x * normal_density(x)


def gelu_tanh(x):
    return x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def gelu_tanh_slope(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    outer = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return (1 + tanh(inner)) / 2 + x / 2 * tanh_slope(inner) * outer


def silu(x, beta=1.0):
    return x * sigmoid(beta * x)


def silu_slope(x, beta=1.0):
    return sigmoid(beta * x) + beta * x * sigmoid_slope(beta * x)


def softplus(x, beta=1.0):
    """ln(1 + e^z) / beta for z = beta x, by the side on which the exponential cannot overflow."""
    z = beta * x
    return (max(z, 0.0) + math.log1p(math.exp(-abs(z)))) / beta


def softplus_slope(x, beta=1.0):
    return sigmoid(beta * x)


def mish(x):
    return x * tanh(softplus(x))


def mish_slope(x):
    return tanh(softplus(x)) + x * tanh_slope(softplus(x)) * sigmoid(x)


def glu(a, b):
    return a * sigmoid(b)


def swiglu(a, b):
    return silu(a) * b


def geglu(a, b):
    return gelu(a) * b


def on(function, x, **numbers):
    """`function` at every element of the array x."""
    return np.array([function(float(v), **numbers) for v in np.ravel(x)]).reshape(np.shape(x))


def maxout(x, pieces):
    """Goodfellow et al. 2013, section 3: of a row of numbers, the largest of each unit's pieces."""
    width = len(x) // pieces
    return [max(x[piece * width + j] for piece in range(pieces)) for j in range(width)]


def crelu(x):
    """Shang et al. 2016, definition 2.1: of a row of numbers, their positive parts and those of their negatives."""
    return [max(v, 0.0) for v in x] + [max(-v, 0.0) for v in x]
