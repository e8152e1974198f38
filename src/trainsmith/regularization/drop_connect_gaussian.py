"""DropConnect with the inference of its paper: the mean activation over normal pre-activations."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from trainsmith.catalogue import FRACTION, Hyperparameter, technique
from trainsmith.regularization.draws import uniform_like

DRAWS = 32
"""Quantiles of the standard normal distribution in place of random draws."""


@technique(
    "regularization",
    "pair",
    name="drop-connect-gaussian",
    aliases=("dropconnect-gaussian",),
    rate=Hyperparameter("probability that a weight is dropped", (0.05, 0.5), "linear", FRACTION, tuned=True),
)
class GaussianDropConnect(nn.Module):
    """DropConnect, Gaussian inference: a layer's weights are dropped in training; evaluation takes the mean activation.

        training:    f((W * M / (1 - rate)) x + b),   M ~ Bernoulli(1 - rate), anew at each step
        evaluation:  E f(z),   z ~ N(W x + b, rate / (1 - rate) (W * W) (x * x)),   each unit for itself

    Paper: Wan, Zeiler, Zhang, LeCun & Fergus 2013, Regularization of neural networks using DropConnect, sections 3.1
    and 3.2, Algorithm 2.

    Differs: 1. One mask for the batch; the paper draws one for each example. 2. Scaled in training: its p is 1 - rate.
    3. The mean is over 32 quantiles of the normal distribution, the paper's over 1,000 random draws. 4. Biases
    are kept.

    Pitfall: the normal approximation wants many inputs a unit; it stands around a layer and the activation function
    that follows it at once, so there is none where a normalization stands between.

    Helps: large fully connected layers; a little better than mean weights where the rate is high. Not at small rates,
    where it comes to mean weights.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import GaussianDropConnect
    >>> layer = GaussianDropConnect(nn.Linear(2, 1), nn.ReLU(), rate=0.0).eval()
    >>> x = torch.ones(1, 2)
    >>> torch.allclose(layer(x), layer.layer(x).relu())
    True
    """

    rate: Tensor
    nodes: Tensor

    def __init__(self, layer: nn.Module, activation: nn.Module, rate: float = 0.2) -> None:
        super().__init__()
        self.layer, self.activation = layer, activation
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.register_buffer("nodes", torch.special.ndtri((torch.arange(DRAWS) + 0.5) / DRAWS))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Activations, of dropped weights in training, their mean in evaluation."""
        weight: Tensor = self.layer.weight  # type: ignore[assignment]
        if self.training:
            dropped = weight * (uniform_like(weight) >= self.rate) / (1 - self.rate)
            return self.activation(functional_call(self.layer, {"weight": dropped}, (x,)))
        mean, std = self.moments(x)
        draws = mean + std * self.nodes.view(-1, *(1,) * mean.ndim)
        return self.activation(draws.flatten(0, 1)).unflatten(0, (DRAWS, len(mean))).mean(0)

    def moments(self, x: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """Mean and standard deviation of the pre-activations over masks."""
        own: dict[str, Tensor] = {"weight": self.layer.weight.square()}  # type: ignore[operator]
        if self.layer.bias is not None:
            own["bias"] = torch.zeros_like(self.layer.bias)  # type: ignore[arg-type]
        variance = functional_call(self.layer, own, (x.square(),)) * self.rate / (1 - self.rate)
        return self.layer(x), variance.clamp_min(0).sqrt()
