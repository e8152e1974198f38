"""What a network is inspected on: one input, several, or arguments by name, and the targets."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.rows import Rows


def read(batch: Any) -> tuple[Any, Tensor | None]:
    """Inputs and targets of a batch: inputs alone, or a pair of inputs and targets.

    Inputs are a tensor, rows of one that are read as they are asked for, several in a tuple or list inside the pair, or
    a mapping of arguments by name, whose "labels" are also the targets. Arrays become tensors. Raises InvalidInput for
    anything else, and for a batch of nothing.
    """
    given = batch if isinstance(batch, (tuple, list)) else (batch,)
    known = (Tensor, Rows, np.ndarray, Mapping, tuple, list)
    if len(given) not in (1, 2) or not all(isinstance(v, known) for v in given):
        kinds = ", ".join(type(v).__name__ for v in given) or "nothing"
        raise InvalidInput(f"the batch must be a tensor, or a pair of inputs and targets; got {kinds}.")
    x, y = _tensors(given[0]), _tensors(given[1]) if len(given) == 2 else None
    if y is None and isinstance(x, Mapping) and isinstance(x.get("labels"), Tensor):
        y = x["labels"]
    inside = tensors(x)
    if not inside or (y is not None and not isinstance(y, Tensor)):
        kinds = ", ".join(type(v).__name__ for v in given)
        raise InvalidInput(f"inputs must hold tensors and targets be one tensor; got {kinds}.")
    if any(t.ndim == 0 or t.shape.numel() == 0 for t in inside):
        shapes = ", ".join(str(tuple(t.shape)) for t in inside)
        raise InvalidInput(f"the batch is empty (inputs {shapes}); give at least one example.")
    return x, y


def _tensors(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _tensors(v) for name, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_tensors(v) for v in value)
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def over(inputs: Any, change: Callable[[Any], Tensor]) -> Any:
    """`change` done to each tensor of inputs: one, or rows of one, several in a tuple, or a mapping of them by name."""
    if isinstance(inputs, Mapping):
        return {name: over(value, change) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(over(value, change) for value in inputs)
    return change(inputs) if isinstance(inputs, (Tensor, Rows)) else inputs


def called(module: nn.Module, inputs: Any) -> Any:
    """The module's output for one input, several in a tuple, or a mapping of arguments by name."""
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, tuple) else module(inputs)


def tensors(inputs: Any) -> list[Any]:
    """Every tensor of inputs, or rows of one, in order."""
    if isinstance(inputs, Mapping):
        return [t for value in inputs.values() for t in tensors(value)]
    if isinstance(inputs, tuple):
        return [t for value in inputs for t in tensors(value)]
    return [inputs] if isinstance(inputs, (Tensor, Rows)) else []


def count(inputs: Any) -> int:
    """How many examples they are."""
    return len(tensors(inputs)[0])
