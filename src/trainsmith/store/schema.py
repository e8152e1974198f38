"""The store's database: its tables, its version, and plain words for what SQLite says when something is wrong."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from trainsmith.errors import InvalidInput

DATABASE = "study.sqlite"
VERSION = 1
"""Of the tables below. A store of a newer version is refused, an older one would be brought up to date here."""
BUSY_SECONDS = 60.0
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
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            if make:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            else:
                _check_version(connection, path)
            connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a cut of power too
            with connection:
                yield connection
        finally:
            connection.close()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter from the name of a damaged table
        raise InvalidInput(_words(error, path)) from error


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
    return f"'{path}' is damaged ({said}); go on from a copy, or begin the study anew in another folder."
