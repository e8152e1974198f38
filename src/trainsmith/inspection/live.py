"""Statistics of one layer's call while a network trains: computed where the tensor lies, read later.

Nothing here waits for the device: each call gives one short vector, and all of them travel to the host together.
"""

import copy
import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from trainsmith.inspection.histogram import BINS, Histogram
from trainsmith.inspection.layers import FLAT_SLOPE, LayerStatistics, is_elementwise

SAMPLE = 4096
"""Histogram and saturation look at so many evenly spaced values of a layer; all else looks at every value."""
ROWS, COLUMNS = 128, 512
"""The effective rank looks at so many examples, and at so many evenly spaced values of each."""
DEAD_AFTER = 1000
"""A unit is dead, or always on, if it was so on at least so many measured examples in a row."""
_REACH, _POINTS = 16.0, 8000
_NUMBERS = (
    "mean",
    "between",
    "within",
    "zeros",
    "dead",
    "always_on",
    "seen",
    "saturated",
    "rank",
    "shift",
    "low",
    "high",
)


@dataclass(frozen=True)
class WatchedLayer(LayerStatistics):
    """One layer at one measured step of a training: what `LayerStatistics` holds, except `predicted`, and more.

    histogram: of the values that are not exactly 0, of at most 4,096 of them. dead, always_on: share of units that
    were 0, or above 0, on the last 1,000 measured examples or more; 0 before there were so many. variance_ratio:
    variance of the outputs over that of the layer before, NaN for the first; input_ratio: over that of the network's
    input, NaN where it holds whole numbers. gradient_ratio: spread of the gradient over that of the last layer.
    effective_rank: participation ratio tr(C)^2 / tr(C^2) of the covariance C of the outputs over examples, at most
    128 of them and 512 values of each. running_shift: for batch normalization in training, the root mean square
    distance between running mean and batch mean, in running standard deviations, before this step; else NaN.
    examples: how many measured examples the counts of dead units look back on.
    """

    variance_ratio: float = math.nan
    input_ratio: float = math.nan
    gradient_ratio: float = math.nan
    effective_rank: float = math.nan
    running_shift: float = math.nan
    examples: int = 0


class LiveLayer:
    """One call of a layer: what must be remembered from one measured step to the next, and this step's vector."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        self.name, self.layer = name, layer
        self.shape: tuple[int, ...] = ()
        self._several = False
        self.vector: Tensor | None = None
        self.gradient: Tensor | None = None
        self._flat = _flat_places(layer)
        self._silent: Tensor | None = None
        self._on: Tensor | None = None
        self._entered: Tensor | None = None
        self._shift: Tensor | None = None

    @torch.no_grad()
    def enter(self, entered: Tensor | None) -> None:
        """Before the layer runs, as it may write over its input or its running statistics."""
        self._entered = self._shift = None
        if entered is None or not entered.is_floating_point():
            return
        if self._flat is not None:
            self._entered = _sample(entered).float().clone()
        if isinstance(self.layer, _BatchNorm) and self.layer.training and self.layer.running_mean is not None:
            assert self.layer.running_var is not None
            mean = entered.detach().float().mean([i for i in range(entered.ndim) if i != 1])
            distance = (mean - self.layer.running_mean).square() / (self.layer.running_var + self.layer.eps)
            self._shift = distance.mean().sqrt()

    @torch.no_grad()
    def leave(self, left: Tensor, channels: int) -> None:
        """After the layer ran. channels: the axis of its units."""
        x = left.detach()
        x = x if x.dtype == torch.float64 else x.float()
        self.shape, self._several = tuple(x.shape[1:]), len(x) > 1
        mean = x.mean(0)
        centre, within = mean.mean(), _size(x - mean)  # several times faster on a CPU than var_mean over axis 0
        dead, always, seen, zeros = self._count(x, channels)
        sample = _sample(x)
        used = (sample != 0) & sample.isfinite()
        low = torch.where(used, sample, math.inf).amin()
        high = torch.where(used, sample, -math.inf).amax()
        nothing = torch.full_like(centre, math.nan)
        numbers = [
            centre,
            _size(mean - centre),
            within,
            zeros,
            dead,
            always,
            seen,
            self._saturated(sample, nothing),
            _effective_rank(x) if x.ndim > 1 and len(x) > 1 else nothing,
            nothing if self._shift is None else self._shift,
            low,
            high,
        ]
        self.vector = torch.cat([torch.stack([n.to(x.dtype) for n in numbers]), _counts(sample, used, low, high)])
        self.gradient = None

    @torch.no_grad()
    def back(self, gradient: Tensor) -> None:
        """The loss's gradient for what left the layer."""
        g = gradient.detach()
        assert self.vector is not None
        g = g.to(self.vector.dtype)
        self.gradient = _size(g - g.mean()).reshape(1)

    def _count(self, x: Tensor, channels: int) -> tuple[Tensor, ...]:
        """Shares of dead and always-on units, the examples they were counted over, and the share of zeros."""
        others = [i for i in range(x.ndim) if i != channels] if x.ndim > 1 else [0]
        lowest, highest = x.amin(others), x.amax(others)
        examples = len(x)
        if self._silent is None or self._on is None or self._silent.shape != lowest.shape:
            self._silent, self._on = torch.zeros_like(lowest), torch.zeros_like(lowest)
            self._seen = 0
        self._seen += examples
        self._silent = (self._silent + examples) * ((lowest == 0) & (highest == 0))
        self._on = (self._on + examples) * (lowest > 0)
        dead, always = ((c >= DEAD_AFTER).to(x.dtype).mean() for c in (self._silent, self._on))
        zeros = 1 - torch.count_nonzero(x).to(x.dtype) / x.numel()
        return dead, always, torch.full_like(dead, min(self._seen, 2**24)), zeros

    def _saturated(self, left: Tensor, nothing: Tensor) -> Tensor:
        if self._flat is None or self._entered is None or self._entered.shape != left.shape:
            return nothing
        self._flat = self._flat.to(left.device)
        place = ((self._entered + _REACH) * (_POINTS / (2 * _REACH))).floor().nan_to_num(0)
        flat = self._flat[place.clamp(0, _POINTS - 1).long()] & (left != 0)
        return flat.to(left.dtype).mean()

    def read(self, numbers: list[float], gradient: float, twins: float) -> WatchedLayer:
        """The statistics, from this step's vector on the host."""
        v = dict(zip(_NUMBERS, numbers, strict=False))
        counts = tuple(int(c) for c in numbers[len(_NUMBERS) :])
        low, high = (v["low"], v["high"]) if v["high"] >= v["low"] else (0.0, 0.0)
        saturated = v["saturated"]
        variance = v["between"] ** 2 + v["within"] ** 2
        return WatchedLayer(
            name=self.name,
            kind=type(self.layer).__name__,
            shape=self.shape,
            mean=v["mean"],
            std=math.sqrt(variance),
            second_moment=variance + v["mean"] ** 2,
            signal=v["within"] ** 2 if self._several else math.nan,
            zeros=v["zeros"],
            dead=v["dead"],
            always_on=v["always_on"],
            saturated=None if math.isnan(saturated) else saturated,
            gradient=gradient,
            predicted=None,
            twins=twins,
            parameters=sum(p.numel() for p in self.layer.parameters()),
            finite=math.isfinite(v["mean"]),
            gradient_finite=self.gradient is None or math.isfinite(gradient),
            histogram=Histogram(low, high if high > low else low + 1e-3 * max(1.0, abs(low)), counts),
            effective_rank=v["rank"],
            running_shift=v["shift"],
            examples=int(v["seen"]),
        )


