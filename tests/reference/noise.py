"""Noise on inputs, weights and gradients, and values that are exchanged or hidden, for numbers that are given."""

import math

import numpy as np


def normal(u, v):
    """Box & Muller 1958: a normal number of two uniform ones in [0, 1), the first turned round."""
    return math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)


def added(x, std, spread, n):
    """Bishop 1995, Graves 2011: x + std times its spread times standard normal numbers n."""
    return np.array(
        [[v + std * s * z for v, s, z in zip(row, spread, zs, strict=True)] for row, zs in zip(x, n, strict=True)]
    )


def gradient_deviation(eta, gamma, t):
    """Neelakantan et al. 2015, equation 1, at step t from 0."""
    return math.sqrt(eta / (1 + t) ** gamma)


def exchanged(x, which, where, rate):
    """Values of a row exchanged for those of the row `where` in [0, 1) says, where `which` is below the rate."""
    n = len(x)
    return np.array(
        [[x[int(where[i][j] * n)][j] if which[i][j] < rate else x[i][j] for j in range(len(x[0]))] for i in range(n)]
    )


def hidden(x, mean, which, rate):
    """Vincent et al. 2008, section 2.3: values become their column's mean where `which` is below the rate."""
    return np.array(
        [
            [m if u < rate else v for v, m, u in zip(row, mean, us, strict=True)]
            for row, us in zip(x, which, strict=True)
        ]
    )


def flipped(images, which, rate):
    """Krizhevsky et al. 2012, section 4.1: images mirrored left to right where `which` is below the rate."""
    return np.stack([image[..., ::-1] if u < rate else image for image, u in zip(images, which, strict=True)])
