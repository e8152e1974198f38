"""Activation functions with another number of outputs than inputs."""

import functools
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.activation import plain
from trainsmith.activation.parts import parts
from trainsmith.catalogue import technique
from trainsmith.errors import InvalidInput


@technique("activation", "activation")
class Maxout(nn.Module):
    """Maxout: each unit is the largest of several linear functions of the inputs, a convex function that is learned.

        f(x_1, ..., x_k) = max_j x_j,   x_j the j-th of k equal parts of the features

    Paper: Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, Maxout networks, section 3; Goodfellow, Bengio
    & Courville 2016, Deep Learning, equation 6.37.

    Differs: 1. k parts of one layer of k times the width stand for the paper's k affine functions a unit. The default
    of 2 pieces is what its authors advise without dropout. The number of pieces decides shapes, so it is no
    hyper-parameter that a study searches.

    Pitfall: k times the parameters in the layer before: compare at equal parameters as well as at equal units. The
    gain that keeps E x^2 is 1 for k = 2 and 0.745 for k = 5, so He initialization is too large.

    Helps: with dropout, for which it was made. Not for certain at equal parameters: our claim H3 cannot tell it from
    wider layers of ReLU.

    >>> import torch
    >>> from trainsmith.activation import Maxout
    >>> Maxout(2)(torch.tensor([[1.0, -2.0, 0.5, 3.0]])).tolist()
    [[1.0, 3.0]]
    """

    def __init__(self, pieces: int = 2, axis: int = 1) -> None:
        super().__init__()
        if isinstance(pieces, bool) or not isinstance(pieces, int) or pieces < 2:
            raise InvalidInput(f"maxout: pieces must be a whole number of at least 2; got {pieces!r}.")
        self.pieces = pieces
        self.axis = axis

    @property
    def widening(self) -> float:
        """Inputs for each output."""
        return float(self.pieces)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with pieces * m features along the axis to m. Raises InvalidInput for another number of them."""
        return functools.reduce(torch.maximum, parts(x, self.pieces, self.axis, "maxout"))

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has no such module."""
        return plain.Maxout(self.pieces, self.axis)


@technique("activation", "activation", aliases=("concatenated-relu",))
class CReLU(nn.Module):
    """CReLU: the positive part and the negative part of each input, as two outputs.

        f(x) = (max(0, x), max(0, -x)),   joined along the features

    Paper: Shang, Sohn, Almeida & Lee 2016, Understanding and improving convolutional neural networks via concatenated
    rectified linear units, definition 2.1.

    Differs: 1. Put into a network it halves the layer before it, so that what follows keeps its width: half the
    parameters there, as in the paper's half-width models. An odd width is left as it is, and said.

    Pitfall: without the halving the layer after it has twice the parameters. Nothing is lost in it, so it is dead
    nowhere, and no sparser than one half.

    Helps: the first layers of convolutional networks, whose filters come in pairs of opposite sign. Not in later
    layers, whose filters the paper finds paired less.

    >>> import torch
    >>> from trainsmith.activation import CReLU
    >>> CReLU()(torch.tensor([[1.0, -2.0]])).tolist()
    [[1.0, 0.0, 0.0, 2.0]]
    """

    widening: ClassVar[float] = 0.5
    """Inputs for each output."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with m features along the axis to 2 m: first the positive parts, then the negative ones."""
        return torch.relu(torch.cat([x, -x], self.axis))

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has no such module."""
        return plain.CReLU(self.axis)
