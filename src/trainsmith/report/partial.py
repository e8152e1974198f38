"""A study that is not finished: how far it is, and what its runs came to so far, without verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.population import COSTS
from trainsmith.report.template import filled

if TYPE_CHECKING:
    import pandas as pd

FRESH = "confirming on fresh seeds"
NO_VERDICT = "No verdict is given before the end: tuning scores flatter, and differences need all fresh seeds."


@dataclass(frozen=True)
class Progress:
    """How far a study is. runs: a row for each finished run, see Store.runs. problem: why it cannot be read.

    metric: what its scores are of.
    """

    name: str
    data: str
    network: str
    baseline: Mapping[str, Any]
    planned: int | None
    runs: pd.DataFrame | None
    created: str
    winner: str | None
    problem: str = ""
    metric: str = "score"

    @property
    def done(self) -> int:
        return 0 if self.runs is None else len(self.runs)

    @property
    def state(self) -> str:
        """ "finished", "unfinished" or "damaged"."""
        if self.problem:
            return "damaged"
        return "unfinished" if self.winner is None else "finished"

    @property
    def words(self) -> str:
        """ "120 of 506 runs are done"."""
        of = f" of {self.planned:,}" if self.planned is not None else ""
        return f"{self.done:,}{of} runs are done"

    @property
    def titles(self) -> tuple[str, ...]:
        """What stands above the columns of `rows`."""
        return "recipe", "tuning runs", f"best tuning {self.metric}", "fresh seeds", f"their mean {self.metric}"

    def rows(self) -> list[tuple[str, ...]]:
        """For each recipe: its difference from the baseline, tuning runs and their best score, fresh runs and mean."""
        if self.runs is None or self.runs.empty:
            return []
        rows: list[tuple[str, ...]] = []
        for recipe, group in self.runs.groupby("recipe", sort=False):
            fresh = group[group.stage == FRESH]
            tuning = group[group.stage != FRESH]
            best, mean = tuning.score.max(), fresh.score.mean()
            rows.append((
                what_differs(json.loads(str(recipe)), self.baseline),
                str(len(tuning)), self._said(best), str(len(fresh)), self._said(mean) + _beside(fresh),
            ))  # fmt: skip
        return rows

    def _said(self, score: float | None) -> str:
        """As the finished study will say it: accuracy in per cent, a cost in its own direction. Nothing for none."""
        if score is None or score != score:
            return ""
        if self.metric == "accuracy":
            return f"{100 * score:.1f} %"
        return f"{-score if self.metric in COSTS else score:.4g}"


def _beside(fresh: Any) -> str:
    """How many of these runs diverged, which the mean is not of; in the finished study they count."""
    diverged = int(fresh.score.isna().sum())
    return f" ({diverged} diverged)" if diverged else ""


def what_differs(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """The techniques in which a recipe differs from the baseline, or "baseline"."""
    names: list[str] = []
    for family, chosen in recipe.items():
        given = chosen if isinstance(chosen, list) else [chosen]
        if chosen != baseline.get(family):
            names += given or [f"no {family}"]
    return " + ".join(names) or "baseline"


def progress_table(progress: Progress) -> RenderableType:
    """The unfinished study for the terminal."""
    table = Table(pad_edge=False)
    for title in progress.titles:
        table.add_column(Text(title), justify="left" if title == "recipe" else "right")
    for row in progress.rows():
        table.add_row(*map(Text, row))
    return Group(Text(f"{progress.name}: unfinished, {progress.words}.", "bold"), table, Text(NO_VERDICT, "dim"))


def listing(found: Sequence[Progress]) -> RenderableType:
    """The studies of a folder for the terminal."""
    table = Table(pad_edge=False)
    for title in ("study", "data", "network", "state", "runs", "winner", "begun"):
        table.add_column(title, overflow="fold")
    for p in found:
        runs = f"{p.done:,}" + (f" of {p.planned:,}" if p.planned is not None and p.state != "finished" else "")
        begun = p.created.replace("T", " ")[:16]
        table.add_row(*map(Text, (p.name, p.data, p.network, p.problem or p.state, runs, p.winner or "", begun)))
    return table


def write_partial(progress: Progress, path: Path) -> Path:
    """Write the page of an unfinished study to `path`; returns the path."""
    path.write_text(filled("partial.html", progress=progress, note=NO_VERDICT), encoding="utf-8")
    return path
