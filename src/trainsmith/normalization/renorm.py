"""Batch normalization that does in training nearly what it does in evaluation, or on smaller batches than there are."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, POSITIVE, Hyperparameter, Interval, number_in, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.normalization.batch import BatchNorm
from trainsmith.normalization.inputs import needs_features

AT_LEAST_1 = Interval(1, float("inf"), False, True)


@technique(
    "normalization",
    "layer",
    name="batch-renorm",
    aliases=("batch-renormalization", "batchrenorm"),
    momentum=Hyperparameter("weight of the new statistic in the running one", (0.01, 0.5), "log", Interval(0, 1)),
    r_max=Hyperparameter("the most by which the scale is corrected, as a factor", (1.0, 5.0), "linear", AT_LEAST_1),
    d_max=Hyperparameter("the most by which the mean is corrected, in spreads", (0.0, 8.0), "linear", NON_NEGATIVE),
    warmup=Hyperparameter("steps over which both limits grow from none", (50.0, 5000.0), "log", NON_NEGATIVE),
    eps=Hyperparameter("added to the variance, in its units", (1e-5, 1e-2), "log", POSITIVE),
)
class BatchRenorm(nn.Module):
    """Batch renormalization: batch normalization, corrected within limits to the running mean and spread.

        sd_B = sqrt(var_B + eps)
        r = clip(sd_B / sd, 1 / r_max, r_max),  d = clip((mean_B - mean) / sd, -d_max, d_max),  both without gradient
        y = weight * ((x - mean_B) / sd_B * r + d) + bias
        running = running + momentum * (statistic_B - running),   used instead of the batch in evaluation

    Paper: Ioffe 2017, Batch renormalization, Algorithm 1 and section 3.

    Differs: 1. Both limits grow in proportion over `warmup` steps from r_max 1 and d_max 0, which is batch
    normalization; the paper has 5,000 steps of that, then lets d_max grow until step 25,000 and r_max until
    step 40,000. 2. momentum is 0.1, not
    the paper's 0.01, which is made for runs of a hundred thousand steps.

    Pitfall: within the limits the layer no longer normalizes by the batch: before the running statistics have settled,
    wide limits let a network explode. Training's outputs depend on the steps before.

    Helps: small batches, and batches whose examples resemble each other. Not with large batches of independent
    examples, where it comes to batch normalization.

    >>> import torch
    >>> from trainsmith.normalization import BatchRenorm
    >>> BatchRenorm(1)(torch.tensor([[1.0], [3.0]])).round(decimals=3).tolist()
    [[-1.0], [1.0]]
    """

    trains_as_plain: ClassVar[bool] = False
    """Whether `plain` also does the same in training, as that of other layers does."""
    takes_out_the_mean: ClassVar[bool] = True
    """Whether a bias in the layer before it is without effect."""
    running_mean: Tensor
    running_std: Tensor
    steps: Tensor
    momentum: Tensor
    r_max: Tensor
    d_max: Tensor
    warmup: Tensor
    eps: Tensor

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup: float = 500.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_std", torch.ones(num_features))
        self.register_buffer("steps", torch.tensor(0))  # whole, so that half precision counts on
        numbers = {"momentum": momentum, "r_max": r_max, "d_max": d_max, "warmup": warmup, "eps": eps}
        for name, number in numbers.items():
            self.register_buffer(name, torch.tensor(float(number)))

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, ...), normalized per feature over all other axes; half precision in single."""
        if x.ndim < 2 or x.shape[1] != len(self.weight) or not x.is_floating_point():
            raise InvalidInput(needs_features("batch-renorm", x, len(self.weight)))
        kind, x = x.dtype, single(x)
        shape = (1, -1, *(1,) * (x.ndim - 2))
        if not self.training:
            scale = self.weight / self.running_std
            return ((x - self.running_mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(kind)
        if x.numel() // x.shape[1] < 2:
            raise InvalidInput(f"batch renormalization needs at least 2 values per feature; got {tuple(x.shape)}.")
        axes = [a for a in range(x.ndim) if a != 1]
        mean = x.mean(axes)
        centred = x - mean.view(shape)
        std = torch.sqrt(centred.square().mean(axes) + self.eps)
        r, d = self._corrections(mean.detach(), std.detach())
        return (centred * (self.weight * r / std).view(shape) + (self.weight * d + self.bias).view(shape)).to(kind)

    @torch.no_grad()
    def _corrections(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """r and d against the running statistics, which then take a step towards the batch's."""
        grown = ((self.steps + 1e-9) / (self.warmup + 1e-9)).clamp(max=1)  # at once for no warm-up
        r_max, d_max = 1 + (self.r_max - 1) * grown, self.d_max * grown
        r = torch.minimum(torch.maximum(std / self.running_std, 1 / r_max), r_max)
        d = torch.minimum(torch.maximum((mean - self.running_mean) / self.running_std, -d_max), d_max)
        self.running_mean.add_(self.momentum * (mean - self.running_mean))
        self.running_std.add_(self.momentum * (std - self.running_std))
        self.steps.add_(1)
        return r, d

    def plain(self, axes: int = 2) -> nn.Module:
        """torch's batch normalization, which does the same in evaluation, for inputs with `axes` axes."""
        kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[axes]
        layer = kind(len(self.weight), eps=number_in(self.eps), momentum=number_in(self.momentum))
        running = {"running_mean": self.running_mean, "running_var": self.running_std.square() - self.eps}
        layer.load_state_dict({"weight": self.weight, "bias": self.bias, **running}, strict=False)
        return layer.eval()


@technique(
    "normalization",
    "layer",
    name="ghost-batch",
    aliases=("ghost-batchnorm", "ghost-batch-norm"),
    momentum=Hyperparameter("weight of the new statistic in the running one", (0.01, 0.5), "log", Interval(0, 1)),
    eps=Hyperparameter("added to the variance, in its units", (1e-5, 1e-2), "log", POSITIVE),
)
class GhostBatchNorm(BatchNorm):
    """Ghost batch normalization: batch normalization of parts of the batch, each by its own mean and variance.

        y = batch normalization of each of round(n / size) parts of the batch, one after the other

    Paper: Hoffer, Hubara & Soudry 2017, Train longer, generalize better, Algorithm 1.

    Differs: 1. A batch that is no multiple of the size is cut into parts that are as equal as can be, so that none is
    tiny. 2. Running statistics move by momentum at every part in turn, as in the paper, with unbiased variances. 3. The
    size decides shapes, so it is no hyper-parameter that a study searches; 32 by default.

    Pitfall: for batches no larger than the size it is batch normalization. Where its noise is what helps, dropout is
    another way to it.

    Helps: large batches, which otherwise generalize worse. Not with batches no larger than the ghost batch, where it is
    batch normalization.

    >>> import torch
    >>> from trainsmith.normalization import GhostBatchNorm
    >>> x = torch.tensor([[1.0], [3.0], [10.0], [30.0]])
    >>> GhostBatchNorm(1, size=2)(x).round(decimals=3).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    trains_as_plain: ClassVar[bool] = False
    """Whether `plain` also does the same in training, as that of other layers does."""

    def __init__(self, num_features: int, size: int = 32, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__(num_features, momentum, eps)
        if size < 2:
            raise InvalidInput(f"ghost-batch: size must be a whole number of at least 2; got {size!r}.")
        self.size = size
        self.whole = False
        """Whether a batch counts as one part, as where running statistics are taken anew."""

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, ...), normalized per part and feature over all other axes."""
        if x.ndim < 2 or x.shape[1] != len(self.weight) or not x.is_floating_point():
            raise InvalidInput(needs_features("ghost-batch", x, len(self.weight)))
        parts = max(1, round(len(x) / self.size))
        if not self.training or parts == 1 or self.whole:
            return super().forward(x)
        if len(x) % parts:
            return torch.cat([super(GhostBatchNorm, self).forward(part) for part in x.tensor_split(parts)])
        kind, x = x.dtype, single(x)
        ghosts = x.unflatten(0, (parts, -1))  # all at once where they are of equal size
        axes = [a for a in range(1, ghosts.ndim) if a != 2]
        shape = (1, -1, *(1,) * (x.ndim - 2))
        mean = ghosts.mean(axes, keepdim=True)
        centred = ghosts - mean
        var = centred.square().mean(axes, keepdim=True)
        for part_mean, part_var in zip(mean.flatten(1), var.flatten(1), strict=True):
            self._follow(part_mean, part_var, x.numel() // (parts * x.shape[1]))
        scale = torch.rsqrt(var + self.eps) * self.weight.view(shape)
        return ((centred * scale).flatten(0, 1) + self.bias.view(shape)).to(kind)
