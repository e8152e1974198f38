"""Plain values that a user's loss and network read: a program is made once, and holds them as they were then."""

import contextlib
import inspect
import types
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from trainsmith.errors import InvalidInput, shown

PLAIN = (bool, int, float, complex, str, type(None))
MOST = 100
"""Things of a container, or numbers of a tensor, that are looked at."""
LIBRARIES = ("site-packages", "dist-packages", "trainsmith")
"""Parts of the names of files whose functions read nothing of the user's."""
Values = dict[str, str]


class HeldValues:
    """What the losses and the networks of a population read beside tensors, compared from call to call.

    Between two calls a user may change it, and programs would go on with what they hold: that is refused. What changes
    within a call is the network's own doing, which is looked for elsewhere.
    """

    def __init__(self, networks: Sequence[nn.Module], losses: Sequence[Any]) -> None:
        self._modules = [*{id(loss): loss for loss in losses if isinstance(loss, nn.Module)}.values()]
        kinds = {type(m): m for network in (*networks[:1], *self._modules) for m in network.modules()}
        forwards = [kind.forward for kind in kinds]
        self._functions = [*{id(f): f for f in losses if callable(f) and not isinstance(f, nn.Module)}.values()]
        self._functions += forwards
        self._noted: tuple[Values, Values] | None = None

    def note(self) -> None:
        """Remember what there is to read now."""
        self._noted = self._now()

    def check(self, live: bool) -> None:
        """Raises InvalidInput where something is not what was noted.

        live: whether functions read it anew at each step, as in a loop; modules were copied all the same.
        """
        if self._noted is None:
            return
        (copied, read), (copied_then, read_then) = self._now(), self._noted
        pairs = [(copied, copied_then)] if live else [(copied, copied_then), (read, read_then)]
        for now, then in pairs:
            for name in then:
                if name in now and now[name] != then[name]:
                    raise InvalidInput(
                        f"`{name}` was {shown(then[name])} when the members' step was made, and is {shown(now[name])} "
                        "now, which would not be noticed: let the loss or the network read a tensor of its closure "
                        "instead and change that in place, e.g. beta.fill_(0.1)."
                    )

    def _now(self) -> tuple[Values, Values]:
        copied, read = Values(), Values()
        for module in self._modules:
            for name, part in module.named_modules():
                prefix = ".".join(filter(None, (type(module).__name__, name)))
                copied |= {f"{prefix}.{n}": told for n, told in _plain_attributes(part) if n != "training"}
                tensors = [*part.named_buffers(recurse=False), *part.named_parameters(recurse=False)]
                copied |= {f"{prefix}.{n}": str(t.tolist()) for n, t in tensors if t.numel() <= MOST}
        seen: set[int] = set()
        for function in self._functions:
            read.update(_read(function, seen))
        return copied, read


def _read(function: Any, seen: set[int]) -> Iterator[tuple[str, str]]:
    """The plain values that a function finds by names, and those that functions find which it calls by name."""
    if isinstance(function, partial):
        yield from _told((f"argument {i}", v) for i, v in enumerate(function.args))
        yield from _told(function.keywords.items())
        function = function.func
    if isinstance(function, types.MethodType):
        yield from _told([(type(function.__self__).__name__, function.__self__)])
        function = function.__func__
    if not isinstance(function, types.FunctionType):
        function = vars(type(function)).get("__call__")
    if not isinstance(function, types.FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    if any(part in function.__code__.co_filename for part in LIBRARIES):
        return
    held = inspect.getclosurevars(function)
    found = {**held.globals, **held.nonlocals}
    yield from _told(found.items())
    for value in found.values():
        if isinstance(value, (types.FunctionType, partial, types.MethodType)):
            yield from _read(value, seen)


def _told(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in values:
        told = _plain(value)
        if told is not None:
            yield name, told
        elif not isinstance(value, (nn.Module, Tensor, type, types.ModuleType, types.FunctionType)):
            yield from ((f"{name}.{n}", t) for n, t in _plain_attributes(value))


def _plain_attributes(thing: Any) -> Iterator[tuple[str, str]]:
    for name, value in getattr(thing, "__dict__", {}).items():
        told = _plain(value)
        if told is not None and not name.startswith("_"):
            yield name, told


def _plain(value: Any) -> str | None:
    """A plain value, or a small container of such, as text; None for anything else."""
    if isinstance(value, PLAIN):
        return repr(value)
    with contextlib.suppress(Exception):
        parts = [*value, *value.values()] if type(value) is dict else value if type(value) in (list, tuple) else None
        if parts is not None and len(parts) <= 2 * MOST and all(isinstance(p, PLAIN) for p in parts):
            return repr(value)
    return None
