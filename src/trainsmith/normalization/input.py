"""Normalization of the input, fitted on training data."""

from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import technique


@technique("normalization", "input", aliases=("input-standardization", "standardize"))
class Standardization(nn.Module):
    """Input standardization: every feature with mean 0 and spread 1 on the training data.

        y = (x - mean_train) / std_train

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3.

    Differs: 1. A feature that is constant on the training data becomes 0 at all times, instead of being divided by
    0: on MNIST a border pixel would otherwise reach hundreds of standard deviations in the test set.
    2. Images (more than one axis per example) share one mean and one spread.

    Pitfall: mean and spread must come from training data alone; validation data among them leak.

    Helps: always with tables, whose columns have different units.

    >>> import torch
    >>> from trainsmith.normalization import Standardization
    >>> layer = Standardization().fit(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    >>> layer(torch.tensor([[1.0, 5.0], [3.0, 9.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def fit(self, x: Float[Tensor, "n ..."]) -> Self:
        """Take mean and spread from training inputs x (n, *features): per feature of a table, one for images."""
        wide = x.double()
        axes = (0,) if x.ndim == 2 else tuple(range(x.ndim))
        mean, std = wide.mean(axes), wide.std(axes, correction=0)
        constant = std <= 1e-7 * (1 + mean.abs())
        self.mean = mean.to(x.dtype)
        self.std = torch.where(constant, torch.inf, std).to(x.dtype)
        return self

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x in units of the training data's spread."""
        return (x - self.mean) / self.std
