"""A Dataset from a folder: pictures in a folder for each class, or Parquet files, with or without a test part."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainsmith.data.arrays import assemble
from trainsmith.data.dataset import Dataset
from trainsmith.data.parquet import parquet_parts, read_parquet
from trainsmith.data.pictures import SUFFIXES, read_pictures
from trainsmith.errors import InvalidInput

TEST, REST = ("test",), ("train", "training", "val", "valid", "validation")
"""Names of the folders of parts: the test part is locked, the others are put together and split anew for each seed."""


def read_folder(
    path: Path,
    target: str | None = None,
    task: str | None = None,
    image_size: int | None = None,
    leave_out: str | Sequence[str] | None = None,
) -> Dataset:
    """The data in a folder.

    Either Parquet files (see read_parquet), or a folder of pictures for each class, `CLASS/anything.png`, or such
    folders inside `train`, `val` and `test`: pictures under test become the locked test part, without them a
    fifth of all does. Hidden files and files of other kinds are passed over. Raises InvalidInput for a folder that
    holds neither.
    """
    if parquet_parts(path):
        return read_parquet(path, target, task, image_size, leave_out)
    if target is not None:
        raise InvalidInput(f"a target is named for tables only; in '{path}' each picture's folder is its class.")
    if leave_out:
        raise InvalidInput(f"columns are left out of tables only; '{path}' holds pictures. Leave --leave-out out.")
    parts = {d.name.lower(): d for d in _folders(path)}
    if set(parts) & set(REST) and set(parts) <= {*TEST, *REST}:
        development = [_labelled(parts[name]) for name in REST if name in parts]
        test = _labelled(parts["test"]) if "test" in parts else None
    else:
        development, test = [_labelled(path)], None
    files, labels = [f for fs, _ in development for f in fs], np.array([n for _, ns in development for n in ns])
    if not files:
        raise InvalidInput(
            f"'{path}' must hold a folder of pictures for each class (or train/CLASS, test/CLASS), or Parquet files; "
            f"no picture was found in folders inside it."
        )
    x = read_pictures([*files, *(test[0] if test else ())], f"'{path}'", image_size)
    given = (x[len(files) :], np.array(test[1])) if test else None
    return assemble(x[: len(files)], labels, path.resolve().name, source=str(path), task=task, test=given)


def _folders(path: Path) -> list[Path]:
    return sorted(d for d in path.iterdir() if d.is_dir() and not d.name.startswith("."))


def _labelled(path: Path) -> tuple[list[Path], list[str]]:
    """The pictures below each class's folder, in the order of their names, and the classes' names."""
    found = [
        (file, folder.name)
        for folder in _folders(path)
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in file.relative_to(folder).parts)
    ]
    return [file for file, _ in found], [label for _, label in found]
