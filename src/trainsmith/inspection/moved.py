"""What one optimizer step did to each parameter: norms, gradients, updates, the optimizer's own state."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from trainsmith.inspection.layers import MOST_UNITS


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
        self._before: list[Tensor] = []

    @torch.no_grad()
    def before(self) -> None:
        """Keep the parameters as they are."""
        self._before = [p.detach().clone() for _, p in self.named]

    @torch.no_grad()
    def after(self) -> Tensor:
        """Five numbers a parameter, on the device: norm, update, norm after it, gradient, the state's norm."""
        parameters = [p.detach() for _, p in self.named]
        if len(self._before) != len(parameters):  # the watch began inside this step
            self._before = [p.clone() for p in parameters]
        norms = [_norms(self._before), _norms(list(torch._foreach_sub(parameters, self._before))), _norms(parameters)]
        self._before = []
        nothing = torch.full((), math.nan)
        gradients = [p.grad for _, p in self.named]
        there = iter(_norms([_dense(g) for g in gradients if g is not None]))
        norms.append([next(there) if g is not None else nothing for g in gradients])
        states = [_state(self.optimizer, p) for _, p in self.named]
        each = iter(_norms([t.detach() for held in states for t in held]))
        norms.append([sum((next(each).float() for _ in held), torch.zeros(())) if held else nothing for held in states])
        device = parameters[0].device
        return torch.stack([torch.stack([n.to(device, torch.float32) for n in row]) for row in norms]).flatten()

    def read(self, numbers: list[float]) -> tuple[WatchedParameter, ...]:
        """From `after`'s numbers, moved to the host."""
        count = len(self.named)
        rows = [numbers[i * count : (i + 1) * count] for i in range(5)]
        out = []
        for (name, p), before, update, after, gradient, state in zip(self.named, *rows, strict=True):
            without, remembered = p.grad is None, any(True for _ in _state(self.optimizer, p))
            ratio = update / before if before > 0 else math.nan
            out.append(WatchedParameter(
                name, tuple(p.shape), before, gradient, update, ratio, math.isfinite(after),
                without or math.isfinite(gradient), not remembered or math.isfinite(state), update == 0,
            ))  # fmt: skip
        return tuple(out)


def _state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> list[Tensor]:
    """The numbers that the optimizer remembers of a parameter."""
    remembered = optimizer.state.get(parameter, {}).values()
    return [t for t in remembered if isinstance(t, Tensor) and t.is_floating_point()]


def _norms(tensors: list[Tensor]) -> list[Tensor]:
    return list(torch._foreach_norm(tensors)) if tensors else []


def _dense(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


@torch.no_grad()
def twin_share(layer: nn.Module) -> Tensor | None:
    """Share of a weight layer's units equal to another in incoming weights and gradient; None for other layers.

    Two fixed projections of the units are compared instead of every pair: equal units have equal ones.
    """
    weight = layer._parameters.get("weight")
    if (
        not isinstance(layer, (nn.Linear, _ConvNd))
        or weight is None
        or weight.grad is None
        or not 2 <= len(weight) <= MOST_UNITS
    ):
        return None
    rows = [t.detach().flatten(1).float() for t in (weight, weight.grad)]
    angle = torch.arange(1, rows[0].shape[1] + 1, device=weight.device, dtype=torch.float32)
    onto = torch.stack([torch.cos(angle * 1.7), torch.sin(angle.square() * 0.61)], 1)
    found = [r @ onto for r in rows]
    order = found[0][:, 0].argsort()
    same = torch.ones(len(weight) - 1, dtype=torch.bool, device=weight.device)
    for projected, whole, tolerance in zip(found, rows, (1e-6, 1e-3), strict=True):
        near = projected[order].diff(dim=0).abs().amax(1)
        same &= near <= tolerance * whole.norm(dim=1).max()
    end = same.new_zeros(1)
    return (torch.cat([same, end]) | torch.cat([end, same])).float().mean()
