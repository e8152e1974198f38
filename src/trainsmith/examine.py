"""What `trainsmith inspect` shows: the numbers, the table and the picture of one inspection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor, nn

from trainsmith.catalogue import Run, Trial
from trainsmith.data import Dataset, load
from trainsmith.doctor import Inspection, inspect
from trainsmith.errors import PAGE, PICTURE, InvalidInput, named
from trainsmith.initialization import outputs_of
from trainsmith.inspection import depth_experiment
from trainsmith.inspection.passes.costs import looked_at
from trainsmith.luck import drawn
from trainsmith.network import build, default_network, named_factory
from trainsmith.population import Member, Training, make_member
from trainsmith.question import make_baseline
from trainsmith.report.inspection_figure import depth_figure
from trainsmith.report.inspection_table import depth_table
from trainsmith.rows import Rows

EXAMPLES, LEAST = 1000, 32
"""Training examples that a network is inspected on, and held-back ones beside them: as many as fit into memory."""


@dataclass(frozen=True)
class Shown:
    """An inspection ready to print: its numbers for machines, its table, and how to draw it to a path."""

    numbers: dict[str, Any]
    table: RenderableType
    draw: Callable[[Path], Path]


def written(path: Path, example: str | None) -> Path:
    """Where to draw an inspection, or the experiment `example`, in a folder that is made if there is none.

    Raises InvalidInput for files of other kinds, and OSError for a folder that cannot be made: before any work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if example is not None:
        return named(path, f"the {example} experiment is drawn as a picture", *PICTURE)
    return named(path, "an inspection is drawn as a picture or written as a page", *PICTURE, *PAGE)


def asked(
    what: str | None, data: str | None, example: str | None, name: str | None, recipe: Mapping[str, str] | None,
    seed: int, **more: Any,
) -> Shown:  # fmt: skip
    """The experiment `example`; the network `what` on `data`; or, where data is None, a network on the data `what`."""
    if example is not None:
        return depth(seed)
    assert what is not None
    return network(what, name, recipe, seed, **more) if data is None else own(what, data, seed, **more)


def network(
    data: str, name: str | None, recipe: Mapping[str, str] | None, seed: int, rate: float | None = None,
    remedies: bool = True, steps: int | None = None, every: int | None = None, **reading: Any,
) -> Shown:  # fmt: skip
    """The network `name`, or the default one for the data, with the baseline changed by `recipe`, at its start."""
    dataset = load(data, **reading)
    chosen_network = name or default_network(dataset.kind)
    run = Run(Trial(make_baseline(recipe, dataset, chosen_network)), seed)
    member = make_member(run, chosen_network, dataset)
    module = member.objective.network
    optimizer = _optimizer(module, member, rate)
    return _shown(module, member, dataset, optimizer, chosen_network, remedies, steps, every)


def own(
    factory: str, data: str, seed: int, rate: float | None = None, remedies: bool = True, steps: int | None = None,
    every: int | None = None, **reading: Any,
) -> Shown:  # fmt: skip
    """The network that `factory` makes, or a network of that name, untouched, on `data`."""
    if ":" not in factory:
        raise InvalidInput(
            f"with --data the first argument is a network, such as package.net:build or net.py:build; got '{factory}'."
        )
    dataset = load(data, **reading)
    with drawn(seed, "construction"):
        named = named_factory(factory)
        module = named if isinstance(named, nn.Module) else build(factory, dataset.input_shape, dataset.outputs)
        with contextlib.suppress(Exception):  # which is said where it is inspected
            outputs_of(module, dataset.x[:2])  # lazy layers are made by their first example
    usual = default_network(dataset.kind)  # only its split, targets and loss are used
    member = make_member(Run(Trial(make_baseline(None, dataset, usual)), seed), usual, dataset)
    return _shown(module, member, dataset, _optimizer(module, member, rate), factory, remedies, steps, every)


def _optimizer(module: nn.Module, member: Member, rate: float | None) -> torch.optim.Optimizer | None:
    """The run's rule for these weights, with this learning rate if one is given."""
    numbers = dict(member.numbers)
    if rate is not None:
        if not rate > 0 or "lr" not in numbers:
            raise InvalidInput(f"the learning rate must be above 0, of an optimizer that has one; got {rate}.")
        numbers["lr"] = rate
    trained = [(f"network.{name}", p) for name, p in module.named_parameters() if p.requires_grad]
    return member.optimizer(trained, numbers) if trained else None


def _shown(
    module: nn.Module, member: Member, dataset: Dataset, optimizer: Any, name: str, remedies: bool,
    steps: int | None, every: int | None,
) -> Shown:  # fmt: skip
    examples = looked_at(module, dataset.x[:2], EXAMPLES, LEAST)

    def part(which: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
        chosen = which[:examples]
        return dataset.x[chosen], member.targets(dataset.y[chosen])

    measured = inspect(
        module, part(member.train), member.objective.loss, optimizer=optimizer, validation=part(member.validation),
        batch_size=Training.batch_size,
    )  # fmt: skip
    if steps is not None:  # on all examples, each read when its batch is
        measured.train(steps, every, (Rows(dataset.x, member.train), member.targets(dataset.y[member.train])))
    said = [dataset.describe(), *(f"note: {note}" for note in dataset.notes)]
    measured.network, measured.notes = f"{name} on {dataset.name}", tuple(said)
    if remedies and any(f.remedies for f in measured.findings):
        measured.remedies()
    of_data = {"data": dataset.describe(), **({"notes": list(dataset.notes)} if dataset.notes else {})}
    table = Group(*(Text(line, "dim") for line in said), measured.table())
    return Shown({**measured.to_dict(), **of_data}, table, lambda path: _written(measured, path))


def _written(measured: Inspection, path: Path) -> Path:
    return measured.report(path) if path.suffix.lower() in PAGE else measured.figure(path)


def depth(seed: int) -> Shown:
    """The classic experiment: five layers of 100 units, initializations against activations."""
    experiment = depth_experiment(seed=seed)

    def drawn(path: Path) -> Path:
        depth_figure(experiment, written(path, "depth"))
        return path

    return Shown(experiment.to_dict(), depth_table(experiment), drawn)
