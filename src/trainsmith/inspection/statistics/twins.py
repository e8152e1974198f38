"""Units of a weight layer that are equal: found by two projections of each, in place of a look at every pair."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from trainsmith.inspection.statistics.layers import MOST_UNITS
from trainsmith.inspection.statistics.likeness import of_units


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
