"""Parameter tying and sharing (Goodfellow et al. 2016, Deep Learning, section 7.9). To be used alone."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue.half import single
from trainsmith.regularization.penalty import square, total


def soft_tying(pairs: Iterable[tuple[Tensor, Tensor]], strength: float | Tensor) -> Float[Tensor, ""]:
    """strength * sum of |A - B|^2 over pairs of equally shaped weights, to be added to the loss.

    Lasserre, Bishop & Minka 2006, Principled hybrids of generative and discriminative models; Goodfellow et al. 2016,
    section 7.9, Omega(A, B) = |A - B|^2_2. At strength 0 the weights are independent; a large one ties them.
    """
    return strength * total(square, (single(a) - single(b) for a, b in pairs))


class TiedAutoencoder(nn.Module):
    """An autoencoder of one layer whose decoder is its encoder transposed.

        h = f(W x + b),   x' = W^T h + c

    Vincent, Larochelle, Lajoie, Bengio & Manzagol 2010, Stacked denoising autoencoders, section 2.2 (tied weights).
    W has one tensor, so its gradient is the sum of those of both uses, and a penalty counts it once. W is drawn
    uniform as torch draws a linear layer's, from the encoder's fan-in; b and c start at 0.
    """

    def __init__(self, inputs: int, units: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(inputs, units).weight.detach())
        self.encoder_bias = nn.Parameter(torch.zeros(units))
        self.decoder_bias = nn.Parameter(torch.zeros(inputs))
        self.activation = activation or nn.Sigmoid()

    def encode(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n units"]:
        """The hidden representation."""
        return self.activation(functional.linear(x, self.weight, self.encoder_bias))

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n inputs"]:
        """The reconstruction, before any output function."""
        return functional.linear(self.encode(x), self.weight.T, self.decoder_bias)
