"""What an inspection is at, told to whoever waits for it: of a large network it takes minutes."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_TOLD: ContextVar[Callable[[str], None] | None] = ContextVar("told", default=None)


@contextlib.contextmanager
def telling(told: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile `told` is told what is done, several times a second if steps are short."""
    token = _TOLD.set(told)
    try:
        yield
    finally:
        _TOLD.reset(token)


def tell(words: str) -> None:
    """Say what is done now, if anybody listens."""
    told = _TOLD.get()
    if told is not None:
        told(words)
