"""The store's database: its tables, its version, and plain words for what SQLite says when something is wrong."""

import contextlib
import functools
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainsmith.errors import InvalidInput, shown

DATABASE = "study.sqlite"
VERSION = 1
"""Of the tables below. A store of a newer version is refused, an older one would be brought up to date here."""
BUSY_SECONDS = 60.0
LONGEST_SECONDS, LOOK_EVERY = 120.0, 10**6
"""No connection is open for longer, which a sound database of a million runs does not need: pages that lead to one
another would keep SQLite busy for ever. Looked at after so many of its instructions."""
FULL_BYTES = 2**20
"""With less free than this a failed write is a full disk: SQLite says "disk I/O error" where its side files cannot
grow."""
TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, stage TEXT NOT NULL, job TEXT NOT NULL
) STRICT;
CREATE TABLE records (
    job TEXT PRIMARY KEY REFERENCES jobs (id), buckets INTEGER NOT NULL, loops TEXT NOT NULL,
    seconds REAL NOT NULL, finished TEXT NOT NULL
) STRICT;
CREATE TABLE replays (
    job TEXT NOT NULL REFERENCES jobs (id), place INTEGER NOT NULL, deviation REAL, tolerance REAL NOT NULL,
    PRIMARY KEY (job, place)
) STRICT;
CREATE TABLE runs (
    job TEXT NOT NULL REFERENCES jobs (id), place INTEGER NOT NULL, recipe TEXT NOT NULL, hyperparameters TEXT NOT NULL,
    seed INTEGER NOT NULL, status TEXT NOT NULL, step INTEGER NOT NULL, score REAL, loss REAL, weights TEXT,
    PRIMARY KEY (job, place)
) STRICT;
CREATE TABLE curves (
    job TEXT NOT NULL, place INTEGER NOT NULL, step INTEGER NOT NULL,
    training_loss REAL, validation_loss REAL, validation_score REAL,
    PRIMARY KEY (job, place, step), FOREIGN KEY (job, place) REFERENCES runs (job, place)
) STRICT;
CREATE TABLE first_losses (
    job TEXT NOT NULL, place INTEGER NOT NULL, step INTEGER NOT NULL, loss REAL,
    PRIMARY KEY (job, place, step), FOREIGN KEY (job, place) REFERENCES runs (job, place)
) STRICT;
"""
"""A NULL among the numbers is a NaN, which SQLite does not know."""


def json_of(text: str | bytes) -> Any:
    """The value that JSON text says. Raises ValueError for no JSON, and for half characters, which no file can hold."""
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def no_study(folder: Path, reason: str) -> InvalidInput:
    """The error for a folder that holds no study. reason: of one that is there, such as "has no study.json"."""
    said = reason if folder.exists() else "does not exist"
    return InvalidInput(f"'{folder}' is not a study's folder: it {said}. `trainsmith studies` lists the studies.")


@contextlib.contextmanager
def connected(folder: Path, make: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to the folder's database, committed if all goes well, rolled back if not.

    make: create the tables. Raises InvalidInput for a database that is missing, damaged, newer than this program, full
    or not to be written.
    """
    path = folder / DATABASE
    if not make and not path.is_file():
        raise no_study(folder, f"has no {DATABASE}")
    try:
        connection = _opened(path)
        latest = time.monotonic() + LONGEST_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > latest, LOOK_EVERY)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")  # of a file that anybody may have made
            connection.execute("PRAGMA foreign_keys = ON")
            if make:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            else:
                _check_version(connection, path)
                if _schema(connection) != _tables():
                    raise InvalidInput(_damaged(path, "it has other tables than trainsmith makes"))
            connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a cut of power too
            with connection:
                yield connection
        finally:
            connection.close()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter from the name of a damaged table
        raise InvalidInput(_words(error, path)) from error


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to the database at `path`; where no file can be made beside it, one that reads it without.

    SQLite reads a write-ahead log's database by files beside it. Where everything is in the database, as behind every
    process that ended, it can do without them if it is told that nobody writes.
    """
    log = path.with_name(f"{path.name}-wal")
    if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
        return sqlite3.connect(path, timeout=BUSY_SECONDS)
    return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, timeout=BUSY_SECONDS)


def check_sound(folder: Path) -> None:
    """Look at every page of the folder's database, as is due before anything is written to one that somebody else made.

    Raises InvalidInput for one that is damaged.
    """
    with connected(folder) as database:
        found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise InvalidInput(_damaged(folder / DATABASE, shown(found, 200)))


def _schema(connection: sqlite3.Connection) -> set[tuple[str, str, str | None]]:
    """What is defined in a database: tables, and nothing that would run by itself, such as triggers."""
    return set(connection.execute("SELECT type, name, sql FROM sqlite_schema"))


@functools.cache
def _tables() -> set[tuple[str, str, str | None]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(TABLES)
        return _schema(fresh)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise InvalidInput(
            f"'{path}' was written by a newer trainsmith (version {version} of the store, this program knows "
            f"{VERSION}); update trainsmith."
        )
    if version < 1:
        raise InvalidInput(f"'{path}' is not a store that trainsmith wrote, or is not whole; choose another folder.")


def _words(error: Exception, path: Path) -> str:
    said = str(error)
    if "full" in said or ("disk I/O" in said and shutil.disk_usage(path.parent).free < FULL_BYTES):
        return (
            f"the disk of '{path.parent}' is full; what was finished is kept. Free some space and give the same "
            "command again to go on."
        )
    if "readonly" in said or "unable to open" in said or "disk I/O" in said:
        return f"'{path}' cannot be written ({said}); check the folder's permissions and its disk."
    if "locked" in said:
        return f"'{path}' is locked by another process; try again when it is done."
    return _damaged(path, "reading it does not come to an end" if "interrupted" in said else said)


def _damaged(path: Path, why: str) -> str:
    return f"'{path}' is damaged ({why}); go on from a copy, or begin the study anew in another folder."
