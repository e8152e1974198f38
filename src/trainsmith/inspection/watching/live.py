"""One layer's call while a network trains: what hooks keep of it, computed where the tensor lies, read later.

Nothing here waits for the device: what the layers keep of a step travels to the host together.
"""

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from trainsmith.inspection.statistics.histogram import Histogram
from trainsmith.inspection.statistics.layers import FLAT_SLOPE, LayerStatistics, is_elementwise
from trainsmith.inspection.statistics.sampling import Sampled, sample

RANK_VALUES = 32_768
"""The effective rank looks at so many values: of 128 examples 256 each."""
SELDOM = ("effective_rank", "running_shift", "twins")
_REACH, _POINTS = 16.0, 8000


@dataclass(frozen=True)
class WatchedLayer(LayerStatistics):
    """One layer at one measured step of a training: what `LayerStatistics` holds, except `predicted`, `likeness` and
    `similarity`, and more.

    mean, std, second_moment, signal, zeros, saturated, gradient: of at most 4,096 values, see `sampling.sample`.
    histogram, gradient_histogram: of those of them that are not exactly 0. gradient_finite: whether those of the
    gradient are. dead, always_on: share of units that were 0, or above 0, on the last 1,000 measured examples or more;
    0 before there were so many, NaN for layers with weights, whose units nothing switches off. effective_rank:
    participation ratio tr(C)^2 / tr(C^2) of the covariance C of the outputs over examples, of at most 32,768 values of
    128 of them. running_shift: for batch normalization in training, the root mean square distance between running mean
    and batch mean, in running standard deviations, before the step; else NaN. examples: how many measured examples the
    counts of dead units look back on. closely: the step that histograms, effective_rank, running_shift and twins are
    of, -1 before there was one.
    """

    running_shift: float = math.nan
    examples: int = 0
    closely: int = -1


@dataclass(frozen=True)
class Look:
    """What a close look at a layer saw: the step, histograms of outputs and gradients, and what SELDOM names.

    rows: where each member stands in these.
    """

    step: int
    outputs: list[Histogram]
    gradients: list[Histogram] | None
    numbers: dict[str, np.ndarray]
    rows: dict[int, int]

    def of(self, member: int) -> dict[str, Any]:
        """The member's, by their names in WatchedLayer."""
        row = self.rows[member]
        behind = None if self.gradients is None else self.gradients[row]
        found = {name: float(values[row]) for name, values in self.numbers.items()}
        return {"closely": self.step, "histogram": self.outputs[row], "gradient_histogram": behind, **found}


class LiveLayer:
    """One call of a layer: what must be remembered from one measured step to the next, and this step's samples."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        self.name, self.layer, self.kind = name, layer, type(layer).__name__
        self.parameters = sum(p.numel() for p in layer.parameters())
        self.edges = _flat_edges(layer)
        """Where an activation function turns flat, and where it ends to be so, in turns."""
        # where numbers of the function's own, such as a slope, lie in buffers, other members' may be flat
        flat = self.edges is not None and (len(self.edges) > 0 or bool(layer._buffers))
        self.enters = flat or isinstance(layer, _BatchNorm)
        """Whether something must be kept of what enters the layer."""
        self._forget()

    def _forget(self) -> None:
        self.outputs, self.gradients, self._entering = Sampled(), Sampled(), Sampled()
        self._whole: tuple[object, ...] = ()
        self._others: list[int] = []
        self._output = 0
        self.graded = self._entered = False
        self.numbers: dict[str, Tensor] = {}
        self.shape: tuple[int, ...] = ()
        self.counts = np.zeros((2, 1, 0))
        self.seen = self.examples = 0
        self.look: Look | None = None

    def enter(self, entered: Tensor | None, closely: bool) -> None:
        """Before the layer runs, as it may write over its input or its running statistics."""
        self.numbers, self._entered = {}, False
        if entered is None or not entered.is_floating_point() or not entered.numel():
            return
        entered = entered.detach()
        if self.edges is not None:
            self._entering.take(entered)
            self._entered = True
        elif closely and (kept := self.averages()) is not None:
            mean, variance, eps = kept
            self.numbers["running_shift"] = running_shift(entered, mean, variance, eps)

    def averages(self) -> tuple[Tensor, Tensor, float] | None:
        """Running mean and variance and eps of a batch normalization in training, if it keeps them."""
        layer = self.layer
        if not isinstance(layer, _BatchNorm) or not layer.training or layer.running_mean is None:
            return None
        assert layer.running_var is not None
        return layer.running_mean, layer.running_var, layer.eps

    def twin(self, name: str) -> "LiveLayer":
        """The same layer in another network, or called once more, where nothing was seen yet."""
        other = copy.copy(self)
        other.name = name
        other._forget()
        return other

    def of(self, rows: Sequence[int]) -> "LiveLayer":
        """The same layer of some of the members, with all that was seen of them."""
        other = self.twin(self.name)
        other.counts = self.counts[:, rows] if self.counts.size else self.counts
        other.seen, other.look = self.seen, self.look
        return other

    def leave(self, left: Tensor, channels: int, closely: bool) -> None:
        """After the layer ran. channels: the axis of its units."""
        x = left.detach()
        if not self.enters:
            self.numbers = {}
        self.graded = False
        if self._whole != (x.shape, channels):
            self._whole, self._others = (x.shape, channels), all_but(channels, x.ndim)
            self.shape, self.examples = x.shape[1:], x.shape[0]
        self.outputs.take(x)
        if self.parameters:
            self.numbers["total"] = total(x)
        else:
            self.numbers["low"], self.numbers["high"] = x.amin(self._others), x.amax(self._others)
        entered = self._entering.values
        if self._entered and self.edges is not None and entered.shape == self.outputs.values.shape:
            self.edges = self.edges.to(x.device)
            self.numbers["saturated"] = where_flat(entered, self.outputs.values, self.edges).mean()
        self._entered = False
        if closely and x.ndim > 1 and len(x) > 1:
            with torch.autocast(x.device.type, enabled=False):
                self.numbers["effective_rank"] = rank_of(sample(x, RANK_VALUES))

    def follow(self, left: Tensor) -> None:
        """See the loss's gradient for what left the layer: where the next one writes over it, that of what was here."""
        if left.grad_fn is None:
            left.register_hook(self.back)
        else:  # the same, sooner
            self._output = left.output_nr
            left.grad_fn.register_prehook(self._back)

    def _back(self, gradients: Sequence[Tensor | None]) -> None:
        gradient = gradients[self._output]
        if gradient is not None:
            self.back(gradient)

    def back(self, gradient: Tensor) -> None:
        """The loss's gradient for what left the layer."""
        self.gradients.take(gradient.detach())
        self.graded = True


