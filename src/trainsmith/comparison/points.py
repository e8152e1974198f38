"""Where in the ranges of their hyper-parameters a study tries techniques."""

import numpy as np
import torch
from torch.quasirandom import SobolEngine

MOST_TUNED = 8
BITS = 30
"""Binary digits of a coordinate."""


def shared_quantiles(count: int) -> np.ndarray:
    """(count, 8) points in (0, 1), the same for every technique and study.

    They are a scrambled Sobol sequence with each coordinate moved to the middle of its stratum, so that
    few points still cover a range evenly and from end to end.
    """
    if count < 1:
        return np.empty((0, MOST_TUNED))
    points = scrambled_sobol(int(np.ceil(np.log2(count))))[:count]
    return (points.argsort(axis=0).argsort(axis=0) + 0.5) / count


def scrambled_sobol(exponent: int) -> np.ndarray:
    """2**exponent points of a Sobol sequence in [0, 1)⁸, scrambled: those of scipy.stats.qmc, which is slow to import.

    The binary digits of a coordinate are multiplied by a random lower triangular matrix and added to random digits,
    modulo 2. Matoušek 1998, On the L2-discrepancy for anchored boxes.
    """
    draws = np.random.default_rng(np.random.SeedSequence(20260).spawn(1)[0])
    shift = draws.integers(2, size=(MOST_TUNED, BITS), dtype=np.uint32)[:, ::-1]
    matrix = np.tril(draws.integers(2, size=(MOST_TUNED, BITS, BITS), dtype=np.uint32), -1) + np.eye(BITS, dtype=int)
    whole = (SobolEngine(MOST_TUNED).draw_base2(exponent, dtype=torch.float64).numpy() * 2**BITS).astype(int)
    digits = whole[..., None] >> np.arange(BITS)[::-1] & 1
    return (np.einsum("dij,ndj->ndi", matrix, digits) + shift) % 2 @ 0.5 ** np.arange(1, BITS + 1)


__all__ = ["MOST_TUNED", "scrambled_sobol", "shared_quantiles"]
