"""A progress bar for a study: what is being trained, runs done, time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from trainsmith.comparison import Announce

LINE_EVERY, LINE_SHARE = 10.0, 0.05
"""Where there is no terminal a line comes after so many seconds, later after that share of the time so far: the log
of an hour's study has some seventy."""


class Bar(Announce):
    """Draws on standard error: a bar in a terminal or a notebook, elsewhere a plain line now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        self.draws = terminal or (self.console.is_jupyter and find_spec("ipywidgets") is not None)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TextColumn("{task.fields[done]}/{task.fields[runs]} runs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}", style="dim", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            console=self.console,
            disable=not self.draws,
            transient=True,
            expand=True,
        )
        self.best = ""
        self.done, self.runs, self.steps, self.total, self.read = 0, 0, 0, 0, 0
        self.started = self.said = time.monotonic()
        self.paced: tuple[float, int] | None = None
        """When the first training was heard of, and the member-steps till then: starting workers tells no pace."""

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def planned(self, runs: int, member_steps: int, plan: str) -> None:
        self.console.print(plan, highlight=False, markup=False, soft_wrap=not self.draws)
        self.runs, self.total = runs, member_steps
        self.started = self.said = time.monotonic()
        self.task = self.progress.add_task("starting", total=member_steps, done=0, runs=runs, best="")

    def extended(self, runs: int, member_steps: int) -> None:
        self.runs, self.total = self.runs + runs, self.total + member_steps
        self.progress.update(self.task, total=self.total, runs=self.runs)

    def going_on(self, words: str) -> None:
        self.console.print(words, highlight=False, markup=False, soft_wrap=not self.draws)

    begun_beside = going_on

    def found(self, recipe: str, score: float, metric: str) -> None:
        self.best = f"best {score:.1%} {recipe}" if metric == "accuracy" else f"best {metric} {score:.3g} {recipe}"
        self.progress.update(self.task, best=self.best)

    def progress_made(self, what: str, member_steps: int, runs: int) -> None:
        self.done += runs
        self.steps += member_steps
        self.progress.update(self.task, description=what, advance=member_steps, done=self.done)
        now, trained = time.monotonic(), self.steps - self.read
        if self.paced is None and trained > 0:
            self.paced = now, trained
        if not self.draws and now - self.said >= max(LINE_EVERY, LINE_SHARE * (now - self.started)):
            self.said = now
            self.console.print(self._line(what, now), highlight=False, markup=False, soft_wrap=not self.draws)

    def was_done(self, member_steps: int) -> None:
        self.read += member_steps
        if self.steps <= self.read:
            self.paced = None
        self.progress.reset(self.task, total=self.total, completed=self.steps)  # it says nothing of how fast this goes

    def _line(self, what: str, now: float) -> str:
        share, left = min(1.0, self.steps / self.total), self._left(now)
        remains = f", about {left:.0f} s left" if left is not None and share < 1 else ""
        best = f"; {self.best}" if self.best else ""
        return f"{what}: {self.done} of {self.runs} runs, {share:.0%}, {now - self.started:.0f} s{remains}{best}"

    def _left(self, now: float) -> float | None:
        """Seconds that the rest takes at the pace since training was first heard of; None while there is none."""
        began, before = self.paced or (now, 0)
        since = self.steps - self.read - before
        return (now - began) * (self.total - self.steps) / since if since > 0 and now > began else None
