"""Orthogonal convolutions, which look at one position at first."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from trainsmith.catalogue import POSITIVE, Hyperparameter, technique
from trainsmith.initialization.fan import fan_in_and_out
from trainsmith.initialization.orthogonal import orthogonal


@technique(
    "initialization",
    "weights",
    name="delta-orthogonal",
    gain=Hyperparameter("factor on the orthogonal matrix", (0.5, 2.0), "log", POSITIVE),
)
def delta_orthogonal(
    weight: Inexact[Tensor, "..."], gain: float = 2**0.5, *, generator: torch.Generator | None = None
) -> Inexact[Tensor, "..."]:
    """Delta-orthogonal: a convolution that at first rotates the channels at each position and looks at no neighbour.

        w[:, :, centre] = gain * H,  H orthogonal (see orthogonal);   w = 0 elsewhere

    Paper: Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington 2018, Dynamical isometry and a mean field theory of
    CNNs, Algorithm 2.

    Differs: 1. The paper asks for at least as many outputs as inputs; with fewer, the outputs are orthonormal, and
    lengths are not kept. 2. The default gain sqrt(2) makes up for ReLU. 3. The centre of an even kernel is the position
    before its middle. 4. Linear layers get an orthogonal matrix.

    Pitfall: at first nothing is seen beyond one position: in a shallow network the neighbours have to be learned from
    zero. With strides, positions between are not looked at at all.

    Helps: very deep convolutional networks without normalization; the paper trains 10,000 layers of tanh. Not where a
    normalization follows every layer, which sets the scale anyway.

    >>> import torch
    >>> from trainsmith.initialization import delta_orthogonal
    >>> w = delta_orthogonal(torch.empty(4, 4, 3), gain=1.0, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(w[:, :, 1] @ w[:, :, 1].T, torch.eye(4), atol=1e-5), w[:, :, 0].any().item()
    (True, False)
    """
    fan_in_and_out(weight)
    with torch.no_grad():
        weight.zero_()
        if not weight.numel():
            return weight
        centre: Tensor = weight
        for size in weight.shape[2:]:
            centre = centre.select(2, (size - 1) // 2)
        orthogonal(centre, gain, generator=generator)
        return weight
