"""Regularizers from their papers, in float64, one number at a time."""

import math

import numpy as np


def l2(weights, strength):
    """Goodfellow et al. 2016, equation 7.2: strength / 2 times the sum of all squared weights."""
    return strength / 2 * math.fsum(float(w) ** 2 for tensor in weights for w in np.ravel(tensor))


def dropout(x, uniform, rate):
    """Srivastava et al. 2014, section 4, with retained units scaled up (section 10): `uniform` in [0, 1) decides."""
    return np.array(
        [v / (1 - rate) if u >= rate else 0.0 for v, u in zip(np.ravel(x), np.ravel(uniform), strict=True)]
    ).reshape(np.shape(x))


def label_smoothing(logits, targets, epsilon):
    """Szegedy et al. 2016, section 7: cross-entropy with q'(k) = (1 - epsilon) delta(k, y) + epsilon / K."""
    losses = []
    for row, y in zip(np.asarray(logits, np.float64), targets, strict=True):
        top = max(row)
        log_sum = top + math.log(math.fsum(math.exp(z - top) for z in row))
        share = [(1 - epsilon) * (k == y) + epsilon / len(row) for k in range(len(row))]
        losses.append(-math.fsum(q * (z - log_sum) for q, z in zip(share, row, strict=True)))
    return math.fsum(losses) / len(losses)


def stopped_after(losses, patience):
    """(number of checks made, index of the best): Goodfellow et al. 2016, Algorithm 7.1, on known losses."""
    for n in range(1, len(losses) + 1):
        seen = [loss if not math.isnan(loss) else math.inf for loss in losses[:n]]
        best = seen.index(min(seen)) if min(seen) < math.inf else -1
        if n - 1 - best >= patience:
            return n, best
    return len(losses), best


def elastic_net(weights, lambda1, lambda2):
    """Zou & Hastie 2005, equation 3: lambda2 times the sum of squares and lambda1 times that of absolute values."""
    numbers = [float(w) for tensor in weights for w in np.ravel(tensor)]
    return lambda2 * math.fsum(w**2 for w in numbers) + lambda1 * math.fsum(map(abs, numbers))


def orthogonality(weights, strength):
    """Bansal et al. 2018, section 3: strength |W^T W - I|^2 of the filters as columns, if they are not too many."""
    total = 0.0
    for tensor in weights:
        w = np.asarray(tensor, np.float64).reshape(len(tensor), -1).T
        if w.shape[1] > w.shape[0]:
            w = w.T
        for i, j in np.ndindex(w.shape[1], w.shape[1]):
            total += (math.fsum(w[:, i] * w[:, j]) - (i == j)) ** 2
    return strength * total


def max_norm(weight, limit):
    """Hinton et al. 2012: units whose incoming vector is longer than the limit are scaled to it."""
    w = np.asarray(weight, np.float64).copy()
    for unit in w:
        length = math.sqrt(math.fsum(np.ravel(unit) ** 2))
        if length > limit:
            unit *= limit / length
    return w


def soft_threshold(weight, pull):
    """Duchi & Singer 2009, the l1 norm: sign(w) [|w| - pull]_+."""
    return np.array([math.copysign(max(abs(v) - pull, 0), v) for v in np.ravel(weight)]).reshape(np.shape(weight))
