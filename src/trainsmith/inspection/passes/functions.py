"""Activation functions that a network calls as functions, such as functional.relu(x): seen like layers of its own."""

import contextlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainsmith.network.functional import CALLS, KNOWN, METHODS

Named = Callable[[str], Callable[[nn.Module, Any, Any], None]]
"""A hook for a layer of this name."""


@contextlib.contextmanager
def functions_seen(root: nn.Module, enter: Named, leave: Named) -> Iterator[None]:
    """While `root` runs, each call of an activation function is told to `enter` and `leave` as a layer's hooks are.

    The layer that these get is the module that does the same as the call. Its name is that of the module whose forward
    calls the function, and the function's: block.relu. Calls inside layers that are rows themselves are left out.
    """
    mode = _Seen(enter, leave)
    names = {m: n for n, m in root.named_modules()}
    with contextlib.ExitStack() as hooks:
        for m, name in names.items():
            enclosed = not any(True for _ in m.children()) and (
                type(m).__module__.startswith(KNOWN) or not any(True for _ in m.parameters())
            )
            hooks.callback(m.register_forward_pre_hook(mode.into(name, enclosed)).remove)
            hooks.callback(m.register_forward_hook(mode.out_of, always_call=True).remove)
        hooks.callback(root.register_forward_pre_hook(mode.begin, prepend=True).remove)
        hooks.callback(root.register_forward_hook(mode.end, always_call=True).remove)
        yield


class _Seen(TorchFunctionMode):
    """Knows in whose forward a function is called."""

    def __init__(self, enter: Named, leave: Named) -> None:
        super().__init__()
        self.told_before, self.told_after = enter, leave
        self.inside: list[tuple[str, bool]] = []

    def begin(self, *_: Any) -> None:
        self.inside.clear()
        self.__enter__()

    def end(self, *_: Any) -> None:
        self.__exit__(None, None, None)

    def into(self, name: str, enclosed: bool) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self.inside.append((name, enclosed))

        return hook

    def out_of(self, *_: Any) -> None:
        if self.inside:
            self.inside.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        layer = _layer(func, args, kwargs) if self.inside and not self.inside[-1][1] else None
        if layer is None:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs["input"]
        label = f"{self.inside[-1][0]}.{func.__name__.rstrip('_')}".lstrip(".")
        self.told_before(label)(layer, (given,), {})
        output = func(*args, **kwargs)
        self.told_after(label)(layer, (given,), output)
        return output


def _layer(func: Any, args: Any, kwargs: Any) -> nn.Module | None:
    """The module that does what the call does, the same for the same call; None for calls of other functions, and of
    numbers alone."""
    name = getattr(func, "__name__", "")
    kind: Any = CALLS.get(func) if _hashable(func) else None
    if kind is None and name in METHODS and func is getattr(Tensor, name, None):
        kind = METHODS[name]
    given = args[0] if args else kwargs.get("input")
    if kind is None or not isinstance(given, Tensor) or given.ndim == 0:
        return None
    options = [(k, v) for k, v in kwargs.items() if k not in ("input", "inplace", "out")]
    try:
        return _made(kind, tuple(a for a in args[1:] if not isinstance(a, bool)), tuple(options))
    except TypeError:
        return None


@lru_cache(maxsize=256)
def _made(kind: Any, given: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> nn.Module:
    """A module of this kind: kept, as what is known of a layer hangs on it."""
    made: nn.Module = kind(*given, **dict(options))
    return made


def _hashable(func: Any) -> bool:
    try:
        hash(func)
    except TypeError:
        return False
    return True
