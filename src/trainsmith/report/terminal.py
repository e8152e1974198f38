"""Tables that print themselves: in colour in a terminal, as plain text by str()."""

import io
import sys

from rich.console import Console, RenderableType

PIPE_WIDTH = 110
"""Columns where there is no terminal to ask."""


class Printable:
    """A table for `print(x)`, `rich.print(x)` and notebooks alike."""

    def __init__(self, renderable: RenderableType) -> None:
        self.renderable = renderable

    def __rich__(self) -> RenderableType:
        return self.renderable

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=PIPE_WIDTH, force_terminal=False)
        with console.capture() as captured:
            console.print(self.renderable)
        return captured.get().rstrip()


def show(renderable: RenderableType) -> None:
    """Print to standard output, in colour and at its width where that is a terminal."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(renderable)
