"""inspect: how signal and gradient pass through every layer of any module."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.findings import Finding, findings
from trainsmith.inspection.layers import LayerStatistics, measure
from trainsmith.inspection.record import Loss, record


@dataclass(frozen=True)
class Inspection:
    """Every layer's statistics in the order of the data's way, the loss, and what is wrong."""

    layers: tuple[LayerStatistics, ...]
    findings: tuple[Finding, ...]
    loss: float
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows; numbers that are not finite become None."""
        return _plain(dataclasses.asdict(self))


def inspect(module: nn.Module, batch: Tensor | tuple[Any, ...], loss: Loss | None = None) -> Inspection:
    """Pass `batch` forward and backward through `module` in training mode, and measure every layer.

    batch: inputs (n, ...), or (inputs, targets). loss: loss(outputs, targets) -> scalar; by default
    cross-entropy for class indices, squared error for numbers, and half the sum of squares without targets.
    The module stays exactly as it was: weights, gradients, running statistics, flags, random state.

    Raises InvalidInput for an empty batch, one the module cannot take, or a module that returns no tensor.
    """
    x, y = (batch[0], batch[1] if len(batch) > 1 else None) if isinstance(batch, (tuple, list)) else (batch, None)
    if not isinstance(x, Tensor):
        raise InvalidInput(f"the batch must be a tensor, or a pair of inputs and targets; got {type(x).__name__}.")
    if x.numel() == 0:
        raise InvalidInput(f"the batch is empty (inputs {tuple(x.shape)}); give at least one example.")
    seen = record(module, x, y, loss)
    if not seen.calls:
        raise InvalidInput("the network has no layers that can be watched: it holds no submodules that return tensors.")
    layers = measure(seen)
    found = findings(layers, len(x))
    short: dict[str, list[str]] = {}
    for finding in found:
        short.setdefault(finding.layer, []).append(finding.short)
    judged = [dataclasses.replace(m, verdict=", ".join(short.get(m.name, ["healthy"]))) for m in layers]
    return Inspection(tuple(judged), found, seen.loss, len(x))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
