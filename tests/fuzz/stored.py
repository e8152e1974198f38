"""The readers of a study's folder: its database, its data, its weights."""

import contextlib
import functools
import io
import json
import random
import sqlite3
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group

from fuzz import mutate
from make_store import table
from make_study import make_study
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.comparison.taken import Taken
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import from_arrays, with_class_weights
from trainsmith.population import Job, Packing, Record, Result, Training
from trainsmith.report import family_tables, summary
from trainsmith.report.partial import write_partial
from trainsmith.report.run_table import one_run, run_table
from trainsmith.store import Store, opened
from trainsmith.store.inputs import ABOUT, DATA, Weights, data_of, put_data
from trainsmith.store.jobs import job_id, job_of, job_text
from trainsmith.store.schema import DATABASE
from trainsmith.studies import progress_of, study_in

JOB = Job("mlp", Training(5, 8), (Run(Trial(Recipe()), 3), Run(Trial(Recipe(), {"adam.lr": 0.1}), 4)), True)
STATE = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros(3, np.float16)}
WEIGHTS_FILE = "w.safetensors"


def weights() -> bytes:
    """A file of weights."""
    with tempfile.TemporaryDirectory() as folder:
        Weights(Path(folder)).put(WEIGHTS_FILE, STATE)
        return (Path(folder) / WEIGHTS_FILE).read_bytes()


def read_weights(path: Path) -> Any:
    """As a resumed study reads them."""
    return Weights(path.parent).get(path.name)


def databases() -> list[bytes]:
    """The database of a study that has begun, and that of a finished one."""
    found = []
    for finished in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            store = Store.create(Path(folder) / "study", QUESTION, table())
            (id,) = store.ask("tuning", [JOB])
            result = Result("finished", 5, 0.5, 0.3, [(2, 1.0, 0.9, 0.4), (5, 0.1, 0.3, 0.5)], [2.3, 1.0])
            store.keep(id, JOB, Record([result, result], [1e-7], [1e-4], 1), 1.0)
            store.note("planned", {"runs": 4, "words": "4 runs"})
            store.note("taken", [1.5, 0.3])
            store.note("packing", {"processes": 1, "packing": asdict(Packing("together", 8)), "words": "packed"})
            if finished:
                whole = make_study().to_dict()
                store.note("result", {**whole, "rows": whole["rows"][:3]})
            found.append((store.folder / DATABASE).read_bytes())
    return found


def of_database(data: bytes, luck: random.Random) -> bytes:
    """The file's bytes, or one value of one table, which is often JSON."""
    if luck.random() < 0.4:
        return mutate.of_bytes(data, luck)
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(data[:18] + b"\x01\x01" + data[20:])  # without its log, which memory has not
        table_name = luck.choice(["about", "about", "jobs", "records", "replays", "runs", "runs", "curves"])
        columns = [c[1] for c in database.execute(f"PRAGMA table_info({table_name})")]
        column = luck.choice(columns)
        rows = database.execute(f"SELECT rowid, {column} FROM {table_name}").fetchall()
        row, value = luck.choice(rows)
        with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
            changed = _changed(value, luck)
            database.execute(f"UPDATE {table_name} SET {column} = ? WHERE rowid = ?", (changed, row))
            database.commit()
        return bytes(database.serialize())


def _changed(value: Any, luck: random.Random) -> Any:
    try:
        return mutate.of_json(value.encode(), luck).decode()
    except (AttributeError, ValueError):
        return luck.choice(["x", "", None, -1, 0, 2**62, 1e308, "nan"])


def read_database(path: Path) -> Any:
    """What `trainsmith studies`, `show`, `report` and a resumed study read of it."""
    folder, console = path.parent, Console(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=100)
    progress = progress_of(folder)
    study = study_in(folder)
    if study is None:
        write_partial(progress, folder / "report.html")
    else:
        console.print(Group(summary(study), *family_tables(study)))
    store = Store(folder)
    runs, curves = store.runs(), store.curves()
    console.print(Group(run_table(runs), *(one_run(runs, curves, number) for number in range(min(1, len(runs))))))
    id = job_id(job_text(JOB))
    store.record(id)
    return job_of(store.job(id))


QUESTION = {"data": {"name": "tiny"}, "network": "mlp"}
OTHER = Job("mlp", Training(5, 8), (Run(Trial(Recipe()), 5),))


