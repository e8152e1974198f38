"""The full structural signature of a module: what must be equal for two members to share one program.

torch.func.stack_module_state stacks parameters and buffers and ignores every Python attribute, so that a
dropout rate or a LayerNorm's eps silently becomes the first member's. Two networks share a bucket only if
everything that is not a parameter or buffer is equal: classes, attributes, sharing, and the sequence of
operations one forward pass calls, with every number passed to them.
"""

import copy
import functools
import types
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

STACKED = ("_parameters", "_buffers", "_modules")


def signature(module: nn.Module, forward: Callable[[nn.Module], object]) -> Hashable:
    """A value that is equal for two modules only if they may run as one program with stacked parameters.

    forward: runs one forward pass of the module it is given, e.g. `lambda m: m(x)`. It runs on a copy, so
    that running statistics stay as they are, and with torch's random state put back afterwards.
    """
    return _structure(module), _calls(copy.deepcopy(module), forward)


def _structure(module: nn.Module) -> Hashable:
    owners: dict[int, str] = {}
    rows: list[Hashable] = []
    for path, m in module.named_modules(remove_duplicate=False):
        attributes = {k: v for k, v in vars(m).items() if k not in STACKED}
        first = owners.setdefault(id(m), path)
        rows.append((path, first, type(m), _canonical(attributes, (module,)), *_tensors(m, path, owners)))
    return tuple(rows)


def _tensors(module: nn.Module, path: str, owners: dict[int, str]) -> tuple[Hashable, ...]:
    """Shapes and types of the stacked tensors, and where the same tensor was seen before (tied weights)."""
    return tuple(
        (kind, name, None)
        if t is None
        else (
            kind,
            name,
            tuple(t.shape),
            t.dtype,
            t.requires_grad,
            owners.setdefault(id(t), f"{path}.{name}"),
        )
        for kind, tensors in (("parameter", module._parameters), ("buffer", module._buffers))
        for name, t in tensors.items()
    )


def _canonical(value: Any, seen: tuple[object, ...] = ()) -> Hashable:
    """A hashable stand-in that is equal only for values that act alike; an unknown object is only itself."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, type, torch.dtype, torch.device)):
        return (type(value), repr(value)) if isinstance(value, (float, complex)) else (type(value), value)
    if any(value is s for s in seen):
        return ("cycle",)
    inner = (*seen, value)
    if isinstance(value, Tensor):
        return (
            "tensor",
            tuple(value.shape),
            value.dtype,
            value.detach().cpu().contiguous().numpy().tobytes(),
        )
    if isinstance(value, np.ndarray):
        return ("array", value.shape, str(value.dtype), value.tobytes())
    if isinstance(value, dict):
        return (type(value), tuple((_canonical(k, inner), _canonical(v, inner)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value), tuple(_canonical(v, inner) for v in value))
    if isinstance(value, (set, frozenset)):
        return (type(value), frozenset(_canonical(v, inner) for v in value))
    if isinstance(value, types.FunctionType):
        cells = tuple(c.cell_contents for c in value.__closure__ or ())
        parts = (value.__code__.co_consts, value.__defaults__, value.__kwdefaults__, cells)
        return ("function", value.__code__.co_code, value.__code__.co_names, _canonical(parts, inner))
    if isinstance(value, types.MethodType):
        return ("method", _canonical(value.__func__, inner), _canonical(value.__self__, inner))
    if isinstance(value, types.CodeType):
        return ("code", value.co_code, value.co_names, _canonical(value.co_consts, inner))
    if isinstance(value, functools.partial):
        return ("partial", _canonical((value.func, value.args, value.keywords), inner))
    if isinstance(value, (types.BuiltinFunctionType, types.ModuleType)):
        return ("builtin", value.__name__)
    if isinstance(value, nn.Module):
        return ("module", _structure(value))
    if hasattr(value, "__dict__") and vars(value):
        return (type(value), _canonical(vars(value), inner))
    return (type(value), id(value))


def _calls(module: nn.Module, forward: Callable[[nn.Module], object]) -> Hashable:
    names = {id(t): name for name, t in (*module.named_parameters(), *module.named_buffers())}
    log = _Log(names)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), log:
        forward(module)
    return tuple(log.calls)


class _Log(TorchDispatchMode):
    """Notes every operation with its numbers; tensors by shape, and by name where they are the module's own."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names = names
        self.calls: list[Hashable] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        noted = torch.utils._pytree.tree_map(self._note, (args, kwargs))
        self.calls.append((str(func), _canonical(noted)))
        return func(*args, **kwargs)

    def _note(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return ("tensor", tuple(value.shape), value.dtype, self.names.get(id(value), ""))
