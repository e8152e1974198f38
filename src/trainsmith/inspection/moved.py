"""What one optimizer step did to each parameter: norms, gradients, updates, the optimizer's own state."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from trainsmith.inspection.layers import MOST_UNITS
from trainsmith.inspection.likeness import of_units
from trainsmith.inspection.sampling import coprime, in_single_precision
from trainsmith.population.layout import in_order

SAMPLED, REMEMBERED = 4096, 256
"""A step that is not looked at closely looks at so many evenly spaced values of a larger parameter, and of each larger
tensor that the optimizer remembers of it."""


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


class Moved:
    """The parameters that an optimizer moves: `before` a step, `after` it, and `read` on the host."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self.named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and id(p) in held]
        self._spaced, self._spaced_states = Spaced(SAMPLED), Spaced(REMEMBERED)
        self._copies: list[Tensor] = []
        self._closely = True
        self._stuck: list[bool] = []
        self._remembered: list[int] = []  # how many tensors of each parameter

    @torch.no_grad()
    def before(self, closely: bool) -> None:
        """Keep the parameters, or a sample of them, as they are."""
        self._closely = closely
        self._copies = [p.detach().clone() for _, p in self.named] if closely else [self._sampled()]

    def _sampled(self) -> Tensor:
        """A copy of a sample of all parameters, one after the other, in single precision or better."""
        values = self._spaced.of([p for _, p in self.named])
        first = values[0].device
        copy = torch.cat([v if v.device == first else v.to(first) for v in values])
        return copy.to(torch.promote_types(copy.dtype, torch.float32))

    @torch.no_grad()
    def after(self, closely: bool) -> Tensor:
        """The numbers of all parameters on the device: norms before, of updates, of gradients, and of each tensor that
        the optimizer remembers."""
        if not self._copies:  # the watch began inside this step
            self.before(closely)
        norms = [*torch._foreach_norm(self._each(self._copies))]
        torch._foreach_sub_(self._copies, [p.detach() for _, p in self.named] if closely else [self._sampled()])
        norms += torch._foreach_norm(self._each(self._copies))
        self._copies = []
        gradients = [p.grad for _, p in self.named]
        each = _norms([_dense(g) for g in gradients if g is not None])
        norms += [norms[0].new_full((), math.nan) if g is None else next(each) for g in gradients]
        states = [_state(self.optimizer, p) for _, p in self.named]
        self._remembered = [len(held) for held in states]
        remembered = [t for held in states for t in held]
        norms += _norms(remembered if closely else self._spaced_states.of(remembered))
        return torch.stack(in_single_precision(norms, norms[0].device))

    def _each(self, copies: list[Tensor]) -> list[Tensor]:
        return copies if self._closely else [*copies[0].split(self._spaced.sizes)]

    def read(self, numbers: list[float]) -> tuple[WatchedParameter, ...]:
        """From `after`'s numbers, moved to the host."""
        n = len(self.named)
        norms, updates, gradients = (numbers[k * n : (k + 1) * n] for k in range(3))
        states = iter(numbers[3 * n :])
        if self._closely:
            self._stuck = [update == 0 for update in updates]
        out = []
        rows = zip(self.named, norms, updates, gradients, strict=True)
        for i, ((name, p), before, update, gradient) in enumerate(rows):
            ratio, finite = update / before if before > 0 else math.nan, math.isfinite(before + update)
            times = 1 if self._closely else self._spaced.times[i]
            state_finite = math.isfinite(sum(next(states) for _ in range(self._remembered[i])))
            out.append(WatchedParameter(
                name, p.shape, before * times, gradient, update * times, ratio, finite,
                p.grad is None or math.isfinite(gradient), state_finite, self._stuck[i] and update == 0,
            ))  # fmt: skip
        return tuple(out)


class Spaced:
    """Evenly spaced values of tensors, looked up only where one no longer lies where it lay in memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[tuple[int, tuple[int, ...]]] = []
        self._values: list[Tensor] = []
        self.sizes: list[int] = []
        self.times: list[float] = []

    def of(self, tensors: list[Tensor]) -> list[Tensor]:
        """At most so many values of each, to be read only; `times` makes a norm of them one of all values."""
        places = [(t.data_ptr(), t.stride()) for t in tensors]
        if places != self._places:
            self._values = [_spaced(t.detach(), self._most).reshape(-1) for t in tensors]
            pairs = [*zip(self._values, tensors, strict=True)]
            shared = all(v.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for v, t in pairs)
            self._places = places if shared else []  # a copy is of this moment only
            self.sizes = [len(v) for v in self._values]
            self.times = [math.sqrt(t.numel() / max(1, len(v))) for v, t in pairs]
        return self._values


def _spaced(t: Tensor, most: int) -> Tensor:
    """At most `most` evenly spaced values of a tensor; the stride shares no factor with its last axis."""
    if t.numel() <= most:
        return t
    flat = in_order(t).reshape(-1)
    return flat[:: coprime(math.ceil(t.numel() / most), t.shape[-1])]


def _state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> list[Tensor]:
    """The numbers that the optimizer remembers of a parameter."""
    remembered = optimizer.state.get(parameter, {}).values()
    return [t for t in remembered if isinstance(t, Tensor) and t.is_floating_point()]


def _norms(tensors: list[Tensor]) -> Iterator[Tensor]:
    return iter(torch._foreach_norm(tensors) if tensors else [])


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
