"""Optimizers with a step size per coordinate, in the form their papers give them, in float64; see optimizer.py."""

import numpy as np


def moving_average(theta, gradient, steps, lr, beta):
    """The mean of past gradients with weights that fall by beta a step and sum to 1."""
    path, seen = [np.asarray(theta, np.float64)], []
    for t in range(1, steps + 1):
        seen.append(gradient(path[-1]))
        weights = beta ** np.arange(t - 1, -1, -1.0)
        mean = np.tensordot(weights / weights.sum(), np.array(seen), 1)
        path.append(path[-1] - lr * mean)
    return np.array(path)


def adagrad(theta, gradient, steps, lr, eps):
    """Duchi, Hazan & Singer 2011, section 1.1, with diag(G), and eps added to its root."""
    path, seen = [np.asarray(theta, np.float64)], []
    for _ in range(steps):
        seen.append(gradient(path[-1]))
        G = np.square(seen).sum(0)
        path.append(path[-1] - lr * seen[-1] / (np.sqrt(G) + eps))
    return np.array(path)


def adadelta(theta, gradient, steps, lr, rho, eps):
    """Zeiler 2012, Algorithm 1, its step multiplied by lr."""
    path = [np.asarray(theta, np.float64)]
    mean_g, mean_dx = np.zeros_like(path[0]), np.zeros_like(path[0])
    for _ in range(steps):
        g = gradient(path[-1])
        mean_g = rho * mean_g + (1 - rho) * g**2
        dx = -np.sqrt(mean_dx + eps) / np.sqrt(mean_g + eps) * g
        mean_dx = rho * mean_dx + (1 - rho) * dx**2
        path.append(path[-1] + lr * dx)
    return np.array(path)


def rmsprop_centred(theta, gradient, steps, lr, alpha, eps):
    """Graves 2013, equations 38 to 40, without momentum and with eps outside the root."""
    path = [np.asarray(theta, np.float64)]
    n, m = np.zeros_like(path[0]), np.zeros_like(path[0])
    for _ in range(steps):
        g = gradient(path[-1])
        n = alpha * n + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        path.append(path[-1] - lr * g / (np.sqrt(np.maximum(n - m**2, 0)) + eps))
    return np.array(path)


def adam_with(theta, gradient, steps, lr, beta1, beta2, eps, shrink=0.0, largest=False):
    """Loshchilov & Hutter 2019, Algorithm 2, with eta_t = lr also on the decay; or Reddi et al. 2018, Algorithm 2,
    bias-corrected.
    """
    path = [np.asarray(theta, np.float64)]
    m, v, top = (np.zeros_like(path[0]) for _ in range(3))
    for t in range(1, steps + 1):
        g = gradient(path[-1])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        top = np.maximum(top, v)
        second = (top if largest else v) / (1 - beta2**t)
        step = m / (1 - beta1**t) / (np.sqrt(second) + eps)
        path.append(path[-1] - lr * (step + shrink * path[-1]))
    return np.array(path)


def adamw(theta, gradient, steps, lr, beta1, beta2, eps, weight_decay):
    return adam_with(theta, gradient, steps, lr, beta1, beta2, eps, shrink=weight_decay)


def amsgrad(theta, gradient, steps, lr, beta1, beta2, eps):
    return adam_with(theta, gradient, steps, lr, beta1, beta2, eps, largest=True)


def nadam(theta, gradient, steps, lr, beta1, beta2, eps, momentum_decay, weight_decay):
    """Dozat 2016, Algorithm 2 with the schedule mu_t = beta1 (1 - 0.5 * 0.96^(t psi)), the product step by step."""
    path = [np.asarray(theta, np.float64)]
    m, v, product = np.zeros_like(path[0]), np.zeros_like(path[0]), 1.0
    for t in range(1, steps + 1):
        g = gradient(path[-1])
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product *= mu
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_bar = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        step = m_bar / (np.sqrt(v / (1 - beta2**t)) + eps)
        path.append(path[-1] - lr * (step + weight_decay * path[-1]))
    return np.array(path)


def radam(theta, gradient, steps, lr, beta1, beta2, eps, threshold=5):
    """Liu et al. 2020, Algorithm 2, with its threshold raised to 5 and eps added to sqrt(v)."""
    path = [np.asarray(theta, np.float64)]
    m, v = np.zeros_like(path[0]), np.zeros_like(path[0])
    rho_inf = 2 / (1 - beta2) - 1
    for t in range(1, steps + 1):
        g = gradient(path[-1])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > threshold:
            r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            path.append(path[-1] - lr * r * m_hat * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps))
        else:
            path.append(path[-1] - lr * m_hat)
    return np.array(path)


def adamax(theta, gradient, steps, lr, beta1, beta2, eps):
    """Kingma & Ba 2015, Algorithm 2; u written out: the largest of beta2^(t - i) (|g_i| + eps)."""
    path, seen = [np.asarray(theta, np.float64)], []
    m = np.zeros_like(path[0])
    for t in range(1, steps + 1):
        g = gradient(path[-1])
        seen.append(np.abs(g) + eps)
        m = beta1 * m + (1 - beta1) * g
        u = np.max([beta2 ** (t - i) * old for i, old in enumerate(seen, 1)], axis=0)
        path.append(path[-1] - lr / (1 - beta1**t) * m / u)
    return np.array(path)


def lion(theta, gradient, steps, lr, beta1, beta2, weight_decay):
    """Chen et al. 2023, Algorithm 2."""
    path = [np.asarray(theta, np.float64)]
    m = np.zeros_like(path[0])
    for _ in range(steps):
        g = gradient(path[-1])
        c = beta1 * m + (1 - beta1) * g
        path.append(path[-1] - lr * (np.sign(c) + weight_decay * path[-1]))
        m = beta2 * m + (1 - beta2) * g
    return np.array(path)


def schedule_free(theta, gradient, steps, lr, momentum, warmup, weight_decay, beta2=None, eps=0.0):
    """Defazio et al. 2024, section 2, or Algorithm 1 where beta2 is given. The paths of y and of x."""
    z = x = np.asarray(theta, np.float64)
    v, total = np.zeros_like(z), 0.0
    ys, xs = [z], [x]
    for t in range(1, steps + 1):
        y = (1 - momentum) * z + momentum * x
        g = gradient(y)
        if beta2 is not None:
            v = beta2 * v + (1 - beta2) * g**2
            g = g / (np.sqrt(v / (1 - beta2**t)) + eps)
        gamma = lr * min(1.0, t / warmup)
        total += gamma**2
        z = z - gamma * (g + weight_decay * y)
        c = gamma**2 / total
        x = (1 - c) * x + c * z
        ys.append((1 - momentum) * z + momentum * x)
        xs.append(x)
    return np.array(ys), np.array(xs)
