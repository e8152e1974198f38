"""A softmax regression, what techniques with passes of their own make of it, and its slopes by hand: NumPy in float64.

w (classes, features) has the classes' weights, b their biases; x (n, features) are examples of the classes y (n,).
"""

import numpy as np


def shares(logits):
    """The probabilities of logits (n, classes)."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(logits, y):
    return -np.log(shares(logits)[np.arange(len(y)), y]).mean()


def divergence(before, after):
    """KL(p || q) of the predictions, a mean over examples."""
    p, q = shares(before), shares(after)
    return (p * np.log(p / q)).sum(-1).mean()


def outputs(w, b, x):
    return x @ w.T + b


def _wrong(w, b, x, y):
    """p - one_hot(y), the slope of an example's loss by its logits."""
    return shares(outputs(w, b, x)) - np.eye(len(w))[y]


def slopes(w, b, x, y):
    """The slope of the mean loss by the inputs, and by the weights."""
    wrong = _wrong(w, b, x, y) / len(x)
    return wrong @ w, wrong.T @ x


def _along(g, norm):
    return np.sign(g) if norm == "inf" else g / np.sqrt((g**2).sum(-1, keepdims=True))


def fgsm(w, b, x, y, eps, norm):
    """Goodfellow et al. 2015, section 4; Miyato et al. 2017, equation 5: one step, clipped to [0, 1]."""
    return np.clip(x + eps * _along(slopes(w, b, x, y)[0], norm), 0, 1)


def pgd(w, b, x, y, eps, norm, size, steps):
    """Madry et al. 2018, section 2: steps from x, each projected to the ball around it and to [0, 1]."""
    moved = x.copy()
    for _ in range(steps):
        away = moved + size * _along(slopes(w, b, moved, y)[0], norm) - x
        if norm == "inf":
            away = np.clip(away, -eps, eps)
        else:
            away = away * np.minimum(1, eps / np.sqrt((away**2).sum(-1, keepdims=True)))
        moved = np.clip(x + away, 0, 1)
    return moved


def trades(w, b, x, moved, y, beta):
    """Zhang et al. 2019, equation 5, at given x'."""
    clean = outputs(w, b, x)
    return cross_entropy(clean, y) + beta * divergence(clean, outputs(w, b, moved))


def sam(w, b, x, y, rho):
    """Foret et al. 2021, Algorithm 1, of the weights alone: the loss uphill, and its slope there."""
    g = slopes(w, b, x, y)[1]
    uphill = w + rho * g / np.sqrt((g**2).sum())
    return cross_entropy(outputs(uphill, b, x), y), slopes(uphill, b, x, y)[1]


def gradient_penalty(w, b, x, y, strength):
    """Drucker & Le Cun 1992: half the squared slope of each example's own loss, a mean over them."""
    own = _wrong(w, b, x, y) @ w
    return cross_entropy(outputs(w, b, x), y) + strength / 2 * (own**2).sum(-1).mean()


def r_drop(one, other, y, alpha):
    """Liang et al. 2021, Algorithm 1, halved: of the logits of two passes."""
    both = (divergence(one, other) + divergence(other, one)) / 2
    return (cross_entropy(one, y) + cross_entropy(other, y) + alpha * both) / 2


def mixed(w, b, x, y, order, share):
    """Zhang et al. 2018, section 2: the cross-entropy of mixed examples to mixed targets."""
    targets = np.eye(len(w))[y]
    x, targets = share * x + (1 - share) * x[order], share * targets + (1 - share) * targets[order]
    return -(targets * np.log(shares(outputs(w, b, x)))).sum(-1).mean()
