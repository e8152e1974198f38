"""Normalizations of a layer's weight instead of its outputs: each wraps the layer."""

import copy
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from trainsmith.catalogue import POSITIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
FEATURES_LAST = (nn.Linear, nn.Bilinear)


class Parametrization(nn.Module):
    """A linear or convolution layer whose weight, at each call, is made from the one it holds.

    layer: the layer, which it then owns; its weight has the outputs on axis 0. Subclasses define effective().
    Raises InvalidInput for a layer without such a weight, and for a transposed convolution, which has the inputs there.
    """

    trains_as_plain: ClassVar[bool] = False
    """Whether `plain` also does the same in training, as that of other layers does."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        if getattr(getattr(layer, "weight", None), "ndim", 0) < 2:
            raise InvalidInput(
                f"{type(self).__name__} needs a layer with a weight (out, in, ...), such as a linear layer or a "
                f"convolution; {type(layer).__name__} has none."
            )
        if isinstance(layer, TRANSPOSED):
            raise InvalidInput(
                f"{type(self).__name__} needs a layer whose weight has its outputs on axis 0, and that of "
                f"{type(layer).__name__} has its inputs there: leave that layer as it is."
            )
        self.layer = layer

    def effective(self) -> Tensor:
        """The weight the layer is used with."""
        raise NotImplementedError

    def forward(self, *x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The layer's outputs for x, two of them for a bilinear layer, with the weight that is made of its own."""
        return functional_call(self.layer, {"weight": self.effective()}, x)

    @torch.no_grad()
    def plain(self) -> nn.Module:
        """The layer itself, a module of torch.nn, with the weight it is used with."""
        layer = copy.deepcopy(self.layer)
        layer.weight.copy_(self.effective())  # type: ignore[operator]
        return layer.train(self.training)

    @property
    def weight(self) -> Tensor:
        """The weight that the layer holds, (out, in, ...)."""
        return self.layer.weight  # type: ignore[return-value]


