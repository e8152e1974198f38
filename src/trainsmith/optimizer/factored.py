"""Adafactor: Adam's second moment from the means of its rows and columns alone."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import NON_NEGATIVE, POSITIVE, Hyperparameter, Interval, technique
from trainsmith.optimizer.matrix import as_matrix, matrix_shape, norm
from trainsmith.optimizer.rule import Optimizer


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("largest step of a parameter over its root mean square", (1e-4, 1e-1), "log", POSITIVE, True),
    decay=Hyperparameter("how fast the mean of squares slows down", (0.5, 1.0), "linear", Interval(0, 1, True)),
    clip=Hyperparameter("largest root mean square of the scaled gradient", (0.5, 2.0), "log", POSITIVE),
    eps1=Hyperparameter("added to the squared gradient", (1e-30, 1e-12), "log", POSITIVE),
    eps2=Hyperparameter("least root mean square that a parameter counts with", (1e-4, 1e-2), "log", NON_NEGATIVE),
    weight_decay=Hyperparameter("share of a weight lost per step, in units of lr", (1e-3, 1.0), "log", NON_NEGATIVE),
)
class Adafactor(Optimizer):
    """Adafactor: scaled by root mean squares that are kept for rows and columns only, and clipped, without momentum.

        b     = 1 - t^-decay
        row_i = b row_i + (1 - b) mean over j of (g_ij^2 + eps1),   column_j likewise
        u     = g / sqrt(row column' / mean(row));   u = u / max(1, rms(u) / clip)
        theta = theta - lr * weight_decay * theta - max(eps2, rms(theta)) min(lr, 1 / sqrt(t)) u
        (a vector keeps its mean of squares for each number)

    Paper: Shazeer & Stern 2018, Adafactor: adaptive learning rates with sublinear memory cost, Algorithms 4 to 6.

    Differs: 1. A convolution's kernel is one matrix (out, in * height * width); torch factors its last two axes.
    2. lr, 0.01 in the paper, can be changed and scheduled. 3. weight_decay is decoupled and 0 by default; the paper
    has none. 4. eps1 is added to the square, as in the paper; torch bounds the root from below instead.

    Pitfall: lr is relative to the size of the parameter, and 1 / sqrt(t) bounds it: it is no other rule's lr.

    Helps: large matrices that leave no memory for Adam's moments. Not for vectors, of which it saves nothing.

    >>> import torch
    >>> from trainsmith.optimizer import Adafactor
    >>> theta = torch.nn.Parameter(torch.full((3, 4), 2.0))
    >>> theta.grad = torch.ones(3, 4)
    >>> optimizer = Adafactor([theta])
    >>> optimizer.step()
    >>> round(theta[0, 0].item(), 6), [tuple(x.shape) for x in list(optimizer.state[theta].values())[1:]]
    (1.98, [(3, 1), (1, 4)])
    """

    per_tensor: ClassVar[bool] = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        decay: float = 0.8,
        clip: float = 1.0,
        eps1: float = 1e-30,
        eps2: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, decay=decay, clip=clip, eps1=eps1, eps2=eps2, weight_decay=weight_decay)

    @classmethod
    def kept(cls, shape: torch.Size) -> dict[str, tuple[int, ...]]:
        if len(shape) < 2:
            return {"v": tuple(shape)}
        rows, columns = matrix_shape(shape)
        return {"row": (rows, 1), "column": (1, columns)}

    @staticmethod
    def coefficients(
        t: int, *, lr: Any, decay: Any, clip: Any, eps1: Any, eps2: Any, weight_decay: Any
    ) -> dict[str, Any]:
        slowest = 1 / t**0.5
        rate = (lr + slowest - abs(lr - slowest)) / 2  # the smaller of the two, for floats and for columns
        new = (t * 1.0) ** -decay
        return {"new": new, "rate": rate, "clip": clip, "eps1": eps1, "eps2": eps2, "left": 1 - lr * weight_decay}

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, *kept: Tensor,
        axes: int, new: Any, rate: Any, clip: Any, eps1: Any, eps2: Any, left: Any,
    ) -> None:  # fmt: skip
        if axes < 2:
            (v,) = kept
            u = g / v.lerp_(_above_0(g * g + eps1), new).sqrt()
        else:
            row, column = kept
            G, new = as_matrix(g, axes), as_matrix(new, axes)
            square = _above_0(G * G + as_matrix(eps1, axes))
            row.lerp_(square.mean(-1, keepdim=True), new)
            column.lerp_(square.mean(-2, keepdim=True), new)
            u = (G * (row / row.mean(-2, keepdim=True)).rsqrt()).mul_(column.rsqrt()).reshape(theta.shape)
        size = theta[(0,) * (theta.ndim - axes)].numel() ** 0.5
        excess = (norm(u, axes) / size / clip).clamp_min(1.0)
        scale = norm(theta, axes) / size
        scale = (scale + eps2 + (scale - eps2).abs()) / 2  # the larger of the two
        theta.mul_(left).sub_(u.mul_(scale / excess * rate))


def _above_0(square: Tensor) -> Tensor:
    """Squares with eps1 added, not below the smallest normal number: eps1 itself is 0 in float16."""
    return square.clamp_min_(torch.finfo(square.dtype).tiny) if square.dtype == torch.float16 else square
