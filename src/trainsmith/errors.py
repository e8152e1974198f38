"""What a user gave that cannot be used, said in one sentence."""

import difflib
import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar


class InvalidInput(ValueError):
    """The user's input cannot be used. The message says what was expected, what came and what to do.

    The command prints the message alone and exits with 2. It is one line whatever names and values the user's data
    brought into it.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in message))


def shown(value: object, most: int = 80) -> str:
    """What an error shows of a value that came with the data: long ones without their middle."""
    text = " ".join(str(value).encode("utf-8", "replace").decode().split())
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


MOST_NAMED = 60
"""Names that one sentence can tell."""


def unknown_name(kind: str, given: object, valid: Iterable[str], listed: str = "") -> InvalidInput:
    """The error for a name that is not among `valid`: the nearest names for a misspelling, else all.

    listed: where they are listed, which is said instead of more than MOST_NAMED of them.
    """
    names = sorted(valid)
    lower = {name.lower(): name for name in names}
    near = [lower[n] for n in difflib.get_close_matches(str(given).lower(), lower, n=3, cutoff=0.6)]
    choose = f"{listed} lists all." if listed and len(names) > MOST_NAMED else f"choose one of: {', '.join(names)}."
    hint = f"did you mean {' or '.join(near)}?" if near else choose
    return InvalidInput(f"unknown {kind} '{shown(given)}': {hint}")


def integer(value: Any) -> int | None:
    """A whole number of whatever kind, NumPy's and a tensor's without axes among them, as Python's; None for all else,
    such as true and false of whatever kind, and the only element of a list or tensor."""
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool") or len(getattr(value, "shape", ())):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value` as an integer. Raises InvalidInput, which calls it `name`, for what is none, or is below `least`."""
    number = integer(value)
    if number is None or number < least:
        raise InvalidInput(f"{name} must be a whole number of at least {least}; got {shown(repr(value))}.")
    return number


def named(path: str | Path, what: str, *suffixes: str) -> Path:
    """The path of a file to write, whose name must end in one of these, as .html does. what: what it will hold."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        ending = f"{', '.join(most)} or {last}" if most else last
        raise InvalidInput(f"{what}: give a name that ends in {ending}; got '{shown(path)}'.")
    return path


Given = ParamSpec("Given")
Made = TypeVar("Made")


def arguments_named(*further: str) -> Callable[[Callable[Given, Made]], Callable[Given, Made]]:
    """A decorator of a function that raises InvalidInput, with the nearest name, for an argument it does not have.

    further: names that it takes besides those of its signature, of which **kwargs is none.
    """

    def named_in(call: Callable[Given, Made]) -> Callable[Given, Made]:
        kinds = inspect.signature(call).parameters.items()
        known = {*further, *(name for name, p in kinds if p.kind is not p.VAR_KEYWORD)}

        @functools.wraps(call)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> Made:
            if unknown := [name for name in kwargs if name not in known]:
                raise unknown_name(f"argument of {call.__name__}", unknown[0], known)
            return call(*args, **kwargs)

        return checked

    return named_in


PICTURE, PAGE = (".png",), (".html", ".htm")
"""What the names of pictures and pages end in."""
