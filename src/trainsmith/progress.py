"""A progress bar for a study: what is being trained, runs done, time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trainsmith.comparison import Announce

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal: a log of an hour's study stays readable."""


class Bar(Announce):
    """Draws on standard error: a bar in a terminal or a notebook, elsewhere a plain line now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.draws = self.console.is_terminal or self.console.is_jupyter
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[runs]} runs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.draws,
            transient=True,
        )
        self.done, self.runs, self.steps, self.total = 0, 0, 0, 0
        self.started = self.said = time.monotonic()

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def planned(self, runs: int, member_steps: int, plan: str) -> None:
        self.console.print(plan, highlight=False, soft_wrap=True)
        self.runs, self.total = runs, member_steps
        self.started = self.said = time.monotonic()
        self.task = self.progress.add_task("starting", total=member_steps, done=0, runs=runs)

    def extended(self, runs: int, member_steps: int) -> None:
        self.runs, self.total = self.runs + runs, self.total + member_steps
        self.progress.update(self.task, total=self.total, runs=self.runs)

    def going_on(self, words: str) -> None:
        self.console.print(words, highlight=False, soft_wrap=True)

    def progress_made(self, what: str, member_steps: int, runs: int) -> None:
        self.done += runs
        self.steps += member_steps
        self.progress.update(self.task, description=what, advance=member_steps, done=self.done)
        now = time.monotonic()
        if not self.draws and now - self.said >= LINE_EVERY:
            self.said = now
            self.console.print(self._line(what, now - self.started), highlight=False, soft_wrap=True)

    def _line(self, what: str, seconds: float) -> str:
        share = min(1.0, self.steps / self.total)
        left = f", about {seconds * (1 - share) / share:.0f} s left" if 0 < share < 1 else ""
        return f"{what}: {self.done} of {self.runs} runs, {share:.0%}, {seconds:.0f} s{left}"
