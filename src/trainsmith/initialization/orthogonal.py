"""Orthogonal weights: a rotation, which keeps every length."""

import math

import torch
from jaxtyping import Inexact
from torch import Tensor

from trainsmith.catalogue import POSITIVE, Hyperparameter, technique
from trainsmith.initialization.fan import fan_in_and_out, numbers_of


@technique(
    "initialization", "weights", gain=Hyperparameter("factor on the orthogonal matrix", (0.5, 2.0), "log", POSITIVE)
)
def orthogonal(
    weight: Inexact[Tensor, "..."], gain: float = 2**0.5, *, generator: torch.Generator | None = None
) -> Inexact[Tensor, "..."]:
    """Orthogonal: a random rotation, whose singular values are all equal to the gain.

        A ~ N(0, 1);  Q R = A;  w = gain * Q * sign(diag R)

    Paper: Saxe, McClelland & Ganguli 2013, Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, section 3.

    Differs: 1. The default gain sqrt(2) makes up for ReLU, as the paper's gain g > 1 does for tanh; use 1 for linear.
    2. Where the matrix is not square the shorter side is orthonormal; a convolution is flattened to (out, rest).

    Pitfall: without the signs of R's diagonal the rotation is not uniformly distributed.

    Helps: in very deep networks: 30 layers of ReLU train as well as with He or better. Not where a normalization
    follows every layer, which sets the scale anyway.

    >>> import torch
    >>> from trainsmith.initialization import orthogonal
    >>> w = orthogonal(torch.empty(3, 5), gain=1.0, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-5)
    True
    """
    fan_in_and_out(weight)
    numbers_of(weight)
    rows, columns = weight.shape[0], math.prod(weight.shape[1:])
    kind = torch.complex128 if weight.is_complex() else torch.float64
    draw = torch.randn(max(rows, columns), min(rows, columns), generator=generator, dtype=kind, device="cpu")
    q, r = torch.linalg.qr(draw)
    q = q * r.diagonal().sgn()
    with torch.no_grad():
        return weight.copy_(gain * (q if rows >= columns else q.T).reshape(weight.shape))
