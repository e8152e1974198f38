"""Learning-rate schedules as their papers draw them, in float64: whole curves, made part by part of lines and arcs.

Nothing here is a function of one step: each curve is put together of parts, as on paper.
"""

import numpy as np


def _line_up(count):
    """`count` numbers that rise evenly to 1, the first above 0."""
    return np.arange(1, count + 1, dtype=np.float64) / count


def _line_down(count):
    """`count` numbers that fall evenly from just below 1; the next would be 0."""
    return 1 - np.arange(1, count + 1, dtype=np.float64) / (count + 1)


def _whole(share, steps):
    return max(1, round(share * steps))


def constant_rate(steps):
    return np.ones(steps)


def staircase(steps, stairs, gamma):
    """A part ends where its share of the steps is full; each further part is gamma times the one before."""
    curve, height, left = np.empty(steps), 1.0, [k * steps / stairs for k in range(1, int(np.ceil(stairs)))]
    for done in range(steps):
        while left and done >= left[0]:
            height *= gamma
            left.pop(0)
        curve[done] = height
    return curve


def exponential(steps, final):
    """Evenly spaced on a logarithmic scale."""
    return np.exp(np.linspace(0.0, np.log(final), steps + 1)[:steps])


def cosine(steps, warmup):
    rise = _whole(warmup, steps)
    angles = np.linspace(0, np.pi, steps - rise + 2)[1:-1]
    return np.concatenate([_line_up(rise), (1 + np.cos(angles)) / 2])


def linear_decay(steps, warmup):
    rise = _whole(warmup, steps)
    return np.concatenate([_line_up(rise), _line_down(steps - rise)])


def warm_up(steps, warmup):
    rise = _whole(warmup, steps)
    return np.concatenate([_line_up(rise), np.ones(steps - rise)])


def stable_decay(steps, warmup, decay):
    rise, fall = _whole(warmup, steps), _whole(decay, steps)
    up = np.concatenate([_line_up(rise), np.ones(steps - rise)])
    down = np.concatenate([np.ones(steps - fall), _line_down(fall)])
    return np.minimum(up, down)


def one_cycle(steps, rise, start, final):
    """torch.optim.lr_scheduler.OneCycleLR's two phases: the top may lie between two steps."""
    top, curve = rise * steps - 1, np.empty(steps)
    for t in range(steps):
        low, high, done = (start, 1.0, t / top if top > 0 else 1.0) if t <= top else (final, 1.0, None)
        if done is None:
            done = 1 - (t - top) / (steps - 1 - top)
        curve[t] = low + (high - low) * np.sin(np.pi / 2 * done) ** 2
    return curve


def plateau(losses, gamma, patience, threshold):
    """The factors after each look: a fall where the last `patience + 1` looks since the last good one were all bad."""
    best, since, factors, factor = np.inf, 0, [], 1.0
    for loss in losses:
        good = loss < best - abs(best) * threshold if np.isfinite(best) else loss < np.inf
        best, since = (loss, 0) if good else (best, since + 1)
        if since > patience:
            factor, since = factor * gamma, 0
        factors.append(factor)
    return np.array(factors)
