"""Normalizations from their papers, in float64, one feature or one example at a time."""

import math

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
