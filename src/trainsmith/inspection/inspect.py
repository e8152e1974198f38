"""inspect: how signal and gradient pass through every layer of any module."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.findings import Finding, findings
from trainsmith.inspection.layers import LayerStatistics, measure
from trainsmith.inspection.plain import plain
from trainsmith.inspection.record import Loss, record, untouched


@dataclass(frozen=True)
class Inspection:
    """Every layer's statistics in the order of the data's way, the loss, and what is wrong."""

    layers: tuple[LayerStatistics, ...]
    findings: tuple[Finding, ...]
    loss: float
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows; numbers that are not finite become None."""
        return plain(self)


def inspect(module: nn.Module, batch: Tensor | tuple[Any, ...], loss: Loss | None = None) -> Inspection:
    """Pass `batch` forward and backward through `module` in training mode, and measure every layer.

    batch: inputs (n, ...), or (inputs, targets). loss: loss(outputs, targets) -> scalar; by default
    cross-entropy for class indices, squared error for numbers, and half the sum of squares without targets.
    The module stays exactly as it was: weights, gradients, running statistics, flags, random state.

    Raises InvalidInput for an empty batch, one the module cannot take, or a module that returns no tensor.
    """
    x, y = _read(batch)
    with untouched(module):
        seen = record(module, x, y, loss)
        layers = measure(seen)  # calls layers on probes, which must leave no trace either
    if not seen.calls:
        raise InvalidInput("the network has no layers that can be watched: it holds no submodules that return tensors.")
    found = findings(layers, len(x))
    short: dict[str, list[str]] = {}
    for finding in found:
        short.setdefault(finding.layer, []).append(finding.short)
    judged = [dataclasses.replace(m, verdict=", ".join(short.get(m.name, ["healthy"]))) for m in layers]
    return Inspection(tuple(judged), found, seen.loss, len(x))


def _read(batch: Any) -> tuple[Tensor, Tensor | None]:
    given = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    given = tuple(torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in given)
    if len(given) not in (1, 2) or not all(isinstance(v, Tensor) for v in given):
        kinds = ", ".join(type(v).__name__ for v in given) or "nothing"
        raise InvalidInput(f"the batch must be a tensor, or a pair of inputs and targets; got {kinds}.")
    x, y = given[0], given[1] if len(given) == 2 else None
    if x.ndim == 0 or x.numel() == 0:
        raise InvalidInput(f"the batch is empty (inputs {tuple(x.shape)}); give at least one example.")
    return x, y
