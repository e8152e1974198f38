"""Input normalizations that use the order of the training data: its ends, or its middle half."""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from trainsmith.catalogue import technique
from trainsmith.catalogue.fitted import Fitted, refuse_none
from trainsmith.normalization import plain
from trainsmith.rows import Summary, float_type


@technique("normalization", "input", name="min-max", aliases=("minmax", "input-min-max"))
class MinMax(Fitted):
    """Min-max scaling: every feature runs from 0 to 1 on the training data.

        y = (x - min_train) / (max_train - min_train)

    Paper: Han, Kamber & Pei 2011, Data mining, section 3.5.2, equation 3.8 onto [0, 1].

    Differs: 1. A feature that is constant on the training data becomes 0 at all times. 2. Images (more than one axis
    per example) share one minimum and one maximum. 3. Later values beyond the ends are not cut off.

    Pitfall: one outlier squeezes all other values together; and all inputs are positive, so that the weights of a unit
    can only grow or shrink together at first (LeCun et al. 1998, section 4.3).

    Helps: features with hard ends, such as pixels. Not with outliers, which squeeze all other values together.

    >>> import torch
    >>> from trainsmith.normalization import MinMax
    >>> layer = MinMax().fit(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    >>> layer(torch.tensor([[1.0, 5.0], [4.0, 9.0]])).tolist()
    [[0.0, 0.0], [1.5, 0.0]]
    """

    low: Tensor
    extent: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("extent", torch.ones(()))

    def fit(self, x: Num[Tensor, "n ..."], per_feature: bool | None = None) -> "MinMax":
        """Take the ends from training inputs x (n, *features), of any type.

        per_feature: ends for each feature, or for all; None: for each in tables, for all in images.
        """
        (rows, shape), dtype = _rows(x, per_feature), float_type(x)
        low, extent = rows.amin(0), rows.amax(0) - rows.amin(0)
        self.low = low.view(shape).to(dtype)
        self.extent = _or_inf(extent, _is_constant(rows, dtype)).view(shape).to(dtype)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "MinMax":
        """The same from a summary of the training inputs, of each feature or of all."""
        extent = s.high - s.low
        constant = extent <= torch.finfo(dtype).eps * s.mean.abs()
        self.low, self.extent = s.low.to(dtype), _or_inf(extent, constant).to(dtype)
        return self

    def forward(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x on the scale from 0 to 1 of the training data."""
        return (x - self.low) / self.extent

    def plain(self) -> nn.Module:
        """The same without trainsmith, with the numbers of the training data."""
        return _rescale(self.low, self.extent).train(self.training)


@technique("normalization", "input", aliases=("robust-scaling", "input-robust"))
class Robust(Fitted):
    """Robust scaling: every feature in units of its middle half, which outliers do not move.

        y = (x - median_train) / (q75_train - q25_train)

    Paper: Huber & Ronchetti 2009, Robust statistics, chapter 5 (scale estimates, the interquartile range among them).

    Differs: 1. Quantiles lie between two neighbours in proportion, as in NumPy and scikit-learn. 2. A feature whose
    middle half is one value, such as a column that is mostly 0, is divided by its standard deviation instead; one that
    is constant becomes 0 at all times. 3. Images share one median and one range.

    Pitfall: a normal feature gets the spread 0.74, not 1; and outliers stay outliers: they are not cut off.

    Helps: tables with wrong or heavy-tailed entries. Not for columns of which three quarters are one value: the range
    between their quartiles is 0.

    >>> import torch
    >>> from trainsmith.normalization import Robust
    >>> layer = Robust().fit(torch.tensor([[0.0], [1.0], [2.0], [3.0], [1000.0]]))
    >>> layer(torch.tensor([[2.0], [4.0]])).tolist()
    [[0.0], [1.0]]
    """

    median: Tensor
    middle: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(()))
        self.register_buffer("middle", torch.ones(()))

    def fit(self, x: Num[Tensor, "n ..."], per_feature: bool | None = None) -> "Robust":
        """Take the quartiles from training inputs x (n, *features), of any type.

        per_feature: quartiles of each feature, or of all; None: of each in tables, of all in images.
        """
        (rows, shape), dtype = _rows(x, per_feature), float_type(x)
        ordered = rows.sort(0).values
        low, median, high = (_quantile(ordered, q) for q in (0.25, 0.5, 0.75))
        middle = torch.where(high > low, high - low, rows.std(0, correction=0))
        self.median = median.view(shape).to(dtype)
        self.middle = _or_inf(middle, _is_constant(rows, dtype)).view(shape).to(dtype)
        return self

    def forward(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x in units of the training data's middle half."""
        return (x - self.median) / self.middle

    def plain(self) -> nn.Module:
        """The same without trainsmith, with the numbers of the training data."""
        return _rescale(self.median, self.middle).train(self.training)


def _rows(x: Tensor, per_feature: bool | None) -> tuple[Tensor, torch.Size]:
    """x in float64 with one column for each number that is fitted, and the shape these numbers have."""
    refuse_none(x)
    if x.ndim == 2 if per_feature is None else per_feature:
        return x.double().flatten(1), x.shape[1:]
    return x.double().reshape(-1, 1), torch.Size()


def _is_constant(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Which columns vary by no more than the rounding of their numbers."""
    return rows.amax(0) - rows.amin(0) <= torch.finfo(dtype).eps * rows.mean(0).abs()


def _or_inf(scale: Tensor, constant: Tensor) -> Tensor:
    return torch.where(constant, torch.inf, scale)


def _quantile(ordered: Tensor, q: float) -> Tensor:
    """The q-quantile of columns in ascending order. torch.quantile refuses more than 16 million numbers."""
    place = q * (len(ordered) - 1)
    below = int(place)
    return ordered[below].lerp(ordered[min(below + 1, len(ordered) - 1)], place - below)


def _rescale(shift: Tensor, scale: Tensor) -> nn.Module:
    layer = plain.Rescale(shift.shape)
    layer.load_state_dict({"shift": shift, "scale": scale})
    return layer
