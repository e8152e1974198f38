"""Noise on inputs, weights and gradients."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.catalogue.fitted import Fitted
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import normal_like
from trainsmith.regularization.inputs import needs_floats
from trainsmith.rows import Summary


@technique(
    "regularization",
    "augmentation",
    name="input-noise",
    std=Hyperparameter("noise over the inputs' own spread", (0.01, 0.5), "log", NON_NEGATIVE, tuned=True),
)
class InputNoise(Fitted):
    """Input noise: in training every number of an example gets a normal one added, anew at each step.

        x' = x + std * s * n,   n ~ N(0, 1);   in evaluation x' = x
        s = the standard deviation of the column, or of all pixels of images, in the training examples

    Paper: Bishop 1995, Training with noise is equivalent to Tikhonov regularization; Goodfellow et al. 2016, Deep
    Learning, section 7.5, unnumbered.

    Differs: 1. std is relative to the inputs' spread, so that columns in other units get the noise they can bear;
    without `fit`, s is 1.

    Pitfall: for a small std it is a penalty of std^2 / 2 on the squared gradient of the outputs by the inputs (with
    squared error), not a stronger effect than that.

    Helps: inputs that were measured with noise; small data sets. Not where small differences of the inputs tell the
    classes apart.

    >>> import torch
    >>> from trainsmith.regularization import InputNoise
    >>> InputNoise(0.0)(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    kinds = ("image", "table")
    std: Tensor
    spread: Tensor

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(float(std)))
        self.register_buffer("spread", torch.tensor(1.0))

    def fit(self, x: Float[Tensor, "n ..."]) -> "InputNoise":
        """Take s from the training examples: of each column of a table, of all numbers of anything else."""
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("input-noise", x))
        self.spread = x.std(0, correction=0) if x.ndim == 2 else x.std(correction=0)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "InputNoise":
        """The same from a summary of the training examples."""
        self.spread = s.std.to(dtype)
        return self

    def forward(self, x: Shaped[Tensor, "n *axes"]) -> Shaped[Tensor, "n *axes"]:
        """Noisy examples in training, x itself in evaluation."""
        if not self.training:
            return x
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("input-noise", x))
        return x + self.std * self.spread * normal_like(x)


@technique(
    "regularization",
    "perturbation",
    name="weight-noise",
    std=Hyperparameter("noise in units of the weights", (1e-3, 1e-1), "log", NON_NEGATIVE, tuned=True),
)
class WeightNoise(nn.Module):
    """Weight noise: each step takes its loss and its gradient at weights with noise added.

        gradient = dJ/dw at w + std * n,   n ~ N(0, 1), anew at each step;   evaluation is at w

    Paper: Graves 2011, Practical variational inference for neural networks; Jim, Giles & Horne 1996, An analysis of
    noise in recurrent neural networks; Goodfellow, Bengio & Courville 2016, Deep Learning, section 7.5, equation
    7.31. Graves, Mohamed & Hinton 2013 use std 0.075.

    Differs: 1. One draw for the whole batch; Graves draws one for each sequence. 2. On weights of two axes or more,
    not on biases and gains.

    Pitfall: std is absolute: it must suit the smallest weights. Behind a normalization the weights can grow until the
    noise means nothing.

    Helps: recurrent networks; it favours flat minima. Not for weights in front of a normalization, which outgrow it.

    >>> import torch
    >>> from trainsmith.regularization import WeightNoise
    >>> [w.tolist() for w in WeightNoise(0.0)([torch.tensor([[1.0, 2.0]])])]
    [[[1.0, 2.0]]]
    """

    std: Tensor

    def __init__(self, std: float = 0.02) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, weights: Sequence[Float[Tensor, "..."]]) -> list[Float[Tensor, "..."]]:
        """The weights with noise in training, to be used in their place by torch.func.functional_call."""
        return [w + self.std * normal_like(w) for w in weights] if self.training else list(weights)


@technique(
    "regularization",
    "gradient",
    name="gradient-noise",
    eta=Hyperparameter("variance of the noise at the first step", (1e-4, 1.0), "log", NON_NEGATIVE, tuned=True),
    gamma=Hyperparameter("how fast the variance falls", (0.3, 1.0), "linear", NON_NEGATIVE),
)
class GradientNoise(nn.Module):
    """Gradient noise: every gradient gets normal noise added, whose variance falls with the steps.

        g' = g + n,   n ~ N(0, sigma_t^2),   sigma_t^2 = eta / (1 + t)^gamma,   t = 0, 1, 2, ...

    Paper: Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach & Martens 2015, Adding gradient noise improves learning
    for very deep networks, equation 1.

    Differs: 1. It is a term of the loss that is 0 and has the noise for a gradient, so that it needs no access to the
    optimizer. 2. t counts the calls in training.

    Pitfall: eta is in units of squared gradients, which differ from network to network; adaptive optimizers make
    parameters with small gradients follow the noise alone.

    Helps: very deep networks that start badly. Not under adaptive optimizers where gradients are tiny: weights then
    follow the noise.

    >>> import torch
    >>> from trainsmith.regularization import GradientNoise
    >>> w = torch.ones(1000, 2, requires_grad=True)
    >>> extra = GradientNoise(0.01)([w])
    >>> extra.backward()
    >>> extra.item(), round(w.grad.std().item(), 1)
    (0.0, 0.1)
    """

    eta: Tensor
    gamma: Tensor
    t: Tensor

    def __init__(self, eta: float = 0.01, gamma: float = 0.55) -> None:
        super().__init__()
        self.register_buffer("eta", torch.tensor(float(eta)))
        self.register_buffer("gamma", torch.tensor(float(gamma)))
        self.register_buffer("t", torch.tensor(0))  # whole, so that half precision counts on

    def forward(self, parameters: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, ""]:
        """0, to be added to the loss; its gradient by each parameter is the noise of this step."""
        sigma = (self.eta / (1 + self.t) ** self.gamma).sqrt()
        if self.training:
            self.t.add_(1)
        parts = [(sigma * normal_like(p.detach()) * p).sum() for p in parameters]
        value = torch.stack(parts).sum() if parts else torch.zeros(())
        return value - value.detach()
