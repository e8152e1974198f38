"""What one optimizer step did to each parameter: norms, gradients, updates, the optimizer's own state."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.inspection.layers import MOST_UNITS
from trainsmith.inspection.likeness import of_units
from trainsmith.inspection.sampling import coprime, in_single_precision
from trainsmith.population.layout import in_order

SAMPLED, REMEMBERED, RUN = 4096, 256, 8
"""A step that is not looked at closely looks at so many values of a larger parameter, and of each larger tensor that
the optimizer remembers of it, in evenly spaced runs of 8."""


@dataclass(frozen=True)
class WatchedParameter:
    """One parameter at one measured step.

    norm: its Euclidean norm before the step. gradient: that of the gradient that the step used, NaN where there was
    none. update: that of its change. update_ratio: update / norm, NaN for a parameter of zeros. finite,
    gradient_finite, state_finite: whether its numbers after the step, its gradient's, and those that the optimizer
    remembers of it hold neither NaN nor infinity. stuck: it is the optimizer's to move and did not move at all.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    gradient: float
    update: float
    update_ratio: float
    finite: bool
    gradient_finite: bool
    state_finite: bool
    stuck: bool


class Trained:
    """Parameters by name and shape, and which of them are matrices."""

    def __init__(self, named: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        self.named = named
        self.matrices = np.array([[1.0 if len(shape) > 1 else math.inf] for _, shape in named]).reshape(-1, 1)


@dataclass(frozen=True)
class Norms:
    """What a step did to the parameters of some members.

    numbers: norms before the step, of changes, of gradients (0 where there was none), and of what the optimizer
    remembers, 0 where all of it is finite and no more was asked (4, parameters, members). without: the parameters that
    had no gradient, by place. stuck: which did not move at all (parameters, members), None where all did.
    """

    trained: Trained
    numbers: np.ndarray
    without: frozenset[int]
    stuck: np.ndarray | None

    def calm(self, fast: float) -> np.ndarray:
        """Of which members all numbers are finite, and no matrix moved by more than the share `fast` (members,)."""
        before, updates = self.numbers[:2]
        calm: np.ndarray = np.isfinite(self.numbers.sum((0, 1)))
        return calm & ~(updates > fast * self.trained.matrices * before).any(0)

    def parameters(self, row: int) -> tuple[WatchedParameter, ...]:
        """Those of the member that stands there."""
        stuck = [False] * len(self.trained.named) if self.stuck is None else self.stuck[:, row].tolist()
        out = []
        rows = zip(self.trained.named, *self.numbers[:, :, row].tolist(), stuck, strict=True)
        for i, ((name, shape), before, update, gradient, kept, still) in enumerate(rows):
            ratio = update / before if before > 0 else math.nan
            out.append(WatchedParameter(
                name, shape, before, math.nan if i in self.without else gradient, update, ratio,
                math.isfinite(before + update), math.isfinite(gradient), math.isfinite(kept), still,
            ))  # fmt: skip
        return tuple(out)


class Moved:
    """The parameters that an optimizer moves: `before` a step, `after` it, and `read` on the host."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and id(p) in held]
        self._parameters: list[Tensor] = [p for _, p in named]
        self.trained = Trained([(name, tuple(p.shape)) for name, p in named])
        self._spaced, self._spaced_states = Spaced(SAMPLED), Spaced(REMEMBERED)
        self._copies: list[Tensor] = []
        self._closely = True
        self._without: frozenset[int] = frozenset()
        self._stuck: np.ndarray | None = None
        self._states: list[list[Tensor]] = []

    @torch.no_grad()
    def before(self, closely: bool) -> None:
        """Keep the parameters, or a sample of them, as they are."""
        self._closely = closely
        self._copies = [p.detach().clone() for p in self._parameters] if closely else self._spaced.of(self._parameters)

    @torch.no_grad()
    def after(self, closely: bool) -> Tensor:
        """The numbers of all parameters on the device: norms before, of updates, of gradients; and of each tensor that
        the optimizer remembers, or one number that is not finite where one of a sample of all of them is not."""
        if not self._copies:  # the watch began inside this step
            self.before(closely)
        norms = [*torch._foreach_norm(self._copies)]
        now = [p.detach() for p in self._parameters] if closely else self._spaced.of(self._parameters)
        torch._foreach_sub_(self._copies, now)
        gradients = [p.grad for p in self._parameters]
        norms += torch._foreach_norm([*self._copies, *(_dense(g) for g in gradients if g is not None)])
        self._copies = []
        self._without = frozenset(i for i, g in enumerate(gradients) if g is None)
        self._states = [_state(self.optimizer, p) for p in self._parameters]
        remembered = [t for held in self._states for t in held]
        if remembered and closely:
            norms += torch._foreach_norm(remembered)
        elif remembered:
            self._spaced_states.of(remembered)
            norms.append(self._spaced_states.total())
        return torch.stack(in_single_precision(norms, norms[0].device))

    def read(self, numbers: np.ndarray) -> Norms:
        """From `after`'s numbers, moved to the host."""
        n, at = len(self._parameters), 3 * len(self._parameters) - len(self._without)
        found = np.zeros((4, n, 1))
        found[:2, :, 0] = numbers[: 2 * n].reshape(2, n)
        with_gradient = [i for i in range(n) if i not in self._without] if self._without else slice(None)
        found[2, with_gradient, 0] = numbers[2 * n : at]
        states = numbers[at:]
        if not self._closely:
            found[:2] *= self._spaced.times
            if len(states) and not math.isfinite(states[0]):  # seldom: then it is worth another transfer
                each = torch._foreach_norm([t for held in self._states for t in held])
                states = torch.stack(in_single_precision(each, each[0].device)).cpu().numpy()
            else:
                states = states[:0]
        if len(states):
            owners = np.repeat(np.arange(n), [len(held) for held in self._states])
            found[3, :, 0] = np.bincount(owners, states, n)
        self._states = []
        if self._closely:
            still = found[1] == 0
            self._stuck = still if still.any() else None
        stuck = None if self._stuck is None else self._stuck & (found[1] == 0)
        return Norms(self.trained, found, self._without, stuck)


class Spaced:
    """Samples of tensors, one after the other; how they are taken is looked up only where one no longer lies where it
    lay in memory. The last two samples are kept.

    times: makes norms of samples those of all values (tensors, 1).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[tuple[int, tuple[int, ...]]] = []
        self._views: list[Tensor] = []
        self._last = self._next = _Room([], [])
        self.times = np.ones((0, 1))

    def of(self, tensors: list[Tensor]) -> list[Tensor]:
        """At most so many values of each, in single precision or better, until the next but one is taken."""
        places = [(t.data_ptr(), t.stride()) for t in tensors]
        if places != self._places:
            self._views = [_spaced(t.detach(), self._most) for t in tensors]
            pairs = [*zip(self._views, tensors, strict=True)]
            shared = all(v.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for v, t in pairs)
            self._places = places if shared else []  # a copy is of this moment only
            self.times = np.array([[math.sqrt(t.numel() / max(1, v.numel()))] for v, t in pairs])
        if self._next.views is not self._views:
            self._next = _Room(self._views, tensors)
        self._last, self._next = self._next, self._last
        torch._foreach_copy_(self._last.shaped, self._views)
        return self._last.parts

    def total(self) -> Tensor:
        """The sum of the last sample."""
        return self._last.whole.sum()


class _Room:
    """Room for a sample of tensors by these views of them: as a whole, its parts, and those in the views' shapes."""

    def __init__(self, views: list[Tensor], tensors: list[Tensor]) -> None:
        self.views = views
        kind = functools.reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)
        sizes = [v.numel() for v in views]
        self.whole = torch.empty(sum(sizes), dtype=kind, device=tensors[0].device if tensors else None)
        self.parts = [*self.whole.split(sizes)] if sizes else []
        self.shaped = [p.view(v.shape) for p, v in zip(self.parts, views, strict=True)]


