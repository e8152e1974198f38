"""Hooks on layers that are taken off between measured steps and hung up again, without registering them anew."""

import contextlib
from collections.abc import Callable, MutableMapping
from typing import Any

from torch import nn


class Hung:
    """Hooks on some layers, hung up as they come. Copies of the layers, and what is pickled of them, have none."""

    def __init__(self) -> None:
        self._places: list[tuple[MutableMapping[int, Any], int, Any]] = []

    def before(self, layer: nn.Module, hook: Callable[[nn.Module, Any, Any], None]) -> None:
        """One that is told of what enters the layer, of arguments by name too."""
        hook = _Here(hook)
        number = layer.register_forward_pre_hook(hook, with_kwargs=True).id
        self._places += [(layer._forward_pre_hooks_with_kwargs, number, True), (layer._forward_pre_hooks, number, hook)]

    def behind(self, layer: nn.Module, hook: Callable[[nn.Module, Any, Any], None]) -> None:
        """One that is told of what leaves the layer."""
        hook = _Here(hook)
        self._places.append((layer._forward_hooks, layer.register_forward_hook(hook).id, hook))

    def on(self) -> None:
        """Hang them up again."""
        for hooks, number, hook in self._places:
            hooks[number] = hook

    def off(self) -> None:
        """Take them off."""
        for hooks, number, _ in self._places:
            hooks.pop(number, None)


class _Here:
    """A hook for this layer alone. In copies, which may be loaded where nobody knows it, a call that does nothing."""

    def __init__(self, hook: Callable[[nn.Module, Any, Any], None]) -> None:
        self._hook = hook

    def __call__(self, layer: nn.Module, inputs: Any, more: Any) -> None:
        self._hook(layer, inputs, more)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")
