"""Normalization over the examples of a batch."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import POSITIVE, Hyperparameter, Interval, kernel_numbers, number_in, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.normalization.inputs import needs_features


@technique(
    "normalization",
    "layer",
    name="batch",
    aliases=("batchnorm", "batch-norm", "batch-normalization"),
    momentum=Hyperparameter("weight of the new statistic in the running one", (0.01, 0.5), "log", Interval(0, 1)),
    eps=Hyperparameter("added to the variance, in its units", (1e-5, 1e-2), "log", POSITIVE),
)
class BatchNorm(nn.Module):
    """Batch normalization: every feature with mean 0 and spread 1 over the batch, then scaled and shifted.

        y = weight * (x - mean_B) / sqrt(var_B + eps) + bias
        running = (1 - momentum) * running + momentum * statistic_B,   used instead of the batch in evaluation

    Paper: Ioffe & Szegedy 2015, Batch normalization, Algorithms 1 and 2.

    Differs: 1. The running variance is a moving average of unbiased batch variances, as in torch; the paper averages
    over several batches at the end. 2. momentum is the weight of the new statistic, as in torch; in Keras of the old.

    Pitfall: a batch of one example has no variance and raises. Small batches make training and evaluation differ.
    The bias of the layer before it is redundant, and left out when it is put into a network. torch's tools for its own
    class, such as swa_utils.update_bn and SyncBatchNorm, pass it by: `recompute_statistics` and `plain()` are for that.

    Helps: deep networks at high learning rates, and bad initializations; with convolutions most of all. Not with few
    examples a batch, nor where one example's output must not hang on the others.

    >>> import torch
    >>> from trainsmith.normalization import BatchNorm
    >>> BatchNorm(1)(torch.tensor([[1.0], [3.0]])).round(decimals=3).tolist()
    [[-1.0], [1.0]]
    """

    takes_out_the_mean: ClassVar[bool] = True
    """Whether a bias in the layer before it is without effect."""
    running_mean: Tensor
    running_var: Tensor
    momentum: Tensor
    eps: Tensor

    def __init__(self, num_features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("momentum", torch.tensor(float(momentum)))
        self.register_buffer("eps", torch.tensor(float(eps)))

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, ...), normalized per feature over all other axes; half precision in single."""
        if x.ndim < 2 or x.shape[1] != len(self.weight) or not x.is_floating_point():
            raise InvalidInput(needs_features("batch", x, len(self.weight)))
        if self.training and x.numel() // x.shape[1] < 2:
            raise InvalidInput(f"batch normalization needs at least 2 values per feature; got shape {tuple(x.shape)}.")
        if (numbers := kernel_numbers(x, self, "momentum", "eps", weight=self.weight)) is not None:
            running = (self.running_mean, self.running_var)
            return functional.batch_norm(x, *running, self.weight, self.bias, self.training, *numbers)
        kind, x = x.dtype, single(x)
        shape = (1, -1, *(1,) * (x.ndim - 2))
        if self.training:
            mean, var = self._batch_statistics(x)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(var + self.eps)
        return ((x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(kind)

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        count = x.numel() // x.shape[1]
        axes = [a for a in range(x.ndim) if a != 1]
        mean = x.mean(axes)
        var = (x - mean.view(1, -1, *(1,) * (x.ndim - 2))).square().mean(axes)
        self._follow(mean, var, count)
        return mean, var

    def _follow(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch with `count` values per feature."""
        with torch.no_grad():
            self.running_mean.add_(self.momentum * (mean - self.running_mean))
            self.running_var.add_(self.momentum * (var * (count / (count - 1)) - self.running_var))

    def plain(self, axes: int = 2) -> nn.Module:
        """The same as a module of torch.nn, with weights and running statistics, for inputs with `axes` axes."""
        kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[axes]
        layer = kind(len(self.weight), eps=number_in(self.eps), momentum=number_in(self.momentum))
        layer.load_state_dict(
            {n: t for n, t in self.state_dict().items() if n not in ("eps", "momentum")}, strict=False
        )
        return layer.train(self.training)