@technique("normalization", "parametrization", name="weight-norm", aliases=("weightnorm", "weight-normalization"))
class WeightNorm(Parametrization):
    """Weight normalization: length and direction of each unit's weights are learned apart.

        w = g * v / |v|,   one g for each output
        start, from a batch with t = v x / |v|:   g = 1 / std(t),   bias = -mean(t) / std(t)

    Paper: Salimans & Kingma 2016, Weight normalization, equations 2, 5 and 6.

    Differs: 1. v starts as the initialization draws it; the paper's N(0, 0.05^2) has the same directions as any normal
    draw. 2. Without initialize(batch), g = |v| leaves the layer what it was, as in torch. A unit with one output for
    the whole batch keeps its g. 3. The paper's mean-only batch normalization is not part of it.

    Pitfall: a gradient step can only lengthen v, so that its effective learning rate falls; weight decay on v changes
    that rate and nothing else. g, a vector, is left out of the penalties here.

    Helps: small batches, recurrent networks and reinforcement learning, where batch statistics are noise. Not where
    activations must keep their spread all along: it sets that at the start alone.

    >>> import torch
    >>> from trainsmith.normalization import WeightNorm
    >>> layer = WeightNorm(torch.nn.Linear(2, 1, bias=False)).initialize(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    >>> layer(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).std(correction=0).round(decimals=4).item()
    1.0
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self.g = nn.Parameter(_length(self.weight.detach()).flatten())

    def effective(self) -> Tensor:
        """g v / |v|, (out, in, ...)."""
        v = self.weight
        length = _length(v)
        return v * (self.g.view(length.shape) / torch.where(length > 0, length, 1))

    @torch.no_grad()
    def initialize(self, *x: Float[Tensor, "n ..."]) -> "WeightNorm":
        """Choose g and the bias, if there is one, so that each output has mean 0 and variance 1 on the inputs x."""
        v = self.weight
        bias = self.layer.bias
        zero = {} if bias is None else {"bias": torch.zeros_like(bias)}  # type: ignore[arg-type]
        length = _length(v)
        direction = v / torch.where(length > 0, length, 1)
        t = functional_call(self.layer, {"weight": direction, **zero}, x)
        t = (t if isinstance(self.layer, FEATURES_LAST) else t.movedim(1, -1)).flatten(0, -2)
        std, mean = t.std(0, correction=0), t.mean(0)
        varies = std > 0
        self.g.copy_(torch.where(varies, 1 / std, self.g))
        if bias is not None:
            bias.copy_(torch.where(varies, -mean / std, 0))  # type: ignore[operator]
        return self


@technique(
    "normalization",
    "parametrization",
    name="weight-standardization",
    aliases=("weight-standardisation", "scaled-weight-standardization"),
    gain=Hyperparameter("factor on the standardized weights", (0.5, 4.0), "log", POSITIVE),
    eps=Hyperparameter("added to fan_in times the variance of a unit's weights", (1e-6, 1e-2), "log", POSITIVE),
)
class WeightStandardization(Parametrization):
    """Weight standardization (scaled): each unit's weights with mean 0 and variance 1 / fan_in.

        w = gain * g * (v - mean(v)) / sqrt(fan_in * var(v) + eps),   one g for each output, at first 1

    Paper: Qiao, Wang, Liu, Shen & Yuille 2019, Micro-batch training with batch-channel normalization and weight
    standardization; scaled as in Brock, De, Smith & Simonyan 2021, High-performance large-scale image recognition
    without normalization, equation 1.

    Differs: 1. Qiao et al. have no fan_in and need a normalization behind the layer. 2. The default gain
    sqrt(2 / (1 - 1 / pi)) keeps the variance through layers of ReLU; for another activation function it is
    1 / sqrt(Var f(z)). 3. eps is added; some code takes the larger of the two.

    Pitfall: it is not batch normalization: the signal's mean and spread are kept on average over weights, not by force.
    The scale of the initialization does not matter; that of g does.

    Helps: networks without normalization of activations, and together with group normalization at small batches. Not
    around a last layer, whose outputs it would hold to one size.

    >>> import torch
    >>> from trainsmith.normalization import WeightStandardization
    >>> w = WeightStandardization(torch.nn.Linear(100, 3), gain=1.0, eps=1e-12).effective()
    >>> (w.square().sum(1).detach() - 1).abs().max().item() < 1e-5
    True
    """

    gain: Tensor
    eps: Tensor

    def __init__(self, layer: nn.Module, gain: float = (2 / (1 - 1 / torch.pi)) ** 0.5, eps: float = 1e-4) -> None:
        super().__init__(layer)
        self.g = nn.Parameter(torch.ones_like(_length(self.weight.detach()).flatten()))
        self.register_buffer("gain", torch.tensor(float(gain)))
        self.register_buffer("eps", torch.tensor(float(eps)))

    def effective(self) -> Tensor:
        """The standardized weight, (out, in, ...)."""
        v = self.weight
        axes = list(range(1, v.ndim))
        centred = v - v.mean(axes, keepdim=True)
        size = torch.rsqrt(centred.square().sum(axes, keepdim=True) + self.eps)  # the sum is fan_in * var
        return centred * (size * (self.gain * self.g).view(size.shape))


@technique(
    "normalization",
    "parametrization",
    name="spectral-norm",
    aliases=("spectralnorm", "spectral", "spectral-normalization"),
    bound=Hyperparameter("the largest singular value of the weight", (0.5, 4.0), "log", POSITIVE, tuned=True),
)
class SpectralNorm(Parametrization):
    """Spectral normalization: the weight's largest singular value, the most it can stretch an input, is fixed.

        w = bound * v / sigma(v),   sigma = |v q|,   q = v^T p / |v^T p|,   then p = v q / sigma (in training)

    Paper: Miyato, Kataoka, Koyama & Yoshida 2018, Spectral normalization for generative adversarial networks, equation
    8 and Algorithm 1.

    Differs: 1. p starts as the exact singular vector instead of at random, so that sigma is right from the first step.
    2. bound; the paper has 1. 3. A convolution's weight is flattened to (out, rest), as in the paper: that bounds the
    weight, not quite the convolution. 4. Made on the meta device, p has no numbers until a stored state brings them.

    Pitfall: one step of the power iteration a call follows slowly changing weights only; at high learning rates sigma
    is underestimated and the bound is overstepped. With ReLU and bound 1 deep networks lose their signal.

    Helps: discriminators of GANs, and networks that must not react strongly to small changes of the input. Not where
    classes lie close together: no layer may stretch its inputs by more than the bound.

    >>> import torch
    >>> from trainsmith.normalization import SpectralNorm
    >>> torch.linalg.matrix_norm(SpectralNorm(torch.nn.Linear(5, 3)).effective(), 2).round(decimals=4).item()
    1.0
    """

    bound: Tensor
    p: Tensor

    def __init__(self, layer: nn.Module, bound: float = 1.0) -> None:
        super().__init__(layer)
        v = self.weight.detach().flatten(1)
        known = bool(v.numel()) and not v.is_meta
        left = torch.linalg.svd(v.double().cpu(), full_matrices=False).U[:, 0] if known else v.new_zeros(len(v))
        self.register_buffer("p", left.to(v))
        self.register_buffer("bound", torch.tensor(float(bound)))

    def effective(self) -> Tensor:
        """bound v / sigma(v), (out, in, ...); in training p takes a step of the power iteration."""
        v = self.weight.flatten(1)
        tiny = torch.finfo(v.dtype).tiny ** 0.5
        with torch.no_grad():
            q = v.T @ self.p
            q = q / q.norm().clamp(min=tiny)
            p = v @ q
            p = p / p.norm().clamp(min=tiny)
            if self.training:
                self.p.copy_(p)
        sigma = p @ (v @ q)
        return self.weight * (self.bound / torch.where(sigma > tiny, sigma, 1))


def _length(v: Tensor) -> Tensor:
    """The length of each output's weights, (out, 1, ...)."""
    squares = v.square().sum(list(range(1, v.ndim)), keepdim=True)
    return torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)  # the root has no slope at 0
