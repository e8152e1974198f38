"""The gradient noise scale: how many examples a step can average before more of them stop helping.

With G the gradient of the expected loss and S the covariance of one example's gradient,

    B = tr(S) / |G|^2        (McCandlish et al. 2018, An empirical model of large-batch training, equation 2.9)

and from squared lengths n1, n2 of gradients of b1 and of b2 examples, each averaged first (appendix A.1)

    |G|^2 = (b2 n2 - b1 n1) / (b2 - b1)        tr(S) = (n1 - n2) / (1 / b1 - 1 / b2).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.inspection.fault import Finding, finding
from trainsmith.inspection.given import called, count, over
from trainsmith.inspection.record import Loss, loss_value

LEAST_PARTS, MOST_PARTS = 8, 16
"""Into how many equal parts the examples are cut: b1 is a part, b2 all of them."""
NOISY = 30.0
"""Batches below a 30th of the noise scale, of McCandlish et al.'s figure 1."""
FITTED = 0.5
"""Share of the best constant's loss below which the noise scale says nothing about the batch."""
STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class NoiseScale:
    """B with the ends of its interval, its parts tr(S) and |G|^2, and the two batch sizes.

    low, high: from |G|^2 give or take two standard errors of the jackknife over parts; high is infinite where the
    gradient does not stand out from its noise.
    """

    value: float
    low: float
    high: float
    trace: float
    squared: float
    small: int
    large: int

    @property
    def words(self) -> str:
        """What it means, in one sentence."""
        if not self.value < math.inf:
            return f"the gradient of {self.large} examples does not stand out from its noise: any batch is small."
        return (
            f"about {self.value:,.0f} examples [{self.low:,.0f}, {_or_more(self.high)}]: batches far below take noisy "
            "steps that further steps must average, batches far beyond hardly better steps than these."
        )


def _or_more(value: float) -> str:
    return f"{value:,.0f}" if value < math.inf else "more"


def noise_scale(module: nn.Module, x: Any, y: Any, loss: Loss | None) -> NoiseScale | None:
    """B at the weights as they are, from 8 to 16 parts of the examples; None for fewer, without gradients, or
    where the network refuses so few at once.

    Call it under `untouched`: the network runs in training, with its noise.
    """
    part = max(1, count(x) // MOST_PARTS)
    trained = [p for p in module.parameters() if p.requires_grad]
    if count(x) < LEAST_PARTS or y is None or not trained:
        return None
    parts = min(MOST_PARTS, count(x) // part)
    module.train()
    gradients: Tensor | None = None
    for i in range(parts):
        rows = slice(i * part, (i + 1) * part)
        try:
            with torch.enable_grad():
                value = loss_value(called(module, over(x, lambda t, r=rows: t[r].clone())), y[rows], loss)  # type: ignore[misc]
        except (RuntimeError, ValueError, TypeError, IndexError):  # as batch normalization refuses one example
            return None
        if not value.requires_grad:
            return None
        found = torch.autograd.grad(value, trained, allow_unused=True)
        flat = [g.detach().flatten() for g in found if g is not None]
        numbers = sum(map(len, flat))
        if gradients is None and flat:
            gradients = flat[0].new_empty(parts, numbers)
        if gradients is None or numbers != gradients.shape[1]:
            return None
        torch.cat(flat, out=gradients[i])
    if gradients is None or not gradients.isfinite().all():
        return None
    return of_gradients(gradients, part)


def of_gradients(gradients: Tensor, size: int) -> NoiseScale | None:
    """B from gradients (parts, numbers) of `size` examples each; None where all of them are 0."""
    products = (gradients @ gradients.T).double()
    parts = len(products)
    largest = float(products.diagonal().max())
    if not largest > 0:
        return None
    squared, trace = _estimates(products, size)
    without = [_estimates(products[kept][:, kept], size)[0] for kept in ~torch.eye(parts, dtype=torch.bool)]
    spread = torch.tensor(without, dtype=torch.float64)
    error = float(((parts - 1) / parts * (spread - spread.mean()).square().sum()).sqrt()) * STANDARD_ERRORS
    floor = 1e-9 * largest
    value, low, high = (
        trace / s if s > floor else math.inf for s in (squared, max(squared, floor) + error, squared - error)
    )
    return NoiseScale(max(0.0, value), max(0.0, low), max(0.0, high), trace, squared, size, size * parts)


def _estimates(products: Tensor, size: int) -> tuple[float, float]:
    """|G|^2 and tr(S) from the parts' inner products: n1 is their mean square, n2 that of their mean."""
    b1, b2 = size, size * len(products)
    n1, n2 = float(products.diagonal().mean()), float(products.mean())
    return (b2 * n2 - b1 * n1) / (b2 - b1), (n1 - n2) / (1 / b1 - 1 / b2)


def of_noise(noise: NoiseScale | None, size: int, share: float) -> Iterator[Finding]:
    """A batch far below the noise scale, where even its interval's lower end says so.

    share: of the best constant's loss that the network still has. Where most of it is gone, the gradients of examples
    are small and point anywhere, whatever the batch.
    """
    if noise is None or not size < noise.low / NOISY or share < FITTED:
        return
    words = (
        f"batches of {size} are far too small: the gradient noise scale is at least {noise.low:,.0f} examples, and "
        f"below a {NOISY:.0f}th of it, {noise.low / NOISY:.3g}, steps are almost all noise."
    )
    yield finding("batch far too small", "optimizer", "batch size", float(size), noise.low / NOISY, words)
