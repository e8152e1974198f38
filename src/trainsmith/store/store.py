"""A study's folder: what was asked, which jobs it takes, and what came of those that are done."""

from __future__ import annotations

import contextlib
import glob
import json
import math
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from trainsmith.errors import InvalidInput
from trainsmith.leftovers import passing_folder, sweep
from trainsmith.population import Job, Record, Result
from trainsmith.store.begun import here
from trainsmith.store.inputs import DATA, TEST, Weights, put_data
from trainsmith.store.jobs import job_id, job_text, run_as_dict
from trainsmith.store.schema import DATABASE, connected, json_of

if TYPE_CHECKING:
    import pandas as pd

    from trainsmith.data import Dataset

WEIGHTS, LOCK = "weights", "lock"


@dataclass(frozen=True)
class Store:
    """The store of one study. Every method opens the database for itself, so that any process may use one.

    folder: holds study.sqlite, data/, test/, weights/ and what the study wrote in the end.
    """

    folder: Path

    @staticmethod
    def create(folder: Path, question: Mapping[str, Any], dataset: Dataset) -> Store:
        """A new store in `folder`, which is made, or filled if it is there and empty, as the place of a disk is.

        Raises InvalidInput if it holds anything, or cannot be written.
        """
        begun, there = f".{folder.name}-part-", folder.is_dir()
        place = folder if there else folder.parent
        try:
            if not place.exists():
                place.mkdir(parents=True)
            sweep(place, f"{glob.escape(begun)}*")
            if folder.exists() and (not there or any(folder.iterdir())):
                raise InvalidInput(f"'{folder}' exists already; choose another folder for the study.")
            with passing_folder(place, begun) as unfinished:  # a kill here leaves no half of a store
                whole = unfinished / "study"
                whole.mkdir()
                put_data(dataset, whole)
                with connected(whole, make=True) as database:
                    _put(database, "question", json.dumps(question, ensure_ascii=False))
                    _put(database, "created", _now())
                    _put(database, "begun in", json.dumps(here()))
                if not there:
                    whole.replace(folder)
                for part in sorted(whole.iterdir(), key=lambda p: p.name == DATABASE) if there else ():
                    part.replace(folder / part.name)
        except OSError as error:
            raise InvalidInput(f"the folder '{folder}' cannot be written: {error.strerror or error}.") from error
        return Store(folder)

    def remove(self) -> None:
        """Take away what this program put into the folder, and the folder unless somebody else put something there."""
        for part in (self.folder / name for name in (DATA, TEST, WEIGHTS)):
            shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            for file in (*self.folder.glob(f"{DATABASE}*"), self.folder / LOCK, self.folder / "study.toml"):
                file.unlink(missing_ok=True)
            self.folder.rmdir()

    def about(self, name: str, kind: type = object) -> Any:
        """What is noted under `name`: "question", "packing", "created", "begun in", "planned", "result"; else None.

        Raises InvalidInput for what is not of that kind.
        """
        with connected(self.folder) as database:
            row = database.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        try:
            value = str(row[0]) if name == "created" else json_of(row[0])
        except (ValueError, TypeError, RecursionError) as error:
            raise self.damaged(name) from error
        if value is not None and not isinstance(value, kind):
            raise self.damaged(name)
        return value

    def damaged(self, name: str) -> InvalidInput:
        """The error for something noted under `name` that this program did not write so."""
        return InvalidInput(f"'{self.folder / DATABASE}' is damaged: its {name} is not what was written.")

    def note(self, name: str, value: Any) -> None:
        """Keep a value that JSON knows under `name`."""
        with connected(self.folder) as database:
            _put(database, name, json.dumps(value, ensure_ascii=False))

    def ask(self, stage: str, jobs: Sequence[Job]) -> list[str]:
        """Put jobs into the store, where they are not there yet; their ids."""
        texts = [job_text(job) for job in jobs]
        ids = [job_id(text) for text in texts]
        with connected(self.folder) as database:
            rows = [(i, stage, text) for i, text in zip(ids, texts, strict=True)]
            database.executemany("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?)", rows)
        return ids

    def job(self, id: str) -> str:
        """The text of a job. Raises InvalidInput if there is none of that id."""
        with connected(self.folder) as database:
            row = database.execute("SELECT job FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise InvalidInput(f"there is no job '{id}' in '{self.folder}'.")
        return row[0]

    def keep(self, id: str, job: Job, record: Record, seconds: float) -> None:
        """Keep what a job came to: all of it in one transaction, weights before; a second time changes nothing."""
        weights = Weights(self.folder / WEIGHTS)
        names: list[str | None] = []
        try:
            for place, result in enumerate(record.results):
                names.append(None if result.state is None else f"{id}-{place}.safetensors")
                if result.state is not None:
                    weights.put(f"{id}-{place}.safetensors", result.state)
        except OSError as error:
            raise InvalidInput(
                f"weights cannot be written to '{weights.folder}': {error.strerror or error}; what was finished is "
                "kept. Free some space and give the same command again to go on."
            ) from error
        with connected(self.folder) as database:
            database.execute("BEGIN IMMEDIATE")
            if database.execute("SELECT 1 FROM records WHERE job = ?", (id,)).fetchone():
                return
            database.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
                (id, record.buckets, json.dumps(record.loops), seconds, _now()),
            )
            pairs = zip(record.deviations, record.tolerances, strict=True)
            database.executemany(
                "INSERT INTO replays VALUES (?, ?, ?, ?)", [(id, i, d, t) for i, (d, t) in enumerate(pairs)]
            )
            for place, (run, result) in enumerate(zip(job.runs, record.results, strict=True)):
                _put_run(database, id, place, run_as_dict(run), result, names[place])

    def record(self, id: str) -> Record | None:
        """What the job came to, weights included, if it is done. Raises UnreadableWeights if they cannot be read."""
        with connected(self.folder) as database:
            row = database.execute("SELECT buckets, loops FROM records WHERE job = ?", (id,)).fetchone()
            if row is None:
                return None
            replays = database.execute("SELECT deviation, tolerance FROM replays WHERE job = ? ORDER BY place", (id,))
            deviations, tolerances = [], []
            for found, explained in replays:
                deviations.append(_number(found))
                tolerances.append(explained)
            results = [_result(database, id, *found) for found in database.execute(RESULTS, (id,)).fetchall()]
        weights = Weights(self.folder / WEIGHTS)
        for result, name in results:
            result.state = None if name is None else weights.get(name)
        try:
            loops = tuple(map(str, json_of(row[1])))
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"'{self.folder / DATABASE}' is damaged: its record of job {id} is no JSON.") from error
        return Record([r for r, _ in results], deviations, tolerances, row[0], loops)

    def runs(self) -> pd.DataFrame:
        """Every finished run: stage, recipe and hyper-parameters as JSON, seed, status, score, loss.

        Raises InvalidInput where they are not what was written.
        """
        found = self._frame(RUNS)
        try:
            for text in found.recipe.unique():
                ["".join(names) for names in json_of(text).values()]
            for text in found.hyperparameters.unique():
                sum(json_of(text).values(), 0.0)
            found.astype({"score": float, "loss": float})
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise self.damaged("table of runs") from error
        return found

    def curves(self) -> pd.DataFrame:
        """Every check of every finished run: step, training and validation loss, validation score."""
        return self._frame("SELECT * FROM curves ORDER BY job, place, step")

    def _frame(self, query: str) -> pd.DataFrame:
        import pandas as pd

        with connected(self.folder) as database:
            found = database.execute(query)
            names = [column[0] for column in found.description]
            return pd.DataFrame.from_records(found.fetchall(), columns=names, coerce_float=True)

    def finished_runs(self) -> int:
        """How many runs are done."""
        with connected(self.folder) as database:
            return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])

    def locked(self) -> FileLock:
        """A lock that one process at a time can hold. It is free when its holder dies. See hold."""
        return FileLock(self.folder / LOCK, timeout=0)


