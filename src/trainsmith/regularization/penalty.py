"""Penalties on the size of weights."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique


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

        J = loss + strength / 2 * sum w^2   over weight matrices, not over biases and gains

    Paper: Hoerl & Kennard 1970, Ridge regression; Goodfellow et al. 2016, Deep Learning, equation 7.2.

    Differs: 1. With the factor 1/2 the gradient is strength * w, as torch's weight_decay; Keras's L2(c) has no 1/2.

    Pitfall: with Adam the penalty's gradient is divided by the root of v: it is not weight decay. Behind a
    normalization layer it changes the effective learning rate, not what the network can express.

    Helps: small data sets, and networks without normalization.

    >>> import torch
    >>> from trainsmith.regularization import L2
    >>> L2(0.5)([torch.tensor([[1.0, 2.0]])]).item()
    1.25
    """

    strength: Tensor

    def __init__(self, strength: float = 1e-4) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))

    def forward(self, weights: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, ""]:
        """The penalty, a scalar, of weight tensors of any shapes."""
        return self.strength / 2 * torch.stack([w.square().sum() for w in weights]).sum()
