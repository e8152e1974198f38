"""Normalization over groups of the channels of one example."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import POSITIVE, Hyperparameter, kernel_numbers, number_in, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.normalization.inputs import needs_features

FEWEST_IN_A_GROUP, MOST_GROUPS = 16, 32


@technique(
    "normalization",
    "layer",
    name="group",
    aliases=("groupnorm", "group-norm", "group-normalization"),
    eps=Hyperparameter("added to the variance, in its units", (1e-6, 1e-2), "log", POSITIVE),
)
class GroupNorm(nn.Module):
    """Group normalization: each group of channels of each example with mean 0 and spread 1, then scaled and shifted.

        y = weight * (x - mean) / sqrt(var + eps) + bias,   mean and var over a group's channels and positions

    Paper: Wu & He 2018, Group normalization, equations 1, 2 and 7.

    Differs: 1. The number of groups is by default the largest divisor of the channels, up to the paper's 32, that
    leaves at least 16 channels in a group (table 3 of the paper finds 16 best): 32 groups of narrow layers would have
    one or two members, and lose the signal. It decides shapes, so it is no hyper-parameter that a study searches.

    Pitfall: groups must divide the channels. One group is layer normalization, one channel a group instance
    normalization, which leaves nothing of a layer without positions.

    Helps: convolutions with small batches, where batch statistics are noise. Not at 32 examples a batch or more, where
    batch normalization errs half a point less in the paper.

    >>> import torch
    >>> from trainsmith.normalization import GroupNorm
    >>> GroupNorm(4, groups=2)(torch.tensor([[1.0, 3.0, 10.0, 30.0]])).round(decimals=3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    eps: Tensor

    def __init__(self, num_features: int, groups: int | None = None, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups = _groups(num_features) if groups is None else groups
        if self.groups < 1 or num_features % self.groups:
            raise InvalidInput(
                f"group: the number of groups must divide that of the channels; {num_features} channels cannot be cut "
                f"into {groups} equal groups. Choose one of {', '.join(map(str, _divisors(num_features)))}."
            )
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("eps", torch.tensor(float(eps)))

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, ...), normalized per example and group over all other axes."""
        if x.ndim < 2 or x.shape[1] != len(self.weight) or not x.is_floating_point():
            raise InvalidInput(needs_features("group", x, len(self.weight)))
        if (eps := kernel_numbers(x, self, "eps", weight=self.weight)) is not None:
            return functional.group_norm(x, self.groups, self.weight, self.bias, *eps)
        kind, x = x.dtype, single(x)
        grouped = x.unflatten(1, (self.groups, -1))
        axes = list(range(2, grouped.ndim))
        shape = (1, -1, *(1,) * (x.ndim - 2))
        centred = grouped - grouped.mean(axes, keepdim=True)
        normal = centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + self.eps)
        return (normal.flatten(1, 2) * self.weight.view(shape) + self.bias.view(shape)).to(kind)

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn, with its weights."""
        layer = nn.GroupNorm(self.groups, len(self.weight), eps=number_in(self.eps))
        layer.load_state_dict({"weight": self.weight, "bias": self.bias})
        return layer


@technique(
    "normalization",
    "layer",
    name="instance",
    aliases=("instancenorm", "instance-norm", "instance-normalization"),
    eps=Hyperparameter("added to the variance, in its units", (1e-6, 1e-2), "log", POSITIVE),
)
class InstanceNorm(nn.Module):
    """Instance normalization: each channel of each example with mean 0 and spread 1, then scaled and shifted.

        y = weight * (x - mean) / sqrt(var + eps) + bias,   mean and var over the positions of one channel

    Paper: Ulyanov, Vedaldi & Lempitsky 2016, Instance normalization, section 2.

    Differs: 1. Weight and bias are learned (torch's default leaves them out). 2. Training and evaluation do the same:
    there are no running statistics.

    Pitfall: it takes away how strong a channel is in an image, which a classifier may need. Layers without positions
    have one value a channel and nothing would be left: they are refused.

    Helps: the transfer of style, where contrast should not matter. Not where contrast tells classes apart, nor in
    layers without positions.

    >>> import torch
    >>> from trainsmith.normalization import InstanceNorm
    >>> InstanceNorm(1)(torch.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])).round(decimals=3).tolist()
    [[[-1.0, 1.0]], [[-1.0, 1.0]]]
    """

    least_axes: ClassVar[int] = 3
    """Inputs need at least so many axes: examples, channels and positions."""
    takes_out_the_mean: ClassVar[bool] = True
    """Whether a bias in the layer before it is without effect."""
    eps: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("eps", torch.tensor(float(eps)))

    def forward(self, x: Float[Tensor, "n features ..."]) -> Float[Tensor, "n features ..."]:
        """x (n, features, positions, ...), normalized per example and feature."""
        if x.ndim < 2 or x.shape[1] != len(self.weight) or not x.is_floating_point():
            raise InvalidInput(needs_features("instance", x, len(self.weight)))
        if x.shape[2:].numel() < 2:
            raise InvalidInput(
                "instance normalization needs at least 2 positions a channel, (n, channels, positions, ...); got shape "
                f"{tuple(x.shape)}. Use layer or batch normalization for layers without positions."
            )
        if len(x) and (eps := kernel_numbers(x, self, "eps", weight=self.weight)) is not None:
            return functional.instance_norm(x, None, None, self.weight, self.bias, True, 0.0, *eps)
        kind, x = x.dtype, single(x)
        axes = list(range(2, x.ndim))
        shape = (1, -1, *(1,) * (x.ndim - 2))
        centred = x - x.mean(axes, keepdim=True)
        normal = centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + self.eps)
        return (normal * self.weight.view(shape) + self.bias.view(shape)).to(kind)

    def plain(self, axes: int = 4) -> nn.Module:
        """The same as a module of torch.nn, with its weights, for inputs with `axes` axes (4: images)."""
        kind = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}[axes]
        layer = kind(len(self.weight), eps=number_in(self.eps), affine=True)
        layer.load_state_dict({"weight": self.weight, "bias": self.bias})
        return layer


def _divisors(channels: int) -> list[int]:
    return [g for g in range(1, channels + 1) if channels % g == 0]


def _groups(channels: int) -> int:
    """The default number of groups: see GroupNorm."""
    return max((g for g in _divisors(channels) if g <= MOST_GROUPS and channels // g >= FEWEST_IN_A_GROUP), default=1)
