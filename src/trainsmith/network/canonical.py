"""A hashable stand-in for any Python value, equal only for values that act alike."""

import enum
import functools
import hashlib
import random
import sys
import types
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

BUILTIN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
BY_REPR = (float, complex, slice, range, np.generic, np.dtype, torch.layout, torch.memory_format)
"""Values whose repr tells all there is; a float's repr also tells -0.0 from 0.0 and lets nan equal nan."""
BY_EQUALITY = (bool, int, str, bytes, type, torch.dtype, torch.device, types.NoneType, types.EllipsisType)
Opaque = Callable[[object], Hashable]
LOCAL = "<locals>"
"""In the name of what a function made."""


class Canonical:
    """Stand-ins for values found in one module. An object whose inside cannot be seen equals only itself.

    registered: names of the module's own submodules, parameters and buffers, by id: they are stacked, and
    stand for their place. Tensors and modules that are not registered count with their numbers. opaque: what stands
    for an object whose inside cannot be seen, by default its id, which says nothing to another process.
    """

    def __init__(self, registered: Mapping[int, str] | None = None, opaque: Opaque = id) -> None:
        self.registered, self.opaque = registered or {}, opaque
        self._open: list[int] = []
        self._done: dict[int, tuple[object, Hashable]] = {}

    def __call__(self, value: Any) -> Hashable:
        """The stand-in for `value`."""
        if isinstance(value, enum.Enum):
            return (self.kind(type(value)), value.name)
        if isinstance(value, type):
            return (type(value), self.kind(value))
        if type(value) in BY_EQUALITY:
            return (type(value), value)
        if isinstance(value, BY_REPR):
            return (type(value), repr(value))
        if id(value) in self.registered:
            return ("registered", self.registered[id(value)])
        return self._once(value, self._inside)

    def kind(self, of: type) -> Hashable:
        """The stand-in for a class: itself, or what it holds where a function makes it anew at each call."""
        if LOCAL not in of.__qualname__ or self.opaque is not id:
            return of
        return self._once(of, self._class)

    def _once(self, value: Any, look: Callable[[Any], Hashable]) -> Hashable:
        if id(value) in self._open:
            return ("cycle", self._open.index(id(value)))
        if id(value) not in self._done:
            self._open.append(id(value))
            found = look(value)
            self._open.pop()
            self._done[id(value)] = (value, found)  # the value is held, so that its id stays its own
        return self._done[id(value)][1]

    def _inside(self, value: Any) -> Hashable:
        kind = self.kind(type(value))
        for kinds, look in LOOKS:
            if isinstance(value, kinds):
                return (kind, look(self, value))
        if (attributes := self.attributes(value)) is not None:
            return (kind, attributes)
        return (kind, self.opaque(value))

    def _class(self, of: type) -> Hashable:
        held = {name: v for name, v in vars(of).items() if name not in ("__dict__", "__weakref__", "__doc__")}
        return (of.__module__, of.__qualname__, self.all(of.__bases__), self(held))

    def all(self, values: Iterable[Any]) -> Hashable:
        """The stand-ins for several values, in order."""
        return tuple(self(v) for v in values)

    def attributes(self, value: Any, besides: tuple[str, ...] = ()) -> Hashable:
        """The stand-ins for what an object holds in its __dict__ and __slots__; None if it holds more than these."""
        slots = [s for c in type(value).__mro__ for s in _slots(c) if s not in ("__dict__", "__weakref__")]
        pointers = len(slots) + 2  # and one each for the __dict__ and weak references
        if type(value).__basicsize__ > object.__basicsize__ + pointers * tuple.__itemsize__:
            return None  # a type written in C, or above one: its state cannot be seen
        if not hasattr(value, "__dict__") and not slots:
            return None
        held = {**{s: getattr(value, s) for s in slots if hasattr(value, s)}, **getattr(value, "__dict__", {})}
        return tuple((name, self(v)) for name, v in held.items() if name not in besides)

    def module(self, module: nn.Module) -> Hashable:
        """A module that is not registered: nobody stacks or trains its tensors, so they count by their numbers."""
        return tuple(
            (path, self.kind(type(m)), self.attributes(m, ("_modules",))) for path, m in module.named_modules()
        )


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _tensor(canonical: Canonical, t: Tensor) -> Hashable:
    if t.layout is not torch.strided or t.device.type == "meta":
        return canonical.opaque(t)
    numbers = t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return (tuple(t.shape), t.dtype, t.requires_grad, hashlib.blake2b(numbers.tobytes()).digest())


def _array(canonical: Canonical, a: np.ndarray) -> Hashable:
    return (a.shape, str(a.dtype), canonical.all(a.ravel()) if a.dtype == object else a.tobytes())


def _mapping(canonical: Canonical, d: dict[Any, Any]) -> Hashable:
    own = canonical.all(getattr(d, "__dict__", {}).items())
    return (tuple((canonical(k), canonical(v)) for k, v in d.items()), own)


def _sequence(canonical: Canonical, values: Iterable[Any]) -> Hashable:
    return (canonical.all(values), canonical.all(getattr(values, "__dict__", {}).items()))


def _code(canonical: Canonical, code: types.CodeType) -> Hashable:
    return (code.co_code, code.co_names, canonical.all(code.co_consts))


def _function(canonical: Canonical, f: types.FunctionType) -> Hashable:
    if getattr(sys.modules.get(f.__module__), f.__qualname__, None) is f:
        return (f.__module__, f.__qualname__)
    cells = [_cell(c) for c in f.__closure__ or ()]
    used = {name: f.__globals__[name] for name in f.__code__.co_names if name in f.__globals__}
    return canonical.all((f.__code__, f.__defaults__, f.__kwdefaults__, cells, used, vars(f)))


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


Look = Callable[[Canonical, Any], Hashable]
LOOKS: tuple[tuple[Any, Look], ...] = (
    (Tensor, _tensor),
    (np.ndarray, _array),
    (nn.Module, Canonical.module),
    (dict, _mapping),
    ((list, tuple), _sequence),
    ((set, frozenset), lambda c, v: frozenset(c(x) for x in v)),
    (types.FunctionType, _function),
    ((staticmethod, classmethod), lambda c, v: c(v.__func__)),
    (property, lambda c, v: c.all((v.fget, v.fset, v.fdel))),
    (types.MethodType, lambda c, v: c.all((v.__func__, v.__self__))),
    (types.CodeType, _code),
    (functools.partial, lambda c, v: c.all((v.func, v.args, v.keywords))),
    (weakref.ReferenceType, lambda c, v: c(v())),
    (types.ModuleType, lambda c, v: v.__name__),
    (BUILTIN, lambda c, v: (v.__qualname__, c(getattr(v, "__self__", None)), c(getattr(v, "__objclass__", None)))),
    (np.random.Generator, lambda c, v: c(v.bit_generator.state)),
    (np.random.RandomState, lambda c, v: c(v.get_state())),
    (random.Random, lambda c, v: c(v.getstate())),
    (torch.Generator, lambda c, v: c(v.get_state())),
)
"""How to see into a value, by its kind; the first that fits."""
