"""Activation functions in which one half of a layer's outputs opens and shuts the other."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.activation import plain
from trainsmith.activation.parts import check_parts, parts
from trainsmith.catalogue import kernel_numbers, technique


@technique("activation", "activation")
class GLU(nn.Module):
    """GLU: one half of the inputs, each times the sigmoid of its partner in the other half.

        f(a, b) = a * sigmoid(b),   a and b the first and second half of the features

    Paper: Dauphin, Fan, Auli & Grangier 2017, Language modeling with gated convolutional networks, equation 1.

    Differs: 1. Halves of one layer of twice the width stand for the paper's two layers, as in torch. 2. The second
    half is the gate, as in Dauphin and torch; Shazeer 2020 writes the gate first (see swiglu).

    Pitfall: the layer before it has twice the parameters: compare with a ReLU network of equal parameters as well,
    or take 2/3 of the width. At random weights a gate is 1/2, so that the second moment falls to less than a third.

    Helps: convolutional and recurrent language models; the gradient has a linear way through the ungated half. Not
    where parameters are scarce: half of those in the layer before it only gate.

    >>> import torch
    >>> from trainsmith.activation import GLU
    >>> GLU()(torch.tensor([[3.0, 0.0]])).tolist()
    [[1.5]]
    """

    widening: ClassVar[float] = 2.0
    """Inputs for each output."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with 2 m features along the axis to m. Raises InvalidInput for an odd number of them."""
        if kernel_numbers(x, self) is not None:
            check_parts(x, 2, self.axis, "glu")
            return functional.glu(x, self.axis)
        a, b = parts(x, 2, self.axis, "glu")
        return a * b.sigmoid()

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.GLU(self.axis)


@technique("activation", "activation", aliases=("silu-glu",))
class SwiGLU(nn.Module):
    """SwiGLU: one half of the inputs times the SiLU of its partner in the other half.

        f(a, b) = silu(a) * b,   silu(a) = a * sigmoid(a),   a and b the first and second half of the features

    Paper: Shazeer 2020, GLU variants improve transformer, equation 5 (Swish with beta 1).

    Differs: 1. Halves of one layer of twice the width stand for the paper's W and V. 2. The first half is the gate,
    as in the paper's formula, unlike glu.

    Pitfall: for equal parameters a block's hidden width must be 2/3 of that with ReLU, as the paper does.

    Helps: the feed-forward blocks of transformers, where today's language models use it. Not at equal hidden width,
    where a block has half as many parameters again.

    >>> import torch
    >>> from trainsmith.activation import SwiGLU
    >>> round(SwiGLU()(torch.tensor([[1.0, 2.0]])).item(), 4)
    1.4621
    """

    widening: ClassVar[float] = 2.0
    """Inputs for each output."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with 2 m features along the axis to m. Raises InvalidInput for an odd number of them."""
        a, b = parts(x, 2, self.axis, "swiglu")
        return functional.silu(a) * b

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has no such module."""
        return plain.SwiGLU(self.axis)


@technique("activation", "activation")
class GEGLU(nn.Module):
    """GEGLU: one half of the inputs times the GELU of its partner in the other half.

        f(a, b) = gelu(a) * b,   gelu(a) = a * Phi(a),   a and b the first and second half of the features

    Paper: Shazeer 2020, GLU variants improve transformer, equation 5.

    Differs: 1. Halves of one layer of twice the width stand for the paper's W and V. 2. The exact GELU. 3. The first
    half is the gate, as in the paper's formula; some libraries gate with the second.

    Pitfall: for equal parameters a block's hidden width must be 2/3 of that with ReLU, as the paper does.

    Helps: the feed-forward blocks of transformers; in the paper it and swiglu have the lowest perplexities. Not at
    equal hidden width, where a block has half as many parameters again.

    >>> import torch
    >>> from trainsmith.activation import GEGLU
    >>> round(GEGLU()(torch.tensor([[1.0, 2.0]])).item(), 4)
    1.6827
    """

    widening: ClassVar[float] = 2.0
    """Inputs for each output."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with 2 m features along the axis to m. Raises InvalidInput for an odd number of them."""
        a, b = parts(x, 2, self.axis, "geglu")
        return functional.gelu(a) * b

    def plain(self) -> nn.Module:
        """The same without trainsmith: torch.nn has no such module."""
        return plain.GEGLU(self.axis)
