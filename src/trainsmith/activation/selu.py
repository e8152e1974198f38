"""The activation function that normalizes by itself."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import technique


@technique("activation", "activation")
class SELU(nn.Module):
    """SELU: an ELU scaled so that mean 0 and variance 1 of a layer's inputs are those of its outputs.

        f(x) = scale * x  for x > 0,  scale * alpha * (e^x - 1)  for x <= 0
        scale = 1.0507009873554805, alpha = 1.6732632423543772

    Paper: Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks, equation 2, with
    the constants for which (0, 1) is the fixed point.

    Differs: nothing known.

    Pitfall: the fixed point needs weights of variance 1 / fan_in (xavier, not he), inputs with mean 0 and variance 1,
    no other normalization, and alpha dropout in place of dropout, which would move mean and variance.

    Helps: deep fully connected networks without normalization layers. Not beside ordinary dropout, nor from other
    weights than LeCun's.

    >>> import torch
    >>> from trainsmith.activation import SELU
    >>> round(SELU()(torch.tensor(1.0)).item(), 4)
    1.0507
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return functional.selu(x)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.SELU()