def where_flat(entered: Tensor, left: Tensor, edges: Tensor) -> Tensor:
    """Ones where an activation function is flat, by where it turns so and back, and what leaves it is not 0; zeros."""
    return (torch.bucketize(entered, edges) & (left != 0)).float()


def total(x: Tensor, first: int = 0) -> Tensor:
    """The sum over the axes from `first` on, in single precision or better: finite where all numbers are, unless they
    are beyond 1e30."""
    return x.sum([*range(first, x.ndim)], dtype=torch.promote_types(x.dtype, torch.float32))


def unit_axis(layer: nn.Module, ndim: int) -> int:
    """The axis of a layer's units: 1 for vectors, pictures and what convolutions give, else the last."""
    channels = isinstance(layer, (_ConvNd, _BatchNorm, nn.GroupNorm))
    return 1 if ndim == 2 or ndim > 3 or channels else ndim - 1


@lru_cache(maxsize=64)
def all_but(axis: int, ndim: int) -> list[int]:
    """The axes over which a layer's outputs are looked at for each unit."""
    return [i for i in range(ndim) if i != axis] if ndim > 1 else [0]


def _flat_edges(layer: nn.Module) -> Tensor | None:
    """Where an activation function turns flat, and where it ends to be so, in turns; None for other layers.

    Flat: its slope is under 5 % of its largest, and it is not 0 there; seen on a grid from -16 to 16, beyond which it
    goes on as at the ends.
    """
    if is_parametrized(layer) or any(True for _ in layer.parameters()):
        return None
    alone = copy.copy(layer)  # without anybody's hooks, and on the CPU
    alone._buffers = {name: None if b is None else b.detach().cpu().clone() for name, b in layer._buffers.items()}
    alone._forward_hooks, alone._forward_pre_hooks = OrderedDict(), OrderedDict()
    alone._backward_hooks, alone._backward_pre_hooks = OrderedDict(), OrderedDict()
    if not is_elementwise(alone):
        return None
    # the middles of the cells, none of them at 0, where many functions have their kink
    width = 2 * _REACH / _POINTS
    x = ((torch.arange(_POINTS) + 0.5) * width - _REACH).requires_grad_()
    with torch.enable_grad():
        y = alone(x * 1)
        slope = torch.autograd.grad(y.sum(), x)[0].abs()
    flat = ((slope < FLAT_SLOPE * slope.max()) & (y != 0)).int()
    edges = x.detach()[1:][flat.diff() != 0] - width / 2
    return torch.cat([torch.full((1,), -math.inf), edges]) if flat[0] else edges


def running_shift(entered: Tensor, running_mean: Tensor, running_var: Tensor, eps: float) -> Tensor:
    """How far a batch normalization's running mean is from that of the batch that enters it, in spreads."""
    mean = entered.float().mean([i for i in range(entered.ndim) if i != 1])
    return ((mean - running_mean).square() / (running_var + eps)).mean().sqrt()


def rank_of(rows: Tensor) -> Tensor:
    """tr(C)^2 / tr(C^2) of rows (..., rows, columns), which are written over.

    From the examples' inner products, which have the covariance's eigenvalues.
    """
    rows -= rows.mean(-2, keepdim=True)
    products = rows @ rows.mT
    largest = products.amax((-2, -1), keepdim=True)
    products /= largest.clamp_min(torch.finfo(rows.dtype).tiny)  # its square may not underflow
    return products.diagonal(dim1=-2, dim2=-1).sum(-1).square() / products.square().sum((-2, -1))
