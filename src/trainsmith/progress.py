"""A progress bar for a study: what is being trained, runs done, time left."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trainsmith.comparison import Announce


class Bar(Announce):
    """Draws on standard error, and only where that is a terminal; elsewhere it prints the plan alone."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[runs]} runs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.done = 0

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def planned(self, runs: int, member_steps: int, plan: str) -> None:
        self.console.print(plan, highlight=False, soft_wrap=True)
        self.task = self.progress.add_task("starting", total=member_steps, done=0, runs=runs)

    def going_on(self, words: str) -> None:
        self.console.print(words, highlight=False, soft_wrap=True)

    def progress_made(self, what: str, member_steps: int, runs: int) -> None:
        self.done += runs
        self.progress.update(self.task, description=what, advance=member_steps, done=self.done)
