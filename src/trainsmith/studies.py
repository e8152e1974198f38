"""Studies as folders: begun, gone on with, listed, looked into. What `compare`, `studies`, `show` and `report` do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainsmith import api
from trainsmith.catalogue import Recipe
from trainsmith.comparison import Announce, Prepared, Study, read_study
from trainsmith.data import load
from trainsmith.errors import InvalidInput
from trainsmith.network import default_network
from trainsmith.question import Question
from trainsmith.report.partial import Progress, write_partial
from trainsmith.store import DATABASE, Store, of_other_versions, studies, unfinished
from trainsmith.store.jobs import recipe_of
from trainsmith.store.schema import no_study


@dataclass(frozen=True)
class Asked:
    """What the command was asked: data and how they are read, a network if one was named, other arguments."""

    data: str
    network: str | None
    reading: Mapping[str, Any]
    options: Mapping[str, Any]

    @property
    def question(self) -> Question:
        """What is asked besides."""
        return Question(**{key: value for key, value in self.options.items() if key != "processes"})


def begin(
    asked: Asked, out: Path | None, root: Path, announce: Announce, file: str = ""
) -> tuple[api.Comparison, Path]:
    """The comparison and its folder: `out`, else the unfinished study in `root` that asks the same, else a new one.

    file: the text of a study.toml that asks this, for the folder.
    """
    dataset = load(asked.data, **asked.reading)
    network = asked.network or default_network(dataset.kind)
    question = asked.question
    asks = question.record(network, question.dataset(dataset))
    folder = out or unfinished(root, asks)
    if folder is None:
        folder = _new_folder(root, dataset.name)
        if (other := of_other_versions(root, asks)) is not None:
            announce.begun_beside(_beside(*other, folder))
    elif (folder / DATABASE).is_file():
        _say_going_on(folder, announce)
    processes = asked.options.get("processes")
    return _kept(folder, lambda: api.answer(network, dataset, question, processes, announce, folder, file))


def _beside(other: Path, apart: str, folder: Path) -> str:
    """That a new study is begun in `folder` beside an unfinished one of the same question, and what can be done."""
    return (
        f"the unfinished study in {other} asks the same, but {apart}: a new one is begun in {folder}. "
        f"To go on with the other instead, install those versions and give: trainsmith compare --resume {other}; if it "
        "is of no more use, remove that folder."
    )


def planned(asked: Asked) -> Prepared:
    """What a study that asks this would train."""
    dataset = load(asked.data, **asked.reading)
    return api.plan(asked.network or default_network(dataset.kind), dataset, **asked.options)


def go_on(folder: Path, announce: Announce) -> tuple[api.Comparison, Path]:
    """The comparison that was begun in `folder`, finished."""
    _say_going_on(folder, announce)
    return _kept(folder, lambda: api.resume(folder, announce))


def _say_going_on(folder: Path, announce: Announce) -> None:
    progress = progress_of(folder)
    announce.going_on(f"going on with {folder}: {progress.words}")


def _kept(folder: Path, compare: Any) -> tuple[api.Comparison, Path]:
    """Compare; when that is interrupted, leave a page of what there is, and say how to go on."""
    try:
        return compare(), folder
    except KeyboardInterrupt:
        if not (folder / DATABASE).is_file():
            raise
        progress = progress_of(folder)
        write_partial(progress, folder / "report.html")
        raise KeyboardInterrupt(
            f"interrupted: {progress.words}; what is finished is kept. The same command goes on, or: "
            f"trainsmith compare --resume {folder}"
        ) from None


def progress_of(folder: Path) -> Progress:
    """How far the study in `folder` is."""
    store = Store(folder)
    question, planned = store.about("question", dict) or {}, store.about("planned", dict) or {}
    result = store.about("result", dict)
    parts = (question, planned, result or {}, question.get("data", {}) if isinstance(question, dict) else None)
    runs = store.runs()
    try:
        sound = all(isinstance(part, dict) for part in parts)
        sound = sound and isinstance(planned.get("runs"), (int, type(None)))
        for recipe in [*map(json.loads, runs.recipe.unique()), question.get("baseline") or Recipe().record()]:
            recipe_of(recipe)
        runs.score.astype(float)
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise InvalidInput(f"'{folder / DATABASE}' is damaged: what it notes of the study is not what was written.")
    return Progress(
        name=folder.name,
        data=question.get("data", {}).get("name", "?"),
        network=str(question.get("network", "?")),
        baseline=question.get("baseline", {}),
        planned=planned.get("runs"),
        runs=runs,
        created=store.about("created") or "",
        winner=None if result is None else _winner(result),
        metric=str(question.get("metric") or "score"),
    )


def _winner(result: Mapping[str, Any]) -> str:
    """A finished study's winner, "baseline" if none is better, as older records call it only where it was tested."""
    test = result.get("test")
    return str((test.get("technique") if isinstance(test, dict) else None) or result.get("winner") or "?")


def all_in(root: Path) -> list[Progress]:
    """The studies in `root`, oldest first; a damaged one is named with what is wrong with it."""
    found = []
    for folder in studies(root):
        try:
            found.append(progress_of(folder))
        except InvalidInput as error:
            found.append(Progress(folder.name, "?", "?", {}, None, None, "", None, str(error)))
    return sorted(found, key=lambda p: (p.created, p.name))


def study_in(folder: Path) -> Study | None:
    """The finished study in `folder`, or None if it is not finished. Raises InvalidInput if there is none."""
    if (folder / DATABASE).is_file():
        result = Store(folder).about("result")
        return None if result is None else read_study(json.dumps(result))
    if (folder / "study.json").is_file():
        return read_study((folder / "study.json").read_bytes())
    raise no_study(folder, f"has neither {DATABASE} nor study.json")


def _new_folder(root: Path, name: str) -> Path:
    number = 1
    while (root / f"{name}-{number}").exists():
        number += 1
    return root / f"{name}-{number}"
