"""What a user gave that cannot be used, said in one sentence."""

import difflib
from collections.abc import Iterable
from pathlib import Path


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
    near = difflib.get_close_matches(str(given).lower(), names, n=3, cutoff=0.6)
    choose = f"{listed} lists all." if listed and len(names) > MOST_NAMED else f"choose one of: {', '.join(names)}."
    hint = f"did you mean {' or '.join(near)}?" if near else choose
    return InvalidInput(f"unknown {kind} '{shown(given)}': {hint}")


def named(path: str | Path, what: str, *suffixes: str) -> Path:
    """The path of a file to write, whose name must end in one of these, as .html does. what: what it will hold."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        ending = f"{', '.join(most)} or {last}" if most else last
        raise InvalidInput(f"{what}: give a name that ends in {ending}; got '{shown(path)}'.")
    return path


PICTURE, PAGE = (".png",), (".html", ".htm")
"""What the names of pictures and pages end in."""
