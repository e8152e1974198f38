"""DropConnect: weights, not units, are switched off; and its Gaussian inference."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import FRACTION, Hyperparameter, technique
from trainsmith.regularization.draws import drawn_type, uniform_like


@technique(
    "regularization",
    "perturbation",
    name="drop-connect",
    aliases=("dropconnect",),
    rate=Hyperparameter("probability that a weight is dropped", (0.05, 0.5), "linear", FRACTION, tuned=True),
)
class DropConnect(nn.Module):
    """DropConnect: each step takes its loss and its gradient with a random part of the weights switched off.

        gradient = dJ/dw at w * mask / (1 - rate),   mask ~ Bernoulli(1 - rate), anew at each step;   evaluation is at w

    Paper: Wan, Zeiler, Zhang, LeCun & Fergus 2013, Regularization of neural networks using DropConnect, section 3,
    Algorithm 1.

    Differs: 1. One mask for the whole batch; the paper draws one for each example, as DropConnectLinear does. 2. On
    all weights of two axes or more, the paper on fully connected layers. 3. Scaled in training, so that evaluation
    takes the mean; the paper samples a Gaussian, see DropConnectLinear.gaussian.

    Pitfall: one mask a batch is a noisier gradient than one an example; use a smaller rate.

    Helps: large fully connected layers; about as much as dropout. Not where a network underfits.

    >>> import torch
    >>> from trainsmith.regularization import DropConnect
    >>> [w.tolist() for w in DropConnect(0.0)([torch.tensor([[1.0, 2.0]])])]
    [[[1.0, 2.0]]]
    """

    rate: Tensor

    def __init__(self, rate: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, weights: Sequence[Float[Tensor, "..."]]) -> list[Float[Tensor, "..."]]:
        """The weights with a part dropped in training, to be used in their place by torch.func.functional_call."""
        if not self.training:
            return list(weights)
        return [w * (uniform_like(w) >= self.rate) / (1 - self.rate) for w in weights]


class DropConnectLinear(nn.Module):
    """A linear layer with DropConnect, a mask for each example, to be used alone.

        training:    y_i = ((W * M_i) x_i + b * m_i),   M_i, m_i ~ Bernoulli(1 - rate)
        evaluation:  y = (1 - rate) (W x + b), the mean

    Paper: Wan et al. 2013, section 3.1 (training) and 3.2 (inference). The masks of a batch take n * in * out numbers.
    Inputs may have any axes before their features, or none, as torch's linear layer takes them: a mask for each row.
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 0.5) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate must lie in [0, 1); got {rate}.")
        self.linear, self.rate = nn.Linear(inputs, outputs), rate

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        """Pre-activations (*n, outputs)."""
        weight, bias = self.linear.weight, self.linear.bias
        if not self.training:
            return (1 - self.rate) * functional.linear(x, weight, bias)
        kind = drawn_type(x)
        masks = torch.rand(*x.shape[:-1], *weight.shape, dtype=kind, device=x.device) >= self.rate
        kept = torch.rand(*x.shape[:-1], len(bias), dtype=kind, device=x.device) >= self.rate
        return ((weight * masks) @ x[..., None]).squeeze(-1) + bias * kept

    def moments(self, x: Float[Tensor, "*n i"]) -> tuple[Float[Tensor, "*n o"], Float[Tensor, "*n o"]]:
        """Mean and standard deviation over masks:  p W x  and  p (1-p) (W*W) (x*x),  p = 1 - rate."""
        keep, weight, bias = 1 - self.rate, self.linear.weight, self.linear.bias
        mean = keep * functional.linear(x, weight, bias)
        variance = keep * self.rate * functional.linear(x.square(), weight.square(), bias.square())
        return mean, variance.sqrt()

    def gaussian(self, x: Float[Tensor, "*n i"], samples: int = 1000) -> Float[Tensor, "*n o"]:
        """Gaussian inference (algorithm 2): the mean of relu(z) over `samples` draws z ~ N(mean, variance)."""
        mean, std = self.moments(x)
        total = torch.zeros_like(mean)
        for _ in range(samples):
            total += functional.relu(mean + std * torch.randn_like(mean))
        return total / samples

    def gaussian_relu(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        """The limit of `gaussian` for many samples:  mean Phi(z) + std phi(z),  z = mean / std."""
        mean, std = self.moments(x)
        z = mean / std.clamp_min(torch.finfo(std.dtype).tiny)
        return mean * torch.special.ndtr(z) + std * (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
