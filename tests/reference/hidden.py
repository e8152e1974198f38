"""What acts on hidden units, on whole networks and between weights, from the papers, one number at a time."""

import math

import numpy as np


def activity_l1(h, strength):
    """Goodfellow et al. 2016, equation 7.48: a mean over examples of the sum of sizes."""
    return strength * math.fsum(abs(float(v)) for v in np.ravel(h)) / len(h)


def activity_kl(h, strength, target):
    """Ng 2011, section 3: the divergence of each unit's mean activation from the target, summed over units."""
    total = 0.0
    for unit in np.moveaxis(np.asarray(h, np.float64), 1, 0):
        m = math.fsum(np.ravel(unit)) / unit.size
        total += target * math.log(target / m) + (1 - target) * math.log((1 - target) / (1 - m))
    return strength * total


def k_winners(h, share):
    """Makhzani & Frey 2014, section 2: all but the k largest units of an example become 0."""
    rows = np.asarray(h, np.float64).reshape(len(h), -1)
    k = math.ceil(share * rows.shape[1])
    kept = [[v if v >= sorted(row)[-k] else 0.0 for v in row] for row in rows]
    return np.array(kept).reshape(np.shape(h))


def dropped_branches(x, uniform, rate):
    """Huang et al. 2016, equation 2, for each example, scaled in training: `uniform` in [0, 1) decides."""
    return np.stack([row / (1 - rate) if u >= rate else 0 * row for row, u in zip(x, uniform, strict=True)])


def mean_prediction(members):
    """Lakshminarayanan et al. 2017, section 2.4: the mean of the members' probabilities (members, n, classes)."""
    found = []
    for rows in np.moveaxis(np.asarray(members, np.float64), 1, 0):
        shares = [[math.exp(z) / math.fsum(map(math.exp, row)) for z in row] for row in rows]
        found.append([math.fsum(column) / len(shares) for column in zip(*shares, strict=True)])
    return np.array(found)


def snapshot_rate(step, steps, cycles):
    """Huang et al. 2017, equation 2, at alpha_0 = 1."""
    length = math.ceil(steps / cycles)
    return (math.cos(math.pi * ((step - 1) % length) / length) + 1) / 2


def soft_tying(pairs, strength):
    """Goodfellow et al. 2016, section 7.9: strength times |A - B|^2 of each pair."""
    return strength * math.fsum(
        (float(a) - float(b)) ** 2 for p, q in pairs for a, b in zip(np.ravel(p), np.ravel(q), strict=True)
    )


def weight_decay(weight, lr, strength):
    """Loshchilov & Hutter 2019, Algorithm 1, with lr in the factor."""
    return np.asarray(weight, np.float64) - lr * strength * np.asarray(weight, np.float64)


def tied_autoencoder(x, w, b, c, f):
    """Vincent et al. 2010, section 2.2: f(W x + b) and its reconstruction W' h + c, an example at a time."""
    found = []
    for row in x:
        h = [f(math.fsum(wi * v for wi, v in zip(unit, row, strict=True)) + bi) for unit, bi in zip(w, b, strict=True)]
        found.append([math.fsum(w[i][j] * h[i] for i in range(len(h))) + c[j] for j in range(len(row))])
    return np.array(found)
