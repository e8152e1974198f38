"""What a network is inspected on: one input, several, or arguments by name, and the targets."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

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
    if inside[0].ndim == 0 or any(t.shape.numel() == 0 for t in inside):
        shapes = ", ".join(str(tuple(t.shape)) for t in inside)
        raise InvalidInput(f"the batch is empty (inputs {shapes}); give at least one example.")
    return x, y


def check_made(module: nn.Module) -> None:
    """Raises InvalidInput for layers that wait for a first example to be made, and for those that torch.jit hides."""
    for name, m in module.named_modules():
        if isinstance(m, torch.jit.ScriptModule):
            raise InvalidInput(f"{name or 'the network'} is scripted: give the nn.Module that it was made of.")
        if any(is_lazy(t) for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))):
            raise InvalidInput(
                f"{name or 'the network'} ({type(m).__name__}) is not made before it sees an example: call the network "
                "on one first."
            )


def _tensors(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _tensors(v) for name, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_tensors(v) for v in value)
    return _tensor(value) if isinstance(value, np.ndarray) else value


def _tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor, which is a copy where torch wants another one: of rows backwards, or not to be written."""
    try:
        return torch.from_numpy(array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy())
    except TypeError as error:
        raise InvalidInput(f"the batch must hold numbers; got an array of {array.dtype}.") from error


def over(inputs: Any, change: Callable[[Any], Tensor]) -> Any:
    """`change` done to each tensor of inputs: one, or rows of one, several in a tuple, or a mapping of them by name."""
    if isinstance(inputs, Mapping):
        return {name: over(value, change) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(over(value, change) for value in inputs)
    return change(inputs) if isinstance(inputs, (Tensor, Rows)) else inputs


def some(inputs: Any, which: Any) -> Any:
    """These examples. What has no row for each of them, such as one mask for all, stays as it is."""
    n = count(inputs)
    return over(inputs, lambda t: t[which] if has_rows(t, n) else t)


def labelled(x: Any, y: Tensor) -> tuple[Any, Tensor]:
    """The examples that have a class: of whole numbers those below 0, as ignore_index is, are none."""
    if y.is_floating_point() or y.ndim != 1 or bool((y >= 0).all()):
        return x, y
    rows = (y >= 0).nonzero().flatten()
    return some(x, rows), y[rows]


def has_rows(t: Any, n: int) -> bool:
    """Whether a tensor has a row for each of n examples."""
    return t.ndim > 0 and len(t) == n


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
