"""Folders that go with the process that made them: at its end, or, if it was killed, when the next one looks."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = "held.lock"
"""The file in such a folder that its process holds locked. It is free when the process is gone, however it ended.

No folder of another kind has one: a study's lock has another name, wherever it lies and whatever it is called."""


def held_folder(place: Path, prefix: str) -> tuple[Path, FileLock]:
    """A new folder in `place`, its name beginning with `prefix`, and the lock on it, which this process now holds."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = FileLock(folder / LOCK)
        with contextlib.suppress(FileNotFoundError):
            lock.acquire()
            if (folder / LOCK).exists():
                return folder, lock
            lock.release()  # somebody swept it away before it was locked


@contextlib.contextmanager
def passing_folder(place: Path, prefix: str) -> Iterator[Path]:
    """Such a folder for the length of a block."""
    folder, lock = held_folder(place, prefix)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path, pattern: str) -> list[Path]:
    """Remove the folders in `place` that held_folder made for processes that are gone; those removed.

    pattern: of their names. Folders of other users, and those without a lock, are left alone.
    """
    gone = []
    for folder in sorted(place.glob(pattern)):
        with contextlib.suppress(OSError):
            if not _ours(folder):
                continue
            lock = FileLock(folder / LOCK, timeout=0)
            with contextlib.suppress(Timeout), lock:
                shutil.rmtree(folder)
                gone.append(folder)
    return gone


def _ours(folder: Path) -> bool:
    """Whether it is a folder of this user's with a lock in it, and no link to one."""
    mine = not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
    return mine and folder.is_dir() and not folder.is_symlink() and (folder / LOCK).is_file()
