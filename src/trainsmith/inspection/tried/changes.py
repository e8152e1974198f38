"""Changes to a network that are no technique of the catalogue: what is against faults of its set-up."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.faults.setup import frozen_behind
from trainsmith.inspection.passes.by_number import ByNumber, numbers_of
from trainsmith.inspection.passes.record import Call, Loss, Pass, first_tensor, record, untouched
from trainsmith.inspection.statistics.layers import same_numbers
from trainsmith.inspection.tried.cures import replaced
from trainsmith.network.functional import call_modules
from trainsmith.network.rewriting import is_activation

Changed = tuple[nn.Module, str]
"""The changed network, and what the change is called in a table."""
NORMALIZED = 1e-3
"""Outputs whose sums are within this of 1, and none of them below 0, are probabilities."""


def _thawed(network: nn.Module, module: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> Changed:
    """Layers that are frozen behind layers that train are trained too."""
    with untouched(module):
        names = frozen_behind(module, record(module, x, y, loss).calls)
    named = dict(network.named_parameters())
    for name in names:
        named[name].requires_grad_(True)
    return network, "all layers trained"


def _trained(network: nn.Module, *_: Any) -> Changed:
    """Every layer is in training mode."""
    return network.train(), "in training mode"


def _without_end(network: nn.Module, module: nn.Module, x: Any, y: Tensor | None, loss: Loss | None) -> Changed:
    """The function that bounds the outputs is taken away.

    Probabilities that no layer of its own makes have their logarithm taken: cross-entropy of these is that of what the
    probabilities were made of. Raises InvalidInput for a network whose outputs nothing bounds.
    """
    call_modules(ByNumber(network, x), numbers_of(x))
    with untouched(network):
        seen = record(network, x, y, loss)
    output = first_tensor(seen.output)
    end = _end(seen, output, list(network.modules()))
    if end is not None:
        return replaced(network, {end: lambda: [nn.Identity()]}), f"without {type(end).__name__} at the end"
    if isinstance(seen.output, Tensor) and _probabilities(seen.output):
        return _Logarithm(network), "without softmax at the end"
    raise InvalidInput("nothing bounds the network's outputs that could be taken away")


def _end(seen: Pass, output: Tensor | None, layers: Sequence[nn.Module]) -> nn.Module | None:
    """The layer without weights that gives the outputs, if it is called nowhere else."""
    last: Call = seen.calls[-1]
    bounds = isinstance(last.layer, (nn.Softmax, nn.LogSoftmax, nn.Softmin)) or is_activation(last.layer)
    alone = sum(c.layer is last.layer for c in seen.calls) == 1 and any(m is last.layer for m in layers)
    found = bounds and alone and output is not None and same_numbers(last.left, output.detach())
    return last.layer if found else None


def _probabilities(output: Tensor) -> bool:
    if output.ndim < 2 or output.shape[-1] < 2 or not bool((output >= 0).all()):
        return False
    return bool(((output.sum(-1) - 1).abs() < NORMALIZED).all())


class _Logarithm(nn.Module):
    """The logarithm of what a network gives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any, **named: Any) -> Any:
        output = self.network(*inputs, **named)
        return output.clamp_min(torch.finfo(output.dtype).tiny).log()


CHANGES: dict[str, Callable[..., Changed]] = {"thaw": _thawed, "train": _trained, "no-end": _without_end}
"""By its name what each change makes of a copy of a network, given the network, its inputs, targets and loss."""
