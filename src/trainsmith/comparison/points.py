"""Where in the ranges of their hyper-parameters a study tries techniques."""

import numpy as np

MOST_TUNED = 8


def shared_quantiles(count: int) -> np.ndarray:
    """(count, 8) points in (0, 1), the same for every technique and study.

    They are a scrambled Sobol sequence with each coordinate moved to the middle of its stratum, so that
    few points still cover a range evenly and from end to end.
    """
    from scipy.stats import qmc

    if count < 1:
        return np.empty((0, MOST_TUNED))
    exponent = int(np.ceil(np.log2(count)))
    points = qmc.Sobol(MOST_TUNED, rng=np.random.default_rng(20260)).random_base2(exponent)[:count]
    return (points.argsort(axis=0).argsort(axis=0) + 0.5) / count