def hold(store: Store) -> FileLock:
    """Take the study's lock. Raises InvalidInput if another process works on the study."""
    lock = store.locked()
    try:
        lock.acquire()
    except Timeout as error:
        raise InvalidInput(
            f"another process is working on the study in '{store.folder}'; wait until it is done."
        ) from error
    except OSError as error:
        raise InvalidInput(f"the folder '{store.folder}' cannot be written: {error.strerror or error}.") from error
    return lock


@dataclass(frozen=True)
class Keeper:
    """Keeps records in a store as they come, in whatever process they come. ids: of the jobs, by position."""

    folder: Path
    ids: tuple[str, ...]

    def __call__(self, position: int, job: Job, record: Record, started: float) -> None:
        Store(self.folder).keep(self.ids[position], job, record, time.monotonic() - started)


RUNS = """
SELECT jobs.stage, runs.* FROM runs JOIN jobs ON jobs.id = runs.job ORDER BY jobs.rowid, runs.place
"""
RESULTS = "SELECT place, status, step, score, loss, weights FROM runs WHERE job = ? ORDER BY place"


def _put(database: sqlite3.Connection, name: str, value: str) -> None:
    database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))


def _put_run(
    database: sqlite3.Connection, id: str, place: int, run: dict[str, Any], result: Result, weights: str | None
) -> None:
    database.execute(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id, place, json.dumps(run["recipe"]), json.dumps(run["values"]), run["seed"], result.status, result.step,
            result.score, result.loss, weights,
        ),
    )  # fmt: skip
    database.executemany(
        "INSERT INTO curves VALUES (?, ?, ?, ?, ?, ?)", [(id, place, *point) for point in result.curve]
    )
    losses = [(id, place, step, loss) for step, loss in enumerate(result.first_losses, 1)]
    database.executemany("INSERT INTO first_losses VALUES (?, ?, ?, ?)", losses)


def _result(
    database: sqlite3.Connection,
    id: str,
    place: int,
    status: str,
    step: int,
    score: Any,
    loss: Any,
    weights: str | None,
) -> tuple[Result, str | None]:
    points = database.execute(
        "SELECT step, training_loss, validation_loss, validation_score FROM curves WHERE job = ? AND place = ? "
        "ORDER BY step",
        (id, place),
    )
    losses = database.execute("SELECT loss FROM first_losses WHERE job = ? AND place = ? ORDER BY step", (id, place))
    curve = [(s, _number(a), _number(b), _number(c)) for s, a, b, c in points]
    first = [_number(value) for (value,) in losses]
    return Result(status, step, _number(score), _number(loss), curve, first), weights


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


__all__ = ["Keeper", "Store", "hold"]
