"""Input normalizations that take out the correlations between features as well."""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, number_in, technique
from trainsmith.catalogue.fitted import Fitted, refuse_none
from trainsmith.normalization import plain
from trainsmith.rows import float_type

RIDGE = Hyperparameter(
    "added to each eigenvalue of the covariance, as a share of their mean",
    (1e-5, 1e-1),
    "log",
    NON_NEGATIVE,
    tuned=True,
)


class _Whitening(Fitted):
    """y = (x - mean) matrix over flattened inputs; the two whitenings differ by a rotation of y."""

    ridge: Tensor
    mean: Tensor
    matrix: Tensor

    def __init__(self, ridge: float) -> None:
        super().__init__()
        self.register_buffer("ridge", torch.tensor(float(ridge)))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("matrix", torch.ones(()))

    def _fit(self, x: Tensor, per_feature: bool | None, rotate_back: bool) -> None:
        refuse_none(x)
        rows, dtype = x.double().flatten(1), float_type(x)
        mean = rows.mean(0)
        scale = torch.ones_like(mean)
        if x.ndim == 2 if per_feature is None else per_feature:
            constant = rows.amax(0) - rows.amin(0) <= torch.finfo(dtype).eps * mean.abs()
            scale = torch.where(constant, torch.inf, rows.std(0, correction=0))
        centred = (rows - mean) / scale
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
        values, vectors = values.flip(0), vectors.flip(1)
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        rounding = len(mean) * (
            torch.finfo(torch.float64).eps * values[0] + (torch.finfo(dtype).eps * (rows / scale)).square().mean()
        )
        gains = (values + number_in(self.ridge) * values.clamp(min=0).mean()).clamp(min=rounding).rsqrt()
        matrix = vectors * torch.where(values > rounding, gains, 0)
        if rotate_back:
            matrix = matrix @ vectors.T
        self.mean = mean.to(dtype)
        self.matrix = (matrix / scale[:, None]).to(dtype).contiguous()

    def forward(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x with the training data's correlations taken out."""
        if self.matrix.ndim == 0:
            return x
        centred = x.flatten(1) - self.mean
        return (centred @ self.matrix.to(centred.dtype)).reshape(x.shape)

    def plain(self) -> nn.Module:
        """The same without trainsmith, with the numbers of the training data."""
        layer = plain.Whiten(len(self.mean))
        layer.load_state_dict({"mean": self.mean, "matrix": self.matrix})
        return layer.train(self.training)


@technique("normalization", "input", name="pca-whitening", aliases=("whitening", "pca"), ridge=RIDGE)
class PCAWhitening(_Whitening):
    """PCA whitening: the principal components of the training data, each with spread 1, the widest first.

        y = (x - mean) U / sqrt(lambda + ridge * mean(lambda)),   cov(x_train) = U diag(lambda) U^T

    Paper: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3, unnumbered (Karhunen-Loève expansion).

    Differs: 1. Columns of a table, which differ in unit, are standardized first (PCA-cor in Kessy, Lewin & Strimmer
    2018); pixels are not. 2. Components without variance in the training data become 0 at all times instead of being
    divided by 0. 3. Covariances are divided by n, not n - 1. 4. Each component's largest entry is positive.

    Pitfall: without a ridge, noise in the narrowest components is blown up to the size of the signal. The outputs are
    components, not pixels: a convolution makes no sense of them. The matrix has features^2 entries.

    Helps: tables with strongly correlated columns, where plain gradient descent is slow. Not before convolutions, nor
    with thousands of features.

    >>> import torch
    >>> from trainsmith.normalization import PCAWhitening
    >>> x = torch.tensor([[2.0, 1.0], [1.0, 2.0], [-2.0, -1.0], [-1.0, -2.0]])
    >>> PCAWhitening(0).fit(x)(x).T.cov(correction=0).round(decimals=3).abs().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, ridge: float = 1e-3) -> None:
        super().__init__(ridge)

    def fit(self, x: Num[Tensor, "n ..."], per_feature: bool | None = None) -> "PCAWhitening":
        """Take mean and components from training inputs x (n, *features), of any type.

        per_feature: whether each feature is standardized first; None: in tables, not in images.
        """
        self._fit(x, per_feature, rotate_back=False)
        return self


@technique("normalization", "input", name="zca-whitening", aliases=("zca",), ridge=RIDGE)
class ZCAWhitening(_Whitening):
    """ZCA whitening: uncorrelated features with spread 1 that stay as close as possible to the original ones.

        y = (x - mean) U diag(1 / sqrt(lambda + ridge * mean(lambda))) U^T,   cov(x_train) = U diag(lambda) U^T

    Paper: Bell & Sejnowski 1997, The "independent components" of natural scenes are edge filters; Krizhevsky 2009,
    Learning multiple layers of features from tiny images, appendix A.

    Differs: 1. Columns of a table, which differ in unit, are standardized first (ZCA-cor in Kessy, Lewin & Strimmer
    2018, Optimal whitening and decorrelation); pixels are not. 2. Directions without variance in the training data
    become 0 at all times. 3. Covariances are divided by n, not n - 1.

    Pitfall: without a ridge, noise in the narrowest directions is blown up to the size of the signal. The matrix has
    features^2 entries: 12 million for a colour image of 34 x 34.

    Helps: small images, and tables whose columns should keep their meaning. Not for large images, whose matrix has
    features^2 entries.

    >>> import torch
    >>> from trainsmith.normalization import ZCAWhitening
    >>> x = torch.tensor([[2.0, 1.0], [1.0, 2.0], [-2.0, -1.0], [-1.0, -2.0]])
    >>> ZCAWhitening(0).fit(x)(x).T.cov(correction=0).round(decimals=3).abs().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, ridge: float = 1e-3) -> None:
        super().__init__(ridge)

    def fit(self, x: Num[Tensor, "n ..."], per_feature: bool | None = None) -> "ZCAWhitening":
        """Take mean and directions from training inputs x (n, *features), of any type.

        per_feature: whether each feature is standardized first; None: in tables, not in images.
        """
        self._fit(x, per_feature, rotate_back=True)
        return self
