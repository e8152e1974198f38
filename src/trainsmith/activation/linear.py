"""The activation function that does nothing."""

from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import technique


@technique("activation", "activation", aliases=("linear",))
class Identity(nn.Module):
    """Identity: no activation function, so that the network is one linear map however deep it is.

        f(x) = x

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.1, equation 6.2 (a linear model, which
    cannot learn XOR).

    Differs: nothing known.

    Pitfall: depth adds parameters and changes the course of training (Saxe et al. 2013), not what can be expressed.

    Helps: as the control that shows what the other activation functions are worth on your data. Not in hidden layers
    that should add to what one linear layer can do.

    >>> import torch
    >>> from trainsmith.activation import Identity
    >>> Identity()(torch.tensor([-1.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x itself."""
        return x

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.Identity()
