"""Averages of a path of weights, written from the papers in float64, importing nothing of ours."""

import numpy as np


def exponential(path, decay):
    """Mean teachers, section 2: decay a + (1 - decay) theta_t, the decay warmed up as 1 - 1 / t."""
    average = None
    for t, theta in enumerate(path, 1):
        kept = min(decay, 1 - 1 / t)
        average = theta if average is None else kept * average + (1 - kept) * theta
    return average


def mean_from(path, start, steps):
    """The plain mean of what comes after the share `start` of the steps, the last weights before there is any."""
    first = int(np.floor(start * steps))
    return np.mean(path[first:], axis=0) if len(path) > first else path[-1]


def with_numbers(name, path, steps, numbers):
    if name == "weight-ema":
        return exponential(path, numbers["decay"])
    return mean_from(path, numbers["start"], steps)
