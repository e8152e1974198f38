"""Augmentation of tables."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, Hyperparameter, technique
from trainsmith.catalogue.fitted import Fitted
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import uniform_like
from trainsmith.regularization.inputs import needs_floats
from trainsmith.rows import Summary


@technique(
    "regularization",
    "augmentation",
    name="swap-noise",
    rate=Hyperparameter("probability that a value is exchanged", (0.02, 0.3), "linear", FRACTION, tuned=True),
)
class SwapNoise(nn.Module):
    """Swap noise: in training some values of a row are replaced by those of other rows in the same column.

        x'_ic = x_jc with probability rate, j a random example of the batch;   in evaluation x' = x

    Paper: Vincent, Larochelle, Bengio & Manzagol 2008, Extracting and composing robust features with denoising
    autoencoders, section 2.3, unnumbered (corruption); Jahrer 2017, Porto Seguro's safe driver prediction, first
    place, for swaps.

    Differs: 1. j may be i itself. 2. It augments a supervised training; Jahrer's feeds a denoising autoencoder.

    Pitfall: columns that only mean something together are torn apart.

    Helps: tables, where values that were never measured, as in normal noise, would be a giveaway. Not for columns that
    mean something only together.

    >>> import torch
    >>> from trainsmith.regularization import SwapNoise
    >>> SwapNoise(0.0)(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    kinds = ("table",)
    rate: Tensor

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Shaped[Tensor, "n columns"]) -> Shaped[Tensor, "n columns"]:
        """Rows with values of others in training, x itself in evaluation."""
        if not self.training:
            return x
        other = x.gather(0, (uniform_like(x) * len(x)).long())
        return torch.where(uniform_like(x) < self.rate, other, x)


@technique(
    "regularization",
    "augmentation",
    name="feature-dropout",
    rate=Hyperparameter("probability that a value is hidden", (0.02, 0.3), "linear", FRACTION, tuned=True),
)
class FeatureDropout(Fitted):
    """Feature dropout: in training some values of a row are hidden: they become their column's mean.

        x'_ic = mean of column c with probability rate;   in evaluation x' = x

    Paper: Vincent, Larochelle, Bengio & Manzagol 2008, Extracting and composing robust features with denoising
    autoencoders, section 2.3, unnumbered (masking noise); Srivastava et al. 2014, Dropout, section 4 (visible
    units).

    Differs: 1. A hidden value is its column's mean in the training examples, the paper's is 0: the same for columns
    that are centred. Without `fit` it is 0. 2. What is left is not scaled up, as in the denoising autoencoder.

    Pitfall: where a single column decides, it teaches the network to guess.

    Helps: many columns that say the same; values that will be missing. Not where a single column decides.

    >>> import torch
    >>> from trainsmith.regularization import FeatureDropout
    >>> FeatureDropout(0.0)(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    kinds = ("table",)
    rate: Tensor
    centre: Tensor

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.register_buffer("centre", torch.tensor(0.0))

    def fit(self, x: Float[Tensor, "n columns"]) -> "FeatureDropout":
        """Take the means from the training examples."""
        self.centre = x.mean(0)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "FeatureDropout":
        """The same from a summary of the training examples."""
        self.centre = s.mean.to(dtype)
        return self

    def forward(self, x: Shaped[Tensor, "n columns"]) -> Shaped[Tensor, "n columns"]:
        """Rows with hidden values in training, x itself in evaluation."""
        if not self.training:
            return x
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("feature-dropout", x))
        return torch.where(uniform_like(x) < self.rate, self.centre, x)
