"""What the papers say of dropped channels, blocks and weights, pooled draws and adversarial steps, in float64 loops."""

import math

import numpy as np


def spatial_dropout(x, uniform, rate):
    """x (n, c, h, w), uniform (n, c): Tompson et al. 2015."""
    y = np.zeros_like(x)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            if uniform[i, c] >= rate:
                y[i, c] = x[i, c] / (1 - rate)
    return y


def alpha_dropout(x, uniform, rate):
    """Klambauer et al. 2017: the dropped are set to SELU's limit, then an affine map restores mean 0 and variance 1."""
    low = -1.0507009873554805 * 1.6732632423543772
    q = 1 - rate
    a = 1 / math.sqrt(q + low**2 * q * (1 - q))
    return a * np.where(uniform >= rate, x, low) - a * (1 - q) * low


def drop_block(x, uniform, rate, size):
    """Ghiasi et al. 2018, algorithm 1, seeds from uniform numbers (n, c, h - size + 1, w - size + 1)."""
    n, c, h, w = x.shape
    gamma = rate / size**2 * (h * w) / ((h - size + 1) * (w - size + 1))
    y = np.zeros_like(x)
    for i in range(n):
        mask = np.ones((c, h, w))
        for k in range(c):
            for a in range(h - size + 1):
                for b in range(w - size + 1):
                    if uniform[i, k, a, b] < gamma:
                        mask[k, a : a + size, b : b + size] = 0
        y[i] = x[i] * mask * mask.size / max(1, mask.sum())
    return y


def pooled(x, kernel, uniform=None):
    """Zeiler & Fergus 2013: x (h, w); with uniform numbers (h/k, w/k) a draw, without the weighted mean."""
    h, w = x.shape[0] // kernel, x.shape[1] // kernel
    y = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            region = x[i * kernel : (i + 1) * kernel, j * kernel : (j + 1) * kernel].ravel()
            if region.sum() == 0:
                continue
            p = region / region.sum()
            if uniform is None:
                y[i, j] = (p * region).sum()
            else:
                y[i, j] = region[np.searchsorted(np.cumsum(p), uniform[i, j], side="right")]
    return y


def dropped_moments(x, weight, bias, rate):
    """Mean and standard deviation of (W * M / (1 - rate)) x + b over masks M ~ Bernoulli(1 - rate), term by term."""
    mean, variance = np.tile(bias, (len(x), 1)), np.zeros((len(x), len(bias)))
    for n, o, i in np.ndindex(len(x), *weight.shape):
        term = weight[o, i] * x[n, i]
        mean[n, o] += term
        variance[n, o] += term**2 * (1 / (1 - rate) - 1)
    return mean, np.sqrt(variance)


def mean_of_relu(mean, std):
    """E max(0, z) of a normal z: mean Phi(mean / std) + std phi(mean / std)."""
    z = mean / np.maximum(std, 1e-12)
    cumulative = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z.ravel()]).reshape(z.shape)
    return mean * cumulative + std * np.exp(-(np.minimum(np.abs(z), 40) ** 2) / 2) / math.sqrt(2 * math.pi)
