"""Penalties that leave few weights large."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, Interval, technique
from trainsmith.regularization.penalty import square, total


@technique(
    "regularization",
    "penalty",
    aliases=("l1-penalty", "lasso"),
    strength=Hyperparameter("lambda: loss per unit of absolute weight", (1e-6, 1e-2), "log", NON_NEGATIVE, tuned=True),
)
class L1(nn.Module):
    """L1 penalty: weights cost in proportion to their size, so that many end near 0.

        J = loss + strength * sum |w|   over the weights that are given: in a network not its biases and gains

    Paper: Tibshirani 1996, Regression shrinkage and selection via the lasso, section 2.1; Goodfellow et al. 2016, Deep
    Learning, equation 7.18.

    Differs: 1. Tibshirani bounds the sum of |w|; this is the equivalent penalty. 2. The gradient at 0 is 0.

    Pitfall: gradient steps lead back and forth over 0 and never end on it: for weights that are exactly 0 use
    soft-threshold, its proximal step.

    Helps: inputs of which only a few matter. Not where many inputs matter a little each.

    >>> import torch
    >>> from trainsmith.regularization import L1
    >>> L1(0.5)([torch.tensor([[1.0, -2.0]])]).item()
    1.5
    """

    strength: Tensor

    def __init__(self, strength: float = 1e-5) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))

    def forward(self, weights: Iterable[Inexact[Tensor, "..."]]) -> Float[Tensor, ""]:
        """The penalty, a scalar, of weight tensors of any shapes: see total."""
        return self.strength * total(torch.abs, weights)


@technique(
    "regularization",
    "penalty",
    name="elastic-net",
    strength=Hyperparameter("lambda: loss per unit of penalty", (1e-6, 1e-2), "log", NON_NEGATIVE, tuned=True),
    ratio=Hyperparameter("share of L1; the rest is L2", (0.0, 1.0), "linear", Interval(0, 1), tuned=True),
)
class ElasticNet(nn.Module):
    """Elastic net: a mixture of the L1 and the L2 penalty.

        J = loss + strength * (ratio * sum |w| + (1 - ratio) / 2 * sum w^2)   over weight matrices

    Paper: Zou & Hastie 2005, Regularization and variable selection via the elastic net, equation 3.

    Differs: 1. strength and ratio in place of the paper's lambda1 = strength * ratio and
    lambda2 = strength * (1 - ratio) / 2, as scikit-learn's alpha and l1_ratio.

    Pitfall: both pulls grow with strength: a ratio found at one strength is another mixture of effects at another.

    Helps: correlated inputs, among which L1 alone picks one at random. Not where one of the two penalties does: it has
    a number more to tune.

    >>> import torch
    >>> from trainsmith.regularization import ElasticNet
    >>> ElasticNet(1.0, ratio=0.5)([torch.tensor([[1.0, -2.0]])]).item()
    2.75
    """

    strength: Tensor
    ratio: Tensor

    def __init__(self, strength: float = 1e-5, ratio: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))
        self.register_buffer("ratio", torch.tensor(float(ratio)))

    def forward(self, weights: Iterable[Inexact[Tensor, "..."]]) -> Float[Tensor, ""]:
        """The penalty, a scalar, of weight tensors of any shapes: see total."""
        weights = list(weights)
        absolute, squared = total(torch.abs, weights), total(square, weights)
        return self.strength * (self.ratio * absolute + (1 - self.ratio) / 2 * squared)
