"""The gradient noise scale: how many examples a step can average before more of them stop helping.

With G the gradient of the expected loss and S the covariance of one example's gradient,

    B = tr(S) / |G|^2        (McCandlish et al. 2018, An empirical model of large-batch training, equation 2.9)

and from squared lengths n1, n2 of gradients of b1 and of b2 examples, each averaged first (appendix A.1)

    |G|^2 = (b2 n2 - b1 n1) / (b2 - b1)        tr(S) = (n1 - n2) / (1 / b1 - 1 / b2).
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.inspection.faults.fault import Finding, finding
from trainsmith.inspection.passes.double import doubled
from trainsmith.inspection.passes.given import called, count, over, some
from trainsmith.inspection.passes.record import Loss, cuda_devices, loss_value

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

    Call it under `untouched`: the network runs in training, with its noise. The parts pass twice, with the same noise
    and from the same buffers, so that no more than one part's gradient and the sum are held at a time.
    """
    part = max(1, count(x) // MOST_PARTS)
    trained = [p for p in module.parameters() if p.requires_grad]
    if count(x) < LEAST_PARTS or y is None or not trained:
        return None
    parts = min(MOST_PARTS, count(x) // part)
    module.train()

    def gradients() -> Iterator[list[Tensor | None]]:
        for i in range(parts):
            rows = slice(i * part, (i + 1) * part)
            try:
                with torch.enable_grad():
                    value = loss_value(called(module, over(some(x, rows), Tensor.clone)), y[rows], loss)
            except (RuntimeError, ValueError, TypeError, IndexError) as reason:  # as batch normalization one example
                raise _NoAnswer from reason
            if not value.requires_grad:
                raise _NoAnswer
            found = torch.autograd.grad(value, trained, allow_unused=True)
            yield [g.to_dense() if g is not None and g.is_sparse else g for g in found]

    with contextlib.suppress(_NoAnswer):
        with _again(module):
            total, squared = _sum(gradients())
        if all(map(math.isfinite, squared)):
            return of_products(squared, [_dot(own, total) for own in gradients()], part)
    return None


class _NoAnswer(Exception):
    """The network refuses a part, or its gradient cannot be added to those of the others."""


@contextlib.contextmanager
def _again(module: nn.Module) -> Iterator[None]:
    """Afterwards torch's random numbers and the buffers are as before."""
    buffers = [(b, b.clone()) for b in module.buffers()]
    with torch.random.fork_rng(devices=cuda_devices(module)):
        yield
    for b, before in buffers:
        b.copy_(before)


def _sum(gradients: Iterator[list[Tensor | None]]) -> tuple[list[Tensor | None], list[float]]:
    """The sum of all parts' gradients, and the squared length of each. Raises _NoAnswer where not every part gives
    gradients to the same parameters."""
    total = [None if g is None else g.clone() for g in next(gradients)]
    squared = [_dot(total, total)]
    for own in gradients:
        squared.append(_dot(own, own))
        for all_parts, g in zip(total, own, strict=True):
            if (all_parts is None) != (g is None):
                raise _NoAnswer
            if all_parts is not None and g is not None:
                all_parts += g
    return total, squared


def _dot(a: list[Tensor | None], b: list[Tensor | None]) -> float:
    """The inner product of two gradients."""
    pairs = [(p, q) for p, q in zip(a, b, strict=True) if p is not None and q is not None]
    found = [doubled(torch.dot(p.flatten(), q.flatten())) for p, q in pairs]
    return float(torch.stack([f.to(found[0].device) for f in found]).sum()) if found else 0.0


def of_products(squared: Sequence[float], along: Sequence[float], size: int) -> NoiseScale | None:
    """B from gradients of `size` examples each; None where all of them are 0.

    squared: the squared length of each part's. along: its inner product with the sum of all.
    """
    own, with_sum, parts = np.array(squared), np.array(along), len(squared)
    if not own.max() > 0:
        return None
    value, trace = _estimates(own.mean(), with_sum.sum() / parts**2, size, parts)
    others, of_others = (own.sum() - own) / (parts - 1), (with_sum.sum() - 2 * with_sum + own) / (parts - 1) ** 2
    without = _estimates(others, of_others, size, parts - 1)[0]
    error = STANDARD_ERRORS * math.sqrt((parts - 1) / parts * ((without - without.mean()) ** 2).sum())
    floor = 1e-9 * own.max()
    scale, low, high = (trace / s if s > floor else math.inf for s in (value, max(value, floor) + error, value - error))
    return NoiseScale(max(0.0, scale), max(0.0, low), max(0.0, high), float(trace), float(value), size, size * parts)


def _estimates(n1: Any, n2: Any, size: int, parts: int) -> tuple[Any, Any]:
    """|G|^2 and tr(S) from the mean square n1 of the parts' lengths, and the square n2 of their mean."""
    b1, b2 = size, size * parts
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
