"""Optimizers that look at a whole parameter, in the form their papers give them, in float64; see optimizer.py."""

import numpy as np


def lars(theta, gradient, steps, lr, momentum, trust, weight_decay):
    """You, Gitman & Ginsburg 2017, Algorithm 1."""
    path = [np.asarray(theta, np.float64)]
    v = np.zeros_like(path[0])
    for _ in range(steps):
        w, g = path[-1], gradient(path[-1])
        local = trust * np.linalg.norm(w) / (np.linalg.norm(g) + weight_decay * np.linalg.norm(w))
        v = momentum * v + lr * local * (g + weight_decay * w)
        path.append(w - v)
    return np.array(path)


def lamb(theta, gradient, steps, lr, beta1, beta2, eps, weight_decay):
    """You et al. 2020, Algorithm 2, phi the identity."""
    path = [np.asarray(theta, np.float64)]
    m, v = np.zeros_like(path[0]), np.zeros_like(path[0])
    for t in range(1, steps + 1):
        x, g = path[-1], gradient(path[-1])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * x
        path.append(x - lr * np.linalg.norm(x) / np.linalg.norm(r) * r)
    return np.array(path)


def adafactor(theta, gradient, steps, lr, decay, clip, eps1, eps2, weight_decay):
    """Shazeer & Stern 2018, Algorithms 4 (matrices) and 5 (vectors) with the schedules of Algorithm 6: sums of rows
    and columns, and their outer product over the sum of all.
    """
    path = [np.asarray(theta, np.float64)]
    rows = columns = v = 0.0
    for t in range(1, steps + 1):
        x, g = path[-1], gradient(path[-1])
        beta = 1 - t**-decay
        if x.ndim == 2:
            rows = beta * rows + (1 - beta) * (g**2 + eps1).sum(1)
            columns = beta * columns + (1 - beta) * (g**2 + eps1).sum(0)
            v = np.outer(rows, columns) / rows.sum()
        else:
            v = beta * v + (1 - beta) * (g**2 + eps1)
        u = g / np.sqrt(v)
        u = u / max(1, np.sqrt((u**2).mean()) / clip)
        alpha = max(eps2, np.sqrt((x**2).mean())) * min(lr, 1 / np.sqrt(t))
        path.append(x - lr * weight_decay * x - alpha * u)
    return np.array(path)


def muon(theta, gradient, steps, lr, momentum, weight_decay):
    """Jordan et al. 2024 with Nesterov momentum. The quintic acts on singular values alone, and here it does: by an SVD
    of what is to be made orthogonal.
    """
    path = [np.asarray(theta, np.float64)]
    m = np.zeros_like(path[0])
    for _ in range(steps):
        x, g = path[-1], gradient(path[-1])
        m = momentum * m + (1 - momentum) * g
        U, s, Vt = np.linalg.svd((1 - momentum) * g + momentum * m, full_matrices=False)
        s = s / np.sqrt((s**2).sum())
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        scale = np.sqrt(max(1, x.shape[0] / x.shape[1]))
        path.append(x - lr * weight_decay * x - lr * scale * (U * s) @ Vt)
    return np.array(path)


def soap(theta, gradient, steps, lr, beta1, beta2, eps, weight_decay, every=10):
    """Vyas et al. 2024, Algorithms 3 and 4, with the first gradient used for the bases alone, as the authors do."""
    path = [np.asarray(theta, np.float64)]
    g = gradient(path[0])
    L, R = (1 - beta2) * g @ g.T, (1 - beta2) * g.T @ g
    QL, QR = np.linalg.eigh(L)[1][:, ::-1], np.linalg.eigh(R)[1][:, ::-1]
    m, v = np.zeros_like(g), np.zeros_like(g)
    path.append(path[0])
    for s in range(1, steps):
        x, g = path[-1], gradient(path[-1])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (QL.T @ g @ QR) ** 2
        n = QL.T @ m @ QR / (1 - beta1**s) / (np.sqrt(v / (1 - beta2**s)) + eps)
        path.append(x - lr * weight_decay * x - lr * QL @ n @ QR.T)
        L, R = beta2 * L + (1 - beta2) * g @ g.T, beta2 * R + (1 - beta2) * g.T @ g
        if s % every == 0:
            rows, columns = (np.argsort(-np.diag(Q.T @ P @ Q)) for P, Q in ((L, QL), (R, QR)))
            v = v[rows][:, columns]
            QL, QR = np.linalg.qr(L @ QL[:, rows])[0], np.linalg.qr(R @ QR[:, columns])[0]
    return np.array(path)
