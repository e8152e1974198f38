"""Penalties on the size of weights."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.catalogue.half import single


@technique(
    "regularization",
    "penalty",
    aliases=("l2-penalty", "ridge"),
    strength=Hyperparameter(
        "lambda: loss per half unit of squared weight", (1e-6, 1e-2), "log", NON_NEGATIVE, tuned=True
    ),
)
class L2(nn.Module):
    """L2 penalty: large weights cost.

        J = loss + strength / 2 * sum w^2   over the weights that are given: in a network not its biases and gains

    Paper: Hoerl & Kennard 1970, Ridge regression; Goodfellow et al. 2016, Deep Learning, equation 7.2.

    Differs: 1. With the factor 1/2 the gradient is strength * w, as torch's weight_decay; Keras's L2(c) has no 1/2.

    Pitfall: with Adam the penalty's gradient is divided by the root of v: it is not weight decay. Behind a
    normalization layer it changes the effective learning rate, not what the network can express.

    Helps: small data sets, and networks without normalization. Not with adaptive optimizers, which rescale its
    gradient.

    >>> import torch
    >>> from trainsmith.regularization import L2
    >>> L2(0.5)([torch.tensor([[1.0, 2.0]])]).item()
    1.25
    """

    strength: Tensor

    def __init__(self, strength: float = 1e-4) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))

    def forward(self, weights: Iterable[Inexact[Tensor, "..."]]) -> Float[Tensor, ""]:
        """The penalty, a scalar, of weight tensors of any shapes: see total."""
        return self.strength / 2 * total(square, weights)


def total(size: Callable[[Tensor], Tensor], weights: Iterable[Tensor] | Tensor) -> Float[Tensor, ""]:
    """The sum of size(w) over all numbers of all tensors, 0 if there are none; of half precision in single."""
    sums = [size(single(w)).sum() for w in ([weights] if isinstance(weights, Tensor) else weights)]
    return torch.stack(sums).sum() if sums else torch.zeros(())


def square(w: Inexact[Tensor, "..."]) -> Float[Tensor, "..."]:
    """|w|^2 of each number."""
    return (w.abs() if w.is_complex() else w).square()
