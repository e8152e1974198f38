"""Normalization over the features of one example."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import POSITIVE, Hyperparameter, kernel_numbers, number_in, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.normalization import plain
from trainsmith.normalization.inputs import needs_features


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

    Helps: transformers and recurrent networks; small batches, where batch statistics are noise. Not in convolutional
    networks, for which its paper finds batch normalization better.

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
        weight, bias = self.weight, self.bias
        if x.shape[1:2] != weight.shape or not x.is_floating_point():
            raise InvalidInput(needs_features("layer", x, len(weight)))
        if (eps := kernel_numbers(x, self, "eps", weight=weight)) is not None:
            if x.ndim == 2:
                return functional.layer_norm(x, weight.shape, weight, bias, *eps)
            return functional.group_norm(x, 1, weight, bias, *eps)
        kind, x = x.dtype, single(x)
        axes = list(range(1, x.ndim))
        shape = (1, -1, *(1,) * (x.ndim - 2))
        centred = x - x.mean(axes, keepdim=True)
        normal = centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + self.eps)
        return (normal * weight.view(shape) + bias.view(shape)).to(kind)

    def plain(self, axes: int = 2) -> nn.Module:
        """The same as a module of torch.nn, with its weights, for inputs with `axes` axes (2: (n, features))."""
        features, eps = len(self.weight), number_in(self.eps)
        layer: nn.Module = nn.LayerNorm(features, eps=eps) if axes == 2 else nn.GroupNorm(1, features, eps=eps)
        layer.load_state_dict({"weight": self.weight, "bias": self.bias})
        return layer


@technique(
    "normalization",
    "layer",
    name="rms",
    aliases=("rmsnorm", "rms-norm"),
    eps=Hyperparameter("added to the mean square, in its units", (1e-8, 1e-2), "log", POSITIVE),
)
class RMSNorm(nn.Module):
    """RMS normalization: the features of each example with mean square 1, then scaled.

        y = weight * x / sqrt(mean(x^2) + eps),   the mean over the features of one example

    Paper: Zhang & Sennrich 2019, Root mean square layer normalization, equation 4.

    Differs: 1. eps stands inside the root; the paper has none, torch's default is the machine's (1.2e-7), language
    models use 1e-6 or 1e-5. 2. For images (n, channels, ...) the mean runs over channels and positions, with one weight
    a channel. 3. No bias, as in the paper.

    Pitfall: it does not centre: a layer whose outputs all share a large mean keeps it, and little else. With ReLU and
    zero biases, a unit that is off for a whole batch has rounding errors for a gradient, of which Adam makes full
    steps: trainings that differ in rounding part sooner than with other layers, unless Adam's eps is 1e-6 or more.

    Helps: where layer normalization does, a little faster: 7 to 41 % of a whole model's time in the paper's tables. Not
    where features share a mean that should go: it takes none out.

    >>> import torch
    >>> from trainsmith.normalization import RMSNorm
    >>> RMSNorm(2)(torch.tensor([[3.0, -3.0]])).round(decimals=3).tolist()
    [[1.0, -1.0]]
    """

    eps: Tensor

    def __init__(self, num_features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.register_buffer("eps", torch.tensor(float(eps)))

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, ...), divided by its size per example over all other axes; half precision in single."""
        if x.ndim < 2 or x.shape[1] != len(self.weight) or not x.is_floating_point():
            raise InvalidInput(needs_features("rms", x, len(self.weight)))
        wide = single(x)
        size = torch.rsqrt(wide.square().mean(list(range(1, x.ndim)), keepdim=True) + self.eps)
        return (wide * size * self.weight.view(1, -1, *(1,) * (x.ndim - 2))).to(x.dtype)

    def plain(self, axes: int = 2) -> nn.Module:
        """The same without trainsmith, with its weights, for inputs with `axes` axes (2: as a module of torch.nn)."""
        features, eps = len(self.weight), number_in(self.eps)
        layer: nn.Module = nn.RMSNorm(features, eps=eps) if axes == 2 else plain.RMSNorm(features, eps)
        layer.load_state_dict({"weight": self.weight})
        return layer