def go_on(path: Path) -> Any:
    """What a resumed study does with it: it takes the lock, reads what is done and writes what it does itself."""
    folder = path.parent
    for left in folder.glob(f"{DATABASE}-*"):  # what the case before this one left
        if left != path:
            left.unlink()
    progress_of(folder)
    with opened(folder, Store(folder).about("question") or {}, None) as store:  # the data are not looked at
        taken = Taken(store)
        if store.about("packing") is not None:
            Trainings("mlp", table(), JOB.training, None, lambda *_: None, store=store).prepare(Recipe(), 1)
        kept = [store.record(id) for id in store.ask("tuning", [JOB, OTHER])]
        (id,) = store.ask("confirming on fresh seeds", [OTHER])
        result = Result("finished", 5, 0.5, 0.3, [(step, 1.0, 0.9, 0.4) for step in range(200)], [2.3, 1.0])
        store.keep(id, OTHER, Record([result], [], [], 1), 1.0)
        taken.note()
        store.note("result", {"notes": ["x" * 20_000]})
    return kept


def logs() -> list[bytes]:
    """The write-ahead log of a database whose process was killed."""
    return [_healthy()[1]]


def of_log(data: bytes, luck: random.Random) -> bytes:
    """The log's bytes, of which SQLite leaves out what its sums do not fit; or a page in it, with sums that fit."""
    if luck.random() < 0.2:
        return mutate.of_bytes(data, luck)
    log, page = bytearray(data), int.from_bytes(data[8:12])
    frames = range(32, len(log), 24 + page)
    at = luck.choice(frames)
    if luck.random() < 0.2:
        log[at : at + 4] = luck.choice(mutate.NUMBERS).to_bytes(4)
    else:
        log[at + 24 : at + 24 + page] = mutate.of_bytes(data[at + 24 : at + 24 + page], luck)[:page].ljust(page, b"\0")
    order = "<" if log[3] % 2 == 0 else ">"
    sums = np.frombuffer(log[24:32], ">u4").tolist()
    for at in frames:
        sums = _summed(np.frombuffer(log[at : at + 8] + log[at + 24 : at + 24 + page], f"{order}u4").tolist(), sums)
        log[at + 16 : at + 24] = np.array(sums, ">u4").tobytes()
    return bytes(log)


def _summed(words: list[int], sums: list[int]) -> list[int]:
    """SQLite's checksum of a write-ahead log (Database File Format, section 4.2), carried on over these words."""
    a, b = sums
    for first, second in zip(words[::2], words[1::2], strict=True):
        a = (a + first + b) % 2**32
        b = (b + second + a) % 2**32
    return [a, b]


def read_log(path: Path) -> Any:
    """The same with a damaged log beside a healthy database."""
    database, _ = _healthy()
    for left in path.parent.glob(f"{DATABASE}*"):
        if left != path:
            left.unlink()
    (path.parent / DATABASE).write_bytes(database)
    return go_on(path)


@functools.cache
def _healthy() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return _killed(Path(folder))


def _killed(folder: Path) -> tuple[bytes, bytes]:
    """A database and its log, as they lie on the disk while somebody still has it open."""
    store = Store.create(folder / "study", QUESTION, table())
    with contextlib.closing(sqlite3.connect(store.folder / DATABASE)) as reader:
        reader.execute("SELECT count(*) FROM about").fetchone()
        (id,) = store.ask("tuning", [JOB])
        result = Result("finished", 5, 0.5, 0.3, [(2, 1.0, 0.9, 0.4), (5, 0.1, 0.3, 0.5)], [2.3, 1.0])
        store.keep(id, JOB, Record([result, result], [1e-7], [1e-4], 1), 1.0)
        return (store.folder / DATABASE).read_bytes(), (store.folder / f"{DATABASE}-wal").read_bytes()


def read_data(path: Path) -> Any:
    """The study's data, with this file as the inputs of the development part."""
    folder = path.parent / "study"
    if not folder.exists():
        Store.create(folder, json.loads("{}"), table())
    (folder / "data" / "x.npy").write_bytes(path.read_bytes())
    return data_of(folder)


def about() -> list[bytes]:
    """What is said of a study's data: of classes with weights, and of numbers from a file."""
    found = []
    rows = replace(from_arrays(table().x, table().x[:, 0], "numbers"), notes=("the column 'b' counts the rows.",))
    for made in (with_class_weights(table(), {"1": 3.0}), replace(rows, origin={"given": "a.csv", "target": "b"})):
        with tempfile.TemporaryDirectory() as folder:
            put_data(made, Path(folder))
            found.append((Path(folder) / DATA / ABOUT).read_bytes())
    return found


def read_about(path: Path) -> Any:
    """The study's data, said to be that."""
    numbers = b"regression" in path.read_bytes()
    folder = path.parent / ("numbers" if numbers else "classes")
    if not folder.exists():
        folder.mkdir()
        put_data(from_arrays(table().x, table().x[:, 0], "numbers") if numbers else table(), folder)
    (folder / DATA / ABOUT).write_bytes(path.read_bytes())
    dataset = data_of(folder)
    return dataset.describe(), dataset.outputs


def data() -> bytes:
    """The inputs of a study's development part."""
    buffer = io.BytesIO()
    np.save(buffer, table().x.numpy())
    return buffer.getvalue()