def _spaced(t: Tensor, most: int) -> Tensor:
    """At most `most` values of a tensor, in evenly spaced runs; their stride shares no factor with its last axis.

    A run is read from memory in one go, and says almost as much as values that lie apart.
    """
    flat = in_order(t).reshape(-1)
    if t.numel() <= most:
        return flat
    step = coprime(math.ceil(t.numel() * RUN / most), t.shape[-1])
    return flat.unfold(0, RUN, step)


def _state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> list[Tensor]:
    """The numbers that the optimizer remembers of a parameter, where the parameter is."""
    remembered = optimizer.state.get(parameter, {}).values()
    return [t for t in remembered if isinstance(t, Tensor) and t.is_floating_point() and t.device == parameter.device]


def _dense(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def alike(layer: nn.Module) -> Tensor | None:
    """How many pairs of a weight layer's units agree in 64 of their incoming weights; None for other layers.

    Where there is none, no units are equal, and `twin_share` need not look at all of their weights.
    """
    weight = of_units(layer, layer._parameters.get("weight"), MOST_UNITS)
    return None if weight is None else alike_rows(weight.detach())


def alike_rows(weight: Tensor) -> Tensor:
    """`alike` of a weight (units, ...)."""
    rows = weight.flatten(1)
    rows = rows[:, :: -(-rows.shape[1] // 64)].float()
    return _near(rows, 1e-6, _projection(rows.shape[1], rows.device))[1].sum()


@torch.no_grad()
def twin_share(layer: nn.Module) -> float:
    """Share of a weight layer's units equal to another in incoming weights and gradient.

    Two fixed projections of the units are compared instead of every pair: equal units have equal ones.
    """
    weight = layer._parameters["weight"]
    return 0.0 if weight is None or weight.grad is None else twin_rows(weight.detach(), weight.grad)


def twin_rows(weight: Tensor, gradient: Tensor) -> float:
    """`twin_share` of a weight and its gradient (units, ...)."""
    rows, gradients = (t.flatten(1).float() for t in (weight, gradient))
    onto = _projection(rows.shape[1], rows.device)
    order, same = _near(rows, 1e-6, onto)
    same &= _near(gradients, 1e-3, onto, order)[1]
    end = same.new_zeros(1)
    return float((torch.cat([same, end]) | torch.cat([end, same])).float().mean())


def _near(rows: Tensor, tolerance: float, onto: Tensor, order: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """An order of the rows, by their first projection unless it is given, and which rows equal the next in it."""
    projected = rows @ onto
    order = projected[:, 0].argsort() if order is None else order
    largest = rows.square().sum(1).amax().sqrt()
    return order, projected[order].diff(dim=0).abs().amax(1) <= tolerance * largest


@lru_cache(maxsize=256)
def _projection(columns: int, device: torch.device) -> Tensor:
    """Two fixed directions (columns, 2)."""
    angle = torch.arange(1, columns + 1, device=device, dtype=torch.float32)
    return torch.stack([torch.cos(angle * 1.7), torch.sin(angle.square() * 0.61)], 1)
