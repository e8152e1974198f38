"""The door for Python users: compare, returning an object that draws itself. For inspect see doctor.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Group

from trainsmith import __version__
from trainsmith.catalogue import FAMILIES, Recipe, Technique, find
from trainsmith.comparison import (
    ONE_AT_A_TIME,
    Announce,
    Budget,
    Prepared,
    Row,
    Study,
    check_design,
    default_baseline,
    limit,
    prepare,
)
from trainsmith.comparison import compare as run_comparison
from trainsmith.data import Dataset, as_dataset
from trainsmith.errors import InvalidInput, unknown_name
from trainsmith.export import export_winner
from trainsmith.export.stored import NOT_EXPORTED, WINNER
from trainsmith.network import Factory
from trainsmith.population import Training, judged_by, rules_of
from trainsmith.report import family_tables, report_html, summary, write_report
from trainsmith.report.terminal import Printable
from trainsmith.store import Store, data_of, digest, network_name, opened, recipe_of, source_digest


class Comparison:
    """A finished study, and what one does with it."""

    def __init__(self, study: Study, network: str | Factory, dataset: Dataset, training: Training) -> None:
        self.study = study
        self._network, self._dataset, self._training = network, dataset, training

    def table(self) -> Printable:
        """The answer, and one table per family; print it."""
        return Printable(Group(summary(self.study), *family_tables(self.study)))

    def best(self) -> Row:
        """The winning recipe: `.recipe`, its tuned `.values`, its scores."""
        return self.study.best()

    def report(self, path: str | Path) -> Path:
        """Write the report as one HTML file that opens offline; returns its path."""
        return write_report(self.study, Path(path))

    def export(self, folder: str | Path) -> Path:
        """Write the winner as a training script, its network as source and its weights; returns the folder."""
        return export_winner(self.study, self._network, self._dataset, Path(folder), self._training)

    def save(self, folder: str | Path) -> Path:
        """Write study.json, report.html and the exported winner into `folder`; returns the report's path.

        A network that cannot be written as source is left out; the study says so in its notes.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.export(folder / WINNER)
        except InvalidInput as reason:
            self.study = replace(self.study, notes=(*self.study.notes, f"{NOT_EXPORTED}{reason}"))
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "study.json").write_text(text, encoding="utf-8")
        return self.report(folder / "report.html")

    def to_dict(self) -> dict[str, Any]:
        """Everything the report shows, as values that JSON knows."""
        return self.study.to_dict()

    def __repr__(self) -> str:
        best = self.best()
        return f"<Comparison of {len(self.study.rows)} rows on {self.study.data}: best {best.recipe}>"

    def _repr_html_(self) -> str:
        return report_html(self.study)


def compare(
    network: str | Factory,
    data: Any,
    *,
    baseline: Recipe | Mapping[str, str] | None = None,
    vary: Sequence[str] | None = None,
    techniques: Sequence[str | Technique] | None = None,
    trials: int = Budget.trials,
    seeds: int = Budget.fresh_seeds,
    steps: int = Training.steps,
    batch_size: int = Training.batch_size,
    schedule: str = Training.schedule,
    budget: str | None = None,
    design: str = ONE_AT_A_TIME,
    metric: str | None = None,
    processes: int | None = None,
    announce: Announce | None = None,
    folder: str | Path | None = None,
) -> Comparison:
    """Compare training techniques on a network and data, fairly tuned, and say which is better.

    network: a name ("mlp"), "package.module:factory", "file.py:factory", or a function that makes a fresh nn.Module,
    called with (input_shape, outputs) if it takes two arguments; one with an argument `activation`, `normalization` or
    `regularization` gets there what makes the technique's layer. data: a name such as "digits", a path to a file or
    folder, a pair (x, y) of arrays, a torch Dataset, a Hugging Face dataset, or {"train": ..., "test": ...} of
    such. baseline: the recipe varied, one family at a time; by default
    He, Adam and what the network has of normalization and activation. vary: the families to vary (default all).
    techniques: only these. trials: tuning trials for each technique. seeds: fresh seeds for what is reported.
    budget: what the study may take, such as "2min" or "300runs", in place of trials and seeds, and of steps where
    fewer fit. design: "one-at-a-time", "pairs" (also every two techniques of different families together) or "grid"
    (every choice of one from each family); both of the latter give main effects and interactions. metric: what is
    judged, "log loss" or "calibration error" in place of accuracy. schedule: the learning rate's course in every run, a
    name of trainsmith.optimizer.SCHEDULES.
    folder: where finished runs are kept as they come, and report and winner in the end; the same call goes on
    with a study that was interrupted.
    Raises InvalidInput for anything that cannot be used.
    """
    dataset = _judged(as_dataset(data), metric)
    _check_processes(processes)
    asked = _understood(
        network, dataset, baseline, vary, techniques, trials, seeds, steps, batch_size, schedule, budget, design
    )

    def run(store: Store | None) -> Comparison:
        study = run_comparison(network, dataset, **asked, processes=processes, announce=announce, store=store)
        return Comparison(study, network, dataset, asked["training"])

    if folder is None:
        return run(None)
    with opened(Path(folder), _question(network, dataset, asked), dataset) as store:
        comparison = run(store)
        comparison.save(folder)
        store.note("result", comparison.to_dict())
    return comparison


