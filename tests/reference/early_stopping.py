"""Early stopping and what follows it as Goodfellow et al. 2016 write it, for least squares in float64.

x (n, features), a column of ones among them, y (n,), w (features,); one step is gradient descent on a batch's mean.
"""

import numpy as np


def loss(w, x, y):
    return ((x @ w - y) ** 2).mean()


def step(w, x, y, rate):
    return w - rate * 2 * x.T @ (x @ w - y) / len(y)


def stopped(w, x, y, watch, batches, rates, every, patience):
    """Algorithm 7.1: (best weights, after how many steps, their loss on the examples `watch`, all steps)."""
    best, best_step, best_loss, failed = w, 0, np.inf, 0
    for i, (batch, rate) in enumerate(zip(batches, rates, strict=True), 1):
        w = step(w, x[batch], y[batch], rate)
        if i % every:
            continue
        now = loss(w, x[watch], y[watch])
        if now < best_loss:
            best, best_step, best_loss, failed = w, i, now, 0
        else:
            failed += 1
            if failed >= patience:
                break
    return best, best_step, best_loss, i


def continued(w, x, y, train, watch, batches, rates, every):
    """Algorithm 7.3's loop from the best weights, until the batches end: (weights, steps, whether it was reached)."""
    target = loss(w, x[train], y[train])
    done = 0
    while loss(w, x[watch], y[watch]) > target:
        if done == len(batches):
            return w, done, False
        for i in range(done, done + every):
            w = step(w, x[batches[i]], y[batches[i]], rates[i])
        done += every
    return w, done, True
