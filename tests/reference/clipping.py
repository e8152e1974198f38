"""Gradient clipping as its papers write it, in float64, on lists of arrays."""

import numpy as np


def by_value(gradients, threshold):
    """Every number between -threshold and threshold."""
    return [np.minimum(np.maximum(g, -threshold), threshold) for g in gradients]


def by_norm(gradients, max_norm):
    """Pascanu, Mikolov & Bengio 2013, Algorithm 1."""
    size = np.sqrt(sum((np.asarray(g, np.float64) ** 2).sum() for g in gradients))
    return [max_norm / size * g if size >= max_norm else g for g in gradients]


def adaptive(gradients, weights, ratio, eps):
    """Brock et al. 2021, equation 3, row by row; a vector is one unit."""
    out = []
    for g, w in zip(gradients, weights, strict=True):
        rows = [...] if g.ndim < 2 else range(len(g))
        g = g.copy()
        for i in rows:
            size, weight = np.sqrt((g[i] ** 2).sum()), max(np.sqrt((w[i] ** 2).sum()), eps)
            if size / weight > ratio:
                g[i] = ratio * weight / size * g[i]
        out.append(g)
    return out
