"""The runs of a study: a table of all, one in detail, and files for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainsmith.comparison.measured import Explained
from trainsmith.errors import InvalidInput
from trainsmith.population import COSTS

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")


def run_table(frame: pd.DataFrame, metric: str = "score") -> RenderableType:
    """Runs, or points of curves, one a line, numbered as they are stored. metric: what their scores are of, for people:
    of a cost, whose scores are stored as its negative, itself is shown."""
    table = Table(pad_edge=False)
    shown = _by_metric(frame.drop(columns=["job", "weights", "hyperparameters"], errors="ignore"), metric)
    for title in ("", *shown.columns):
        table.add_column(str(title).replace("_", " "), overflow="fold")
    for number, row in zip(frame.index, shown.itertuples(index=False), strict=True):
        table.add_row(str(number), *(Text(_text(value)) for value in row))
    return table


def _by_metric(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    found = frame.copy()
    for name in ("score", "validation_score"):
        if name in found and metric in COSTS:
            found[name] = -found[name].astype(float)
    return found.rename(columns={"score": metric, "validation_score": f"validation {metric}"})


def one_run(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    number: int,
    explained: Sequence[Explained] = (),
    metric: str = "score",
) -> RenderableType:
    """The run of that number: its recipe, hyper-parameters, end and curve, and why it diverged, if that is explained.

    metric: as in run_table. Raises InvalidInput if there is none.
    """
    if not 0 <= number < len(runs):
        raise InvalidInput(f"there are {len(runs)} finished runs, 0 to {len(runs) - 1}; got {number}.")
    run = runs.iloc[number]
    shown = _by_metric(runs.iloc[[number]], metric).iloc[0]
    about = Table(show_header=False, pad_edge=False, box=None)
    kept = ["weights"] if isinstance(run.weights, str) else []  # of runs on fresh seeds alone
    for name in ("stage", "recipe", "seed", "status", "step", metric, "loss", *kept):
        about.add_row(name, Text(_text(shown[name])))
    for name, value in json.loads(run.hyperparameters).items():
        about.add_row(Text(name), f"{value:g}")
    for why in explained:
        if (why.seed, why.values) == (run.seed, json.loads(run.hyperparameters)) and run.status == "diverged":
            about.add_row("why", Text(why.words))
    own = curves[(curves.job == run.job) & (curves.place == run.place)]
    return Group(about, run_table(own.drop(columns=["place"]).reset_index(drop=True), metric))


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as .csv or .parquet. Raises InvalidInput for another ending."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(f"runs are written to a file ending in {' or '.join(SUFFIXES)}; got '{path}'.")
    if suffix == ".csv":
        frame.to_csv(path, index=False)
        return
    try:
        frame.to_parquet(path, index=False)
    except ImportError as error:
        raise InvalidInput("writing Parquet needs pyarrow: pip install 'trainsmith[parquet]'.") from error


def _text(value: object) -> str:
    if isinstance(value, str) and value.startswith("{"):
        chosen = json.loads(value).values()
        return " + ".join(n for v in chosen for n in (v if isinstance(v, list) else [v]) if n != "none")
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)
