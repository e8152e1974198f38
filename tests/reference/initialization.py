"""Initializations from their papers, in float64, for draws that are given: nothing here draws."""

import math
import statistics

import numpy as np


def connections(shape):
    """(inputs of one output, outputs of one input) of a layer without stride, counted one kernel position at a time.

    shape: (out, in) of a linear layer, (out, in, height, width ...) of a convolution.
    """
    into = sum(1 for _ in np.ndindex(*shape[1:]))
    out_of = sum(1 for _ in np.ndindex(shape[0], *shape[2:]))
    return into, out_of


def spread(name, shape):
    """The standard deviation that the paper asks of a weight of this shape."""
    into, out_of = connections(shape)
    variance = {
        "xavier": 1 / into,  # LeCun et al. 1998, eq. 16
        "he": 2 / into,  # He et al. 2015, eq. 10: half of n Var(w) is 1
        "glorot-normal": 1 / ((into + out_of) / 2),  # Glorot & Bengio 2010, eq. 12
        "glorot-uniform": 1 / ((into + out_of) / 2),
        "he-uniform": 2 / into,
        "he-fan-out": 2 / out_of,  # eq. 14: half of n-hat Var(w) is 1
        "he-uniform-fan-out": 2 / out_of,
        "lecun-uniform": 1 / into,
        "torch-default": 1 / (3 * into),  # its bound is what LeCun has for the spread
    }[name]
    return math.sqrt(variance)


def from_normal(draw, std):
    """Weights from standard normal numbers."""
    return std * np.asarray(draw, np.float64)


def from_uniform(draw, std):
    """Weights from numbers uniform in [0, 1): a uniform distribution of width w has the variance w^2 / 12."""
    width = std * math.sqrt(12)
    return width * np.asarray(draw, np.float64) - width / 2


def gram_schmidt(draw):
    """The columns of `draw` made orthonormal one after the other: the unique Q R with a positive diagonal of R."""
    columns = []
    for column in np.asarray(draw, np.float64).T:
        for _ in range(2):  # a second sweep takes away what rounding left
            for done in columns:
                column = column - done * (done @ column)
        columns.append(column / math.sqrt(column @ column))
    return np.stack(columns, axis=1)


def truncated(draw, std, cut):
    """Weights from numbers uniform in [0, 1): quantiles of the normal distribution cut at +-cut, scaled to `std`.

    The variance after the cut by the midpoint rule; the quantile function is the standard library's.
    """
    normal = statistics.NormalDist()
    low, high = normal.cdf(-cut), normal.cdf(cut)
    places = [-cut + 2 * cut * (i + 0.5) / 20_000 for i in range(20_000)]
    weights = [normal.pdf(z) for z in places]
    variance = math.fsum(w * z * z for w, z in zip(weights, places, strict=True)) / math.fsum(weights)
    z = [normal.inv_cdf(low + u * (high - low)) for u in np.ravel(draw).tolist()]
    return np.array(z).reshape(np.shape(draw)) * std / math.sqrt(variance)


def class_prior(targets, classes):
    """Bishop 2006, equation 4.63: the logarithms of the classes' frequencies, each counted once more."""
    counts = [1 + sum(1 for y in targets if y == c) for c in range(classes)]
    return np.array([math.log(n / sum(counts)) for n in counts])


def unit_variance(weight, bias, x):
    """Mishkin & Matas 2015, Algorithm 1, for a layer that is linear in its weight and has no bias yet: one division."""
    outputs = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    return weight / outputs.std()


def fixup_factor(branches, layers):
    """Zhang et al. 2019, rule 2: what the weights of a branch of so many layers are multiplied by."""
    return branches ** (-1 / (2 * layers - 2))


def delta(draw, kernel):
    """Xiao et al. 2018: an orthogonal matrix (out, in) at the centre of the kernel, 0 around it."""
    matrix = gram_schmidt(draw)
    weight = np.zeros((*matrix.shape, *kernel))
    weight[(slice(None), slice(None), *((k - 1) // 2 for k in kernel))] = matrix
    return weight
