"""Activation functions that level off on both sides."""

import functools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.activation import plain
from trainsmith.catalogue import POSITIVE, Hyperparameter, kernel_numbers, number_in, technique

_eps = functools.cache(lambda dtype: torch.finfo(dtype).eps)
"""The step after 1 in numbers of a type; asked at every call."""


@technique("activation", "activation", aliases=("logistic",))
class Sigmoid(nn.Module):
    """Sigmoid: a smooth step from 0 to 1.

        f(x) = 1 / (1 + e^-x)

    Paper: Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, equation 2.

    Differs: nothing known.

    Pitfall: its slope is at most 1/4 and its mean 1/2: gradients shrink at every layer, and no spread of weights
    alone makes a deep stack of it trainable.

    Helps: as an output that is a probability; in hidden layers mostly with batch normalization. Not in deep stacks of
    hidden layers without normalization.

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

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.4; Goodfellow, Bengio & Courville 2016,
    Deep Learning, equation 6.39.

    Differs: 1. LeCun's recommended 1.7159 tanh(2x/3) is another function.

    Pitfall: large weights push it to its rails, where the gradient is 0.

    Helps: with Xavier initialization; where outputs should be centred on 0. Not from large weights, which push it to
    its rails.

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


@technique(
    "activation",
    "activation",
    name="hard-sigmoid",
    aliases=("hardsigmoid",),
    slope=Hyperparameter("slope between the two ends", (0.125, 0.5), "log", POSITIVE),
)
class HardSigmoid(nn.Module):
    """Hard sigmoid: a straight ramp from 0 to 1 in place of the sigmoid.

        f(x) = min(1, max(0, slope * x + 1/2))

    Paper: Courbariaux, Bengio & David 2015, BinaryConnect, equation 3 (slope 1/2).

    Differs: 1. The default slope is 1/6, as in torch and MobileNetV3; Keras and Theano had 1/5, the paper 1/2, the
    tangent at 0 of the sigmoid is 1/4. 2. At the two corners the slope is taken as 0, as torch does.

    Pitfall: outside the ramp there is no gradient at all, unlike the sigmoid's small one.

    Helps: where exponentials are dear, as in quantized networks; in gates more than in hidden layers. Not where units
    at the rails must find back: the slope there is 0.

    >>> import torch
    >>> from trainsmith.activation import HardSigmoid
    >>> HardSigmoid(0.25)(torch.tensor([-3.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 0.75]
    """

    slope: Tensor

    def __init__(self, slope: float = 1 / 6) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(float(slope)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(x), element by element. torch's has the slope 1/6, so x is stretched to it."""
        if (slope := kernel_numbers(x, self, "slope")) and abs(6 * slope[0] - 1) < _eps(x.dtype):
            return functional.hardsigmoid(x)
        return functional.hardsigmoid(x * (6 * self.slope))

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has the slope 1/6 only."""
        return plain.HardSigmoid(number_in(self.slope))
