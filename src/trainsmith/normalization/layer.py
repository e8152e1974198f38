"""Normalization over the features of one example."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import POSITIVE, Hyperparameter, number_in, technique


@technique(
    "normalization",
    "layer",
    name="layer",
    aliases=("layernorm", "layer-norm", "layer-normalization"),
    eps=Hyperparameter("added to the variance, in its units", (1e-6, 1e-2), "log", POSITIVE),
)
class LayerNorm(nn.Module):
    """Layer normalization: the features of each example with mean 0 and spread 1, then scaled and shifted.

        y = weight * (x - mean) / sqrt(var + eps) + bias,   mean and var over the features of one example

    Paper: Ba, Kiros & Hinton 2016, Layer normalization, equation 3.

    Differs: 1. The variance is the biased one and eps stands inside the root, as in torch. 2. For images (n, channels,
    ...) mean and variance run over channels and positions, weight and bias are one per channel.

    Pitfall: with two features every output is +-1; eps differs between libraries (1e-5, 1e-3, 1e-6).

    Helps: transformers and recurrent networks; small batches, where batch statistics are noise.

    >>> import torch
    >>> from trainsmith.normalization import LayerNorm
    >>> LayerNorm(2)(torch.tensor([[1.0, 3.0]])).round(decimals=3).tolist()
    [[-1.0, 1.0]]
    """

    eps: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("eps", torch.tensor(float(eps)))

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, ...), normalized per example over all other axes."""
        axes = list(range(1, x.ndim))
        shape = (1, -1, *(1,) * (x.ndim - 2))
        centred = x - x.mean(axes, keepdim=True)
        normal = centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + self.eps)
        return normal * self.weight.view(shape) + self.bias.view(shape)

    def plain(self, axes: int = 2) -> nn.Module:
        """The same as a module of torch.nn, with its weights, for inputs with `axes` axes (2: (n, features))."""
        features, eps = len(self.weight), number_in(self.eps)
        layer: nn.Module = nn.LayerNorm(features, eps=eps) if axes == 2 else nn.GroupNorm(1, features, eps=eps)
        layer.load_state_dict({"weight": self.weight, "bias": self.bias})
        return layer
