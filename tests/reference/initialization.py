"""Initializations from their papers, in float64, for draws that are given: nothing here draws."""

import math

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
