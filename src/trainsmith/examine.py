"""What `trainsmith inspect` shows: the numbers, the table and the picture of one inspection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from trainsmith.api import make_baseline
from trainsmith.catalogue import Run, Trial
from trainsmith.data import load
from trainsmith.inspection import depth_experiment, inspect
from trainsmith.network import default_network
from trainsmith.population import make_member
from trainsmith.report.inspection_figure import depth_figure, layer_figure
from trainsmith.report.inspection_table import depth_table, layer_table

EXAMPLES = 1000
"""Training examples that a network is inspected on, at most."""


@dataclass(frozen=True)
class Shown:
    """An inspection ready to print: its numbers for machines, its table, and how to draw it to a path."""

    numbers: dict[str, Any]
    table: RenderableType | Table
    draw: Callable[[Path], Path]


def network(data: str, name: str | None, recipe: Mapping[str, str] | None, seed: int, **reading: Any) -> Shown:
    """The network `name`, or the default one for the data, with the baseline changed by `recipe`, at its start."""
    dataset = load(data, **reading)
    chosen_network = name or default_network(dataset.kind)
    run = Run(Trial(make_baseline(recipe, dataset, chosen_network)), seed)
    member = make_member(run, chosen_network, dataset)
    chosen = member.train[:EXAMPLES]
    batch = dataset.x[chosen], member.targets(dataset.y[chosen])
    measured = inspect(member.objective.network, batch, member.objective.loss)
    return Shown(measured.to_dict(), layer_table(measured), lambda path: _drawn(layer_figure, measured, path))


def depth(seed: int) -> Shown:
    """The classic experiment: five layers of 100 units, initializations against activations."""
    experiment = depth_experiment(seed=seed)
    return Shown(experiment.to_dict(), depth_table(experiment), lambda path: _drawn(depth_figure, experiment, path))


def _drawn(figure: Callable[[Any, Path], Any], thing: Any, path: Path) -> Path:
    figure(thing, path)
    return path
