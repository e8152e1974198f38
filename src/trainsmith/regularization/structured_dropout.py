"""Dropout of more than single units: whole channels, blocks of a map, and a dropout that keeps mean and variance."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import FRACTION, Hyperparameter, number_in, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import uniform_like
from trainsmith.regularization.inputs import needs_batch
from trainsmith.regularization.plain import DropBlocks, DroppedChannels

SELU_LIMIT = -1.7580993408473766
"""What SELU tends to for large negative inputs: -scale * alpha (Klambauer et al. 2017)."""


@technique(
    "regularization",
    "layer",
    name="spatial-dropout",
    aliases=("dropout2d", "spatialdropout"),
    rate=Hyperparameter("probability that a channel is dropped", (0.05, 0.5), "linear", FRACTION, tuned=True),
)
class SpatialDropout(nn.Module):
    """Spatial dropout: whole channels of an example are switched off, since neighbouring pixels say the same.

        y = x * mask / (1 - rate),   one mask ~ Bernoulli(1 - rate) for each example and channel

    Paper: Tompson, Goroshin, Jain, LeCun & Bregler 2015, Efficient object localization using convolutional
    networks, section 3.2, unnumbered.

    Differs: 1. Scaled in training, as in torch.nn.Dropout2d. 2. On inputs without positions (n, features) it is
    ordinary dropout of features.

    Pitfall: few channels make it harsh: with 16 channels and rate 0.5 an example sees 8 of them.

    Helps: convolution layers, where ordinary dropout leaves most of what it drops in the neighbours. Not in layers of
    few channels.

    >>> import torch
    >>> from trainsmith.regularization import SpatialDropout
    >>> y = SpatialDropout(0.5)(torch.ones(2, 3, 4, 4))
    >>> bool((y == y[:, :, :1, :1]).all())
    True
    """

    rate: Tensor

    def __init__(self, rate: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n c ..."]:
        """x with channels (axis 1) dropped in training, x itself in evaluation."""
        if not self.training:
            return x
        kept = uniform_like(x.flatten(2)[:, :, 0] if x.ndim > 2 else x) >= self.rate
        return x * (kept / (1 - self.rate)).view(*kept.shape, *(1,) * (x.ndim - 2)).to(x.dtype)

    def plain(self) -> nn.Module:
        """The same as a module that imports nothing but torch."""
        return DroppedChannels(number_in(self.rate)).train(self.training)


@technique(
    "regularization",
    "layer",
    name="alpha-dropout",
    rate=Hyperparameter("probability that a unit is dropped", (0.02, 0.3), "linear", FRACTION, tuned=True),
)
class AlphaDropout(nn.Module):
    """Alpha dropout: dropped units get SELU's lowest value, and the rest is scaled so that mean and variance stay.

        y = a (x * mask + s (1 - mask)) + b,   mask ~ Bernoulli(q),   q = 1 - rate,   s = -scale * alpha = -1.7581
        a = (q + s^2 q (1 - q))^(-1/2),   b = -a (1 - q) s

    Paper: Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks, section "New dropout
    technique", unnumbered.

    Differs: 1. rate is the probability of dropping, the paper's q that of keeping.

    Pitfall: keeps mean 0 and variance 1 only of inputs that have them: with SELU, LeCun's initialization and
    standardized inputs.

    Helps: deep SELU networks, whose self-normalization ordinary dropout would break. The authors use 0.05 to 0.1. Not
    behind other activation functions than SELU.

    >>> import torch
    >>> from trainsmith.regularization import AlphaDropout
    >>> y = AlphaDropout(0.1)(torch.randn(100_000))
    >>> round(abs(y.mean().item()), 1), round(y.std().item(), 1)
    (0.0, 1.0)
    """

    rate: Tensor

    def __init__(self, rate: float = 0.05) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """x with units at SELU's limit in training, x itself in evaluation."""
        if not self.training:
            return x
        kept, q = uniform_like(x) >= self.rate, 1 - self.rate
        a = (q + SELU_LIMIT**2 * q * self.rate).rsqrt()
        return a * torch.where(kept, x, SELU_LIMIT) - a * self.rate * SELU_LIMIT

    def plain(self) -> nn.Module:
        """The same as a module of torch.nn."""
        return nn.AlphaDropout(number_in(self.rate)).train(self.training)


@technique(
    "regularization",
    "layer",
    name="drop-block",
    aliases=("dropblock",),
    rate=Hyperparameter("share of a map that is dropped, about", (0.02, 0.3), "linear", FRACTION, tuned=True),
)
class DropBlock(nn.Module):
    """DropBlock: square blocks of each channel's map are switched off, so that what lies around must do.

        seeds ~ Bernoulli(gamma) at the centres of blocks that fit;  mask = 0 within size / 2 of a seed
        gamma = rate / size^2 * h w / ((h - size + 1) (w - size + 1));   y = x * mask * numel(mask) / sum(mask)

    Paper: Ghiasi, Lin & Le 2018, DropBlock, algorithm 1 and equation 1.

    Differs: 1. size is the largest odd number not above both the given size and the map's sides. 2. The scale
    numel / sum is each example's own, over all its channels: the others' masks do not touch it. 3. On inputs
    without positions it is dropout with that scale; in volumes each slice has blocks of its own. 4. The rate is
    constant; the paper raises it while it trains.

    Pitfall: blocks overlap, so that a little less than rate is dropped; a size near the map's drops all or nothing.

    Helps: convolutional networks on images that are large compared with the block. Not on maps hardly larger than the
    block.

    >>> import torch
    >>> from trainsmith.regularization import DropBlock
    >>> DropBlock(0.1).eval()(torch.ones(1, 1, 2, 2)).sum().item()
    4.0
    """

    rate: Tensor

    def __init__(self, rate: float = 0.1, size: int = 7) -> None:
        super().__init__()
        if not isinstance(size, int) or size < 1:
            raise InvalidInput(f"drop-block: size must be a whole number of at least 1; got {size!r}.")
        self.size = size
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x with blocks of the last two axes dropped in training, x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim < 2:
            raise InvalidInput(needs_batch("drop-block", x))
        kept = uniform_like(x) >= self.rate if x.ndim < 4 else self._blocks(x)
        mask = kept.to(x.dtype)
        count = single(mask).flatten(1).sum(1).clamp(min=1)  # half precision counts to 65504
        return x * mask * (math.prod(x.shape[1:]) / count).to(x.dtype).view(-1, *(1,) * (x.ndim - 1))

    def _blocks(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        size = min(self.size, h, w)
        size -= 1 - size % 2
        fits = (h - size + 1) * (w - size + 1)
        gamma = self.rate / size**2 * (h * w / fits)
        inner = x[..., : h - size + 1, : w - size + 1]
        seeds = (uniform_like(inner) < gamma).to(x.dtype)
        maps = functional.pad(seeds.flatten(1, -3), [size - 1] * 4)  # whatever stands before the last two axes
        return (functional.max_pool2d(maps, size, stride=1) == 0).reshape(x.shape)

    def plain(self) -> nn.Module:
        """The same as a module that imports nothing but torch."""
        return DropBlocks(number_in(self.rate), self.size).train(self.training)
