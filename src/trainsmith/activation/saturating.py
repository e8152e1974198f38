"""Activation functions that level off on both sides."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import technique


@technique("activation", "activation", aliases=("logistic",))
class Sigmoid(nn.Module):
    """Sigmoid: a smooth step from 0 to 1.

        f(x) = 1 / (1 + e^-x)

    Paper: Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, equation 2.

    Differs: nothing known.

    Pitfall: its slope is at most 1/4 and its mean 1/2: gradients shrink at every layer, and no spread of weights
    alone makes a deep stack of it trainable.

    Helps: as an output that is a probability; in hidden layers mostly with batch normalization.

    >>> import torch
    >>> from trainsmith.activation import Sigmoid
    >>> Sigmoid()(torch.zeros(1)).item()
    0.5
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return torch.sigmoid(x)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.Sigmoid()


@technique("activation", "activation")
class Tanh(nn.Module):
    """Tanh: a smooth step from -1 to 1 that is the identity around 0.

        f(x) = (e^x - e^-x) / (e^x + e^-x)

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.4.

    Differs: 1. LeCun's recommended 1.7159 tanh(2x/3) is another function.

    Pitfall: large weights push it to its rails, where the gradient is 0.

    Helps: with Xavier initialization; where outputs should be centred on 0.

    >>> import torch
    >>> from trainsmith.activation import Tanh
    >>> Tanh()(torch.zeros(1)).item()
    0.0
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element."""
        return torch.tanh(x)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.Tanh()
