"""What a user gave that cannot be used, said in one sentence."""

import difflib
from collections.abc import Iterable


class InvalidInput(ValueError):
    """The user's input cannot be used. The message says what was expected, what came and what to do.

    The command prints the message alone and exits with 2.
    """


def unknown_name(kind: str, given: str, valid: Iterable[str]) -> InvalidInput:
    """The error for a name that is not among `valid`: the nearest names for a misspelling, else all."""
    names = sorted(valid)
    near = difflib.get_close_matches(given.lower(), names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of: {', '.join(names)}."
    return InvalidInput(f"unknown {kind} '{given}': {hint}")
