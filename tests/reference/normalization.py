"""Normalizations from their papers, in float64, one feature or one example at a time."""

import math
import statistics

import numpy as np


def standardized(train, x):
    """Each column of x in units of the same column of train; a column that is constant there becomes 0."""
    result = np.zeros(x.shape)
    for j in range(x.shape[1]):
        mean = math.fsum(train[:, j]) / len(train)
        std = math.sqrt(math.fsum((v - mean) ** 2 for v in train[:, j]) / len(train))
        if len(set(train[:, j])) > 1:
            result[:, j] = (x[:, j] - mean) / std
    return result


def batch(x, weight, bias, eps):
    """Ioffe & Szegedy 2015, Algorithm 1, for x (n, features, ...)."""
    y = np.empty(x.shape)
    for j in range(x.shape[1]):
        values = x[:, j].ravel()
        m = len(values)
        mean = math.fsum(values) / m
        variance = math.fsum((v - mean) ** 2 for v in values) / m
        y[:, j] = weight[j] * (x[:, j] - mean) / math.sqrt(variance + eps) + bias[j]
    return y


def running(batches, features, momentum):
    """(mean, variance) after `batches`, as moving averages from (0, 1); m / (m - 1) as in Algorithm 2, line 10."""
    mean, variance = np.zeros(features), np.ones(features)
    for x in batches:
        for j in range(features):
            values = x[:, j].ravel()
            m = len(values)
            mu = math.fsum(values) / m
            unbiased = m / (m - 1) * (math.fsum((v - mu) ** 2 for v in values) / m)
            mean[j] = (1 - momentum) * mean[j] + momentum * mu
            variance[j] = (1 - momentum) * variance[j] + momentum * unbiased
    return mean, variance


def batch_in_evaluation(x, weight, bias, eps, mean, variance):
    """Algorithm 2, line 11, for x (n, features, ...)."""
    y = np.empty(x.shape)
    for j in range(x.shape[1]):
        slope = weight[j] / math.sqrt(variance[j] + eps)
        y[:, j] = slope * x[:, j] + (bias[j] - slope * mean[j])
    return y


def layer(x, weight, bias, eps):
    """Ba, Kiros & Hinton 2016, equation 3, over all features of an example; weight and bias along axis 1."""
    y = np.empty(x.shape)
    for i, example in enumerate(x):
        h = example.size
        mean = math.fsum(example.ravel()) / h
        variance = math.fsum((v - mean) ** 2 for v in example.ravel()) / h
        for j in range(x.shape[1]):
            y[i, j] = weight[j] * (example[j] - mean) / math.sqrt(variance + eps) + bias[j]
    return y


def min_max(train, x):
    """Each column of x on the scale on which the same column of train runs from 0 to 1; constant columns become 0."""
    result = np.zeros(x.shape)
    for j in range(x.shape[1]):
        low, high = min(train[:, j]), max(train[:, j])
        if high > low:
            result[:, j] = (x[:, j] - low) / (high - low)
    return result


def robust(train, x):
    """Each column of x less the median, in units of the interquartile range, of the same column of train.

    Quantiles by the standard library's inclusive method: linear between neighbours.
    """
    result = np.zeros(x.shape)
    for j in range(x.shape[1]):
        low, median, high = statistics.quantiles(train[:, j], n=4, method="inclusive")
        if high > low:
            result[:, j] = (x[:, j] - median) / (high - low)
        elif len(set(train[:, j])) > 1:
            result[:, j] = (x[:, j] - median) / statistics.pstdev(train[:, j])
    return result


