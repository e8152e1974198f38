"""Optimizers in the form their papers give them, in float64: the path of theta, one entry a step.

gradient: a function of theta. Where a paper writes an algorithm in other variables than ours, it is done here
in the paper's.
"""

import numpy as np


def sgd(theta, gradient, steps, lr):
    """Robbins & Monro 1951."""
    path = [np.asarray(theta, np.float64)]
    for _ in range(steps):
        path.append(path[-1] - lr * gradient(path[-1]))
    return np.array(path)


def momentum(theta, gradient, steps, lr, momentum):
    """Polyak 1964: x_{n+1} = x_n - alpha grad f(x_n) + beta (x_n - x_{n-1}). There is no velocity."""
    path = [np.asarray(theta, np.float64)] * 2
    for _ in range(steps):
        path.append(path[-1] - lr * gradient(path[-1]) + momentum * (path[-1] - path[-2]))
    return np.array(path[1:])


def nesterov_look_ahead(theta, gradient, steps, lr, momentum):
    """Sutskever et al. 2013, equations 3 and 4; what is returned is the path of the look-ahead point theta + mu v."""
    theta = np.asarray(theta, np.float64)
    v = np.zeros_like(theta)
    path = [theta + momentum * v]
    for _ in range(steps):
        v = momentum * v - lr * gradient(theta + momentum * v)
        theta = theta + v
        path.append(theta + momentum * v)
    return np.array(path)


def rmsprop(theta, gradient, steps, lr, alpha, eps):
    """Tieleman & Hinton 2012, slide 29, with eps added to the root. The mean of squares is summed up from its start:
    s_t = (1 - alpha) sum_i alpha^(t - i) g_i^2.
    """
    path, seen = [np.asarray(theta, np.float64)], []
    for _ in range(steps):
        g = gradient(path[-1])
        seen.append(g)
        s = sum((1 - alpha) * alpha ** (len(seen) - i) * old**2 for i, old in enumerate(seen, 1))
        path.append(path[-1] - lr * g / (np.sqrt(s) + eps))
    return np.array(path)


def adam(theta, gradient, steps, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, Algorithm 1."""
    path = [np.asarray(theta, np.float64)]
    m, v = np.zeros_like(path[0]), np.zeros_like(path[0])
    for t in range(1, steps + 1):
        g = gradient(path[-1])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        path.append(path[-1] - lr * m_hat / (np.sqrt(v_hat) + eps))
    return np.array(path)
