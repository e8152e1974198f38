"""Normalization of the input, fitted on training data."""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from trainsmith.catalogue import technique
from trainsmith.catalogue.fitted import Fitted, refuse_none
from trainsmith.normalization import plain
from trainsmith.rows import Summary, float_type


@technique("normalization", "input", aliases=("input-standardization", "standardize"))
class Standardization(Fitted):
    """Input standardization: every feature with mean 0 and spread 1 on the training data.

        y = (x - mean_train) / std_train

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3, unnumbered; Han, Kamber & Pei 2011,
    Data mining, equation 3.9.

    Differs: 1. A feature that is constant on the training data becomes 0 at all times, instead of being divided by
    0: on MNIST a border pixel would otherwise reach hundreds of standard deviations in the test set.
    2. Images (more than one axis per example) share one mean and one spread.

    Pitfall: mean and spread must come from training data alone; validation data among them leak.

    Helps: always with tables, whose columns have different units. Not for columns that are mostly 0 and stored so,
    which centring fills.

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

    def fit(self, x: Num[Tensor, "n ..."], per_feature: bool | None = None) -> "Standardization":
        """Take mean and spread from training inputs x (n, *features), of any type.

        per_feature: one mean and spread for each feature, or one for all; None: each for tables, one for images.
        A feature is constant if it varies by no more than the rounding of its numbers.
        """
        refuse_none(x)
        each = x.ndim == 2 if per_feature is None else per_feature
        axes = (0,) if each else tuple(range(x.ndim))
        wide, dtype = x.double(), float_type(x)
        mean, std = wide.mean(axes), wide.std(axes, correction=0)
        constant = wide.amax(axes) - wide.amin(axes) <= torch.finfo(dtype).eps * mean.abs()
        self.mean = mean.to(dtype)
        self.std = torch.where(constant, torch.inf, std).to(dtype)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "Standardization":
        """The same from a summary of the training inputs, of each feature or of all."""
        constant = s.high - s.low <= torch.finfo(dtype).eps * s.mean.abs()
        self.mean, self.std = s.mean.to(dtype), torch.where(constant, torch.inf, s.std).to(dtype)
        return self

    def forward(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x in units of the training data's spread."""
        return (x - self.mean) / self.std

    def plain(self) -> nn.Module:
        """The same without trainsmith, with the numbers of the training data."""
        layer = plain.Standardize(self.mean.shape)
        layer.load_state_dict(self.state_dict())
        return layer.train(self.training)