def group(x, weight, bias, groups, eps):
    """Wu & He 2018, equations 1, 2 and 7: the set of channel j are the channels of the same group of equal size."""
    y = np.empty(x.shape)
    size = x.shape[1] // groups
    for i, example in enumerate(x):
        for j in range(x.shape[1]):
            members = example[[k for k in range(x.shape[1]) if k // size == j // size]].ravel()
            mean = math.fsum(members) / len(members)
            variance = math.fsum((v - mean) ** 2 for v in members) / len(members)
            y[i, j] = weight[j] * (example[j] - mean) / math.sqrt(variance + eps) + bias[j]
    return y


def rms(x, weight, eps):
    """Zhang & Sennrich 2019, equation 4, over all features of an example; weight along axis 1."""
    y = np.empty(x.shape)
    for i, example in enumerate(x):
        size = math.sqrt(math.fsum(v * v for v in example.ravel()) / example.size + eps)
        for j in range(x.shape[1]):
            y[i, j] = example[j] / size * weight[j]
    return y


def renormalized(batches, weight, bias, momentum, limits, eps):
    """Ioffe 2017, Algorithm 1, for `batches` one after the other, from a running mean of 0 and spread of 1.

    limits: (r_max, d_max) at each step. The outputs, and the running (mean, spread) at the end.
    """
    features = batches[0].shape[1]
    mu, sigma = np.zeros(features), np.ones(features)
    outputs = []
    for x, (r_max, d_max) in zip(batches, limits, strict=True):
        y = np.empty(x.shape)
        for j in range(features):
            values = x[:, j].ravel()
            mu_b = math.fsum(values) / len(values)
            sigma_b = math.sqrt(eps + math.fsum((v - mu_b) ** 2 for v in values) / len(values))
            r = max(1 / r_max, min(r_max, sigma_b / sigma[j]))
            d = max(-d_max, min(d_max, (mu_b - mu[j]) / sigma[j]))
            y[:, j] = weight[j] * ((x[:, j] - mu_b) / sigma_b * r + d) + bias[j]
            mu[j] += momentum * (mu_b - mu[j])
            sigma[j] += momentum * (sigma_b - sigma[j])
        outputs.append(y)
    return outputs, mu, sigma


def standardized_filters(v, gain, eps):
    """Qiao et al. 2019: each filter standardized, here also divided by the root of its fan-in (Brock et al. 2021)."""
    w = np.empty(v.shape)
    for j, unit in enumerate(v):
        n = unit.size
        mean = math.fsum(unit.ravel()) / n
        variance = math.fsum((u - mean) ** 2 for u in unit.ravel()) / n
        w[j] = gain[j] * (unit - mean) / math.sqrt(n * variance + eps)
    return w


def power_iteration(v, p, steps):
    """Miyato et al. 2018, Algorithm 1: the estimate of v's largest singular value after `steps` rounds, and p."""
    v = v.reshape(len(v), -1)
    for _ in range(steps):
        q = v.T @ p
        q = q / math.sqrt(q @ q)
        p = v @ q
        p = p / math.sqrt(p @ p)
    return p @ v @ q, p


def weight_norm(v, g):
    """Salimans & Kingma 2016, equation 2: each unit's direction at the length g."""
    v = np.asarray(v, np.float64)
    return np.stack([length * unit / np.sqrt((unit**2).sum()) for unit, length in zip(v, g, strict=True)])


def weight_norm_start(v, x):
    """Salimans & Kingma 2016, equations 5 and 6: g and b that give each output mean 0 and variance 1 on x."""
    t = np.asarray(x, np.float64) @ weight_norm(v, np.ones(len(v))).T
    return 1 / t.std(0), -t.mean(0) / t.std(0)


def whitened(train, x, ridge, back):
    """LeCun et al. 1998, section 4.3; ZCA turns `back`: by a singular value decomposition of the training data.

    Columns are standardized first. Each component's largest entry is positive.
    """
    train, x = np.asarray(train, np.float64), np.asarray(x, np.float64)
    mean, spread = train.mean(0), train.std(0)
    z, y = (train - mean) / spread, (x - mean) / spread
    _, singular, turns = np.linalg.svd(z, full_matrices=False)
    values = singular**2 / len(z)
    turns = turns * np.sign(turns[np.arange(len(turns)), np.abs(turns).argmax(1)])[:, None]
    scores = y @ turns.T / np.sqrt(values + ridge * values.mean())
    return scores @ turns if back else scores


def spectral(v, bound):
    """Miyato et al. 2018, equation 8, with the singular value itself."""
    v = np.asarray(v, np.float64)
    return bound * v / np.linalg.svd(v.reshape(len(v), -1), compute_uv=False)[0]
