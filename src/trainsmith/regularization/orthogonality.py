"""Penalties on the angles between units."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.penalty import square, total


@technique(
    "regularization",
    "penalty",
    aliases=("soft-orthogonality",),
    strength=Hyperparameter(
        "loss per squared deviation from orthonormal", (1e-5, 1e-1), "log", NON_NEGATIVE, tuned=True
    ),
)
class Orthogonality(nn.Module):
    """Orthogonality penalty: the rows of each weight matrix, or its columns where they are fewer, stay orthonormal.

        J = loss + strength * sum over weights of |W W^T - 1|^2_F   (W^T W - 1 for more rows than columns)

    Paper: Bansal, Chen & Wang 2018, Can we gain more from orthogonality regularizations in training deep CNNs?,
    section 3 (soft orthogonality).

    Differs: 1. A convolution is taken as the matrix of its filters, one a row, as in the paper. 2. The side
    that can be orthonormal is chosen; the paper's soft orthogonality is that of the columns of W, whatever its shape.

    Pitfall: it fixes the size of the weights as well as their angles, and so competes with L2; it is least at
    orthonormal weights, not at 0.

    Helps: deep networks without normalization, whose signals it keeps from growing and shrinking. Not for weights in
    front of a normalization, whose length means nothing.

    >>> import torch
    >>> from trainsmith.regularization import Orthogonality
    >>> Orthogonality(0.5)([torch.eye(3), torch.zeros(2, 3)]).item()
    1.0
    """

    least_at_zero = False
    strength: Tensor

    def __init__(self, strength: float = 1e-3) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))

    def forward(self, weights: Iterable[Inexact[Tensor, "..."]]) -> Float[Tensor, ""]:
        """The penalty, a scalar, of weight tensors of two axes or more, the units first: see total.

        Raises InvalidInput for one with fewer axes.
        """
        return self.strength * total(_deviation, weights)


def _deviation(weight: Inexact[Tensor, "..."]) -> Float[Tensor, "side side"]:
    """How far each number of the smaller of the two Gram matrices is from the identity's, squared."""
    if weight.ndim < 2:
        raise InvalidInput(
            f"orthogonality is of weights with at least two axes (out, in, ...); got shape {tuple(weight.shape)}: "
            "leave biases and gains out."
        )
    w = weight.flatten(1)
    short = w if w.shape[0] <= w.shape[1] else w.T
    return square(short @ short.mH - torch.eye(len(short), dtype=w.dtype, device=w.device))