def _judged(dataset: Dataset, metric: str | None) -> Dataset:
    return dataset if metric is None else judged_by(dataset, metric)


def plan(
    network: str | Factory, data: Any, *, metric: str | None = None, processes: int | None = None, **asked: Any
) -> Prepared:
    """What `compare` with these arguments would train and about how long it would take; nothing is trained."""
    dataset = _judged(as_dataset(data), metric)
    _check_processes(processes)
    return prepare(network, dataset, **_understood(network, dataset, **_with_defaults(asked)), processes=processes)


def _check_processes(processes: int | None) -> None:
    if processes is not None and processes < 1:
        raise InvalidInput(f"processes must be a whole number of at least 1; got {processes!r}.")


def _with_defaults(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: p.default for name, p in signature(compare).parameters.items() if name in UNDERSTOOD}, **asked}


def question(
    network: str | Factory, dataset: Dataset, *, metric: str | None = None, processes: int | None = None, **asked: Any
) -> dict[str, Any]:
    """What `compare` with these arguments asks, as values that JSON knows: equal questions have equal numbers."""
    return _question(network, _judged(dataset, metric), _understood(network, dataset, **_with_defaults(asked)))


UNDERSTOOD = (
    "baseline",
    "vary",
    "techniques",
    "trials",
    "seeds",
    "steps",
    "batch_size",
    "schedule",
    "budget",
    "design",
)
"""The arguments of compare that say what is asked."""


def _understood(
    network: str | Factory,
    dataset: Dataset,
    baseline: Any,
    vary: Any,
    techniques: Any,
    trials: int,
    seeds: int,
    steps: int,
    batch_size: int,
    schedule: str,
    budget: str | None,
    design: str,
) -> dict[str, Any]:
    if budget is not None and (trials, seeds) != (Budget.trials, Budget.fresh_seeds):
        raise InvalidInput("a budget chooses trials and seeds itself; give either the budget or them.")
    chosen = None if techniques is None else [t if isinstance(t, Technique) else find(t) for t in techniques]
    return {
        "baseline": make_baseline(baseline, dataset, network),
        "vary": vary,
        "techniques": chosen,
        "budget": Budget(trials=trials, fresh_seeds=seeds),
        "training": Training(steps=steps, batch_size=batch_size, schedule=schedule),
        "within": None if budget is None else limit(budget),
        "design": check_design(design),
    }


def _question(network: str | Factory, dataset: Dataset, asked: Mapping[str, Any]) -> dict[str, Any]:
    chosen = asked["techniques"]
    content = {
        "data": {"name": dataset.name, "task": dataset.task, "digest": digest(dataset)},
        "metric": rules_of(dataset).metric,
        "network": network_name(network),
        "network's source": source_digest(network),
        "baseline": asdict(asked["baseline"]),
        "vary": None if asked["vary"] is None else list(asked["vary"]),
        "techniques": None if chosen is None else [[t.family, t.name] for t in chosen],
        "budget": asdict(asked["budget"]),
        "training": asdict(asked["training"]),
        "within": None if asked["within"] is None else str(asked["within"]),
        "design": asked["design"],
        "versions": {"trainsmith": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    return json.loads(json.dumps(content))


def resume(folder: str | Path, announce: Announce | None = None) -> Comparison:
    """Go on with the study in `folder`, whose data and question are there. Raises InvalidInput if it cannot."""
    folder = Path(folder)
    asked = Store(folder).about("question")
    try:
        techniques = asked["techniques"]
        return compare(
            asked["network"],
            data_of(folder),
            baseline=recipe_of(asked["baseline"]),
            vary=asked["vary"],
            techniques=None if techniques is None else [find(name, family) for family, name in techniques],
            trials=asked["budget"]["trials"],
            seeds=asked["budget"]["fresh_seeds"],
            steps=asked["training"]["steps"],
            batch_size=asked["training"]["batch_size"],
            schedule=asked["training"]["schedule"],
            budget=asked["within"],
            design=asked["design"],
            announce=announce,
            folder=folder,
        )
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"the question of the study in '{folder}' is damaged: {error}.") from error


def make_baseline(given: Recipe | Mapping[str, str] | None, dataset: Dataset, network: str | Factory) -> Recipe:
    """The default baseline for data and network with the families in `given` replaced."""
    if isinstance(given, Recipe):
        return given
    recipe = default_baseline(dataset, network)
    for family, names in (given or {}).items():
        if family not in FAMILIES:
            raise unknown_name("family", family, FAMILIES)
        for name in names.split("+"):
            recipe = recipe.having(find(name, family))
    return recipe
