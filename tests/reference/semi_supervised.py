"""Learning from unlabelled examples, written from the papers in double precision with NumPy alone."""

import numpy as np


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def pseudo_label(logits, threshold):
    """Lee 2013, equation 15, and the threshold of Oliver et al. 2018: the mean over all examples."""
    return fixmatch(logits, logits, threshold)


def fixmatch(weak, strong, threshold):
    """Sohn et al. 2020, equation 4."""
    total = 0.0
    for q, p in zip(softmax(weak), softmax(strong), strict=True):
        if q.max() >= threshold:
            total -= np.log(p[q.argmax()])
    return total / len(weak)


def entropy(logits):
    """Grandvalet & Bengio 2005, a mean."""
    p = softmax(logits)
    return -(p * np.log(p)).sum(-1).mean()


def squared_difference(one, other):
    """Laine & Aila 2017, Algorithm 1: over examples and classes."""
    return np.square(softmax(one) - softmax(other)).mean()


def divergence(before, after):
    """KL(p || q), the mean over examples."""
    p, q = softmax(before), softmax(after)
    return (p * (np.log(p) - np.log(q))).sum(-1).mean()


def growing(t, length):
    """Laine & Aila 2017, appendix A: exp(-5 (1 - T)^2)."""
    return np.exp(-5 * (1 - min(t / length, 1)) ** 2) if length else 1.0


def late(t, start, length):
    """Lee 2013, equation 16, without the weight."""
    if t <= start:
        return 0.0
    return min((t - start) / length, 1.0) if length else 1.0


def teacher(students, decay):
    """Tarvainen & Valpola 2017, section 2, of the weights after 0, 1, 2 ... steps."""
    mean = students[0]
    for t, student in enumerate(students[1:], 1):
        a = min(1 - 1 / (t + 1), decay)
        mean = a * mean + (1 - a) * student
    return mean


def hessian_of_divergence(logits_of, x, scale, h=1e-4):
    """d^2 KL(p(x) || p(x + scale r)) / dr^2 at r = 0 by central differences, for one example x (d,)."""
    d = len(x)
    found = np.zeros((d, d))

    def at(r):
        return divergence(logits_of(x)[None], logits_of(x + scale * r)[None])

    for i in range(d):
        for j in range(d):
            a, b = np.eye(d)[i] * h, np.eye(d)[j] * h
            found[i, j] = (at(a + b) - at(a - b) - at(b - a) + at(-a - b)) / (4 * h * h)
    return found