def unit_axis(layer: nn.Module, ndim: int) -> int:
    """The axis of a layer's units: 1 for vectors, pictures and what convolutions give, else the last."""
    channels = isinstance(layer, (_ConvNd, _BatchNorm, nn.GroupNorm))
    return 1 if ndim == 2 or ndim > 3 or channels else ndim - 1


def _flat_places(layer: nn.Module) -> Tensor | None:
    """Where on a grid from -16 to 16 an activation function's slope is under 5 % of its largest; None for others."""
    alone = copy.copy(layer)  # without anybody's hooks, and on the CPU
    alone._buffers = {name: None if b is None else b.detach().cpu().clone() for name, b in layer._buffers.items()}
    alone._forward_hooks, alone._forward_pre_hooks = OrderedDict(), OrderedDict()
    alone._backward_hooks, alone._backward_pre_hooks = OrderedDict(), OrderedDict()
    if not is_elementwise(alone):
        return None
    # the middles of the cells, none of them at 0, where many functions have their kink
    x = ((torch.arange(_POINTS) + 0.5) * (2 * _REACH / _POINTS) - _REACH).requires_grad_()
    with torch.enable_grad():
        slope = torch.autograd.grad(alone(x * 1).sum(), x)[0].abs()
    return slope < FLAT_SLOPE * slope.max()


def _size(x: Tensor) -> Tensor:
    """The root of the mean square."""
    return torch.linalg.vector_norm(x) / math.sqrt(x.numel())


def _sample(x: Tensor) -> Tensor:
    """At most SAMPLE evenly spaced values; the stride shares no factor with the sizes, so that no unit is left out."""
    flat, stride = x.detach().reshape(-1), max(1, math.ceil(x.numel() / SAMPLE))
    while stride > 1 and math.gcd(stride, x.numel()) > 1:
        stride += 1
    return flat[::stride]


def _counts(values: Tensor, used: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How many of the used values lie in each of the 30 equal bins from low to high."""
    width = (high - low).clamp_min(torch.finfo(values.dtype).tiny) / BINS
    bins = ((values - low) / width).nan_to_num(0, 0, 0).clamp(0, BINS - 1).long()
    return torch.zeros(BINS, dtype=values.dtype, device=values.device).scatter_add_(0, bins, used.to(values.dtype))


def _effective_rank(x: Tensor) -> Tensor:
    """tr(C)^2 / tr(C^2), from the examples' inner products, which have the covariance's eigenvalues."""
    rows = x[:ROWS].reshape(min(len(x), ROWS), -1)
    stride = max(1, math.ceil(rows.shape[1] / COLUMNS))
    while stride > 1 and math.gcd(stride, rows.shape[1]) > 1:
        stride += 1
    rows = rows[:, ::stride]
    rows = rows - rows.mean(0)
    rows = rows / rows.abs().amax().clamp_min(torch.finfo(x.dtype).tiny)  # its square may not underflow
    products = rows @ rows.T
    return products.diagonal().sum().square() / products.square().sum()
