"""A Dataset from a user's file or folder: arrays, tables, pictures. Nothing is ever unpickled."""

import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainsmith.data.arrays import assemble
from trainsmith.data.csv_table import read_table
from trainsmith.data.dataset import Dataset
from trainsmith.data.folder import read_folder
from trainsmith.data.mapped import member_of, opened
from trainsmith.data.parquet import read_parquet
from trainsmith.data.text import read_text
from trainsmith.errors import InvalidInput, shown

SUFFIXES = (".npz", ".npy", ".csv", ".parquet", ".txt")


ARRAYS = ("x", "y", "x_test", "y_test", "x_unlabelled")


def read_file(
    path: Path,
    target: str | None = None,
    task: str | None = None,
    image_size: int | None = None,
    context: int | None = None,
    leave_out: str | Sequence[str] | None = None,
) -> Dataset:
    """The data in an .npz, .csv, .parquet or .txt file or in a folder; see the readers of each.

    The data set is named after the file. Raises InvalidInput for a path that is no such file, and for contents that
    cannot be used.
    """
    if not os.path.exists(path):  # which a name that is too long is not, either
        raise InvalidInput(f"there is no file '{path}'; check the path (looked in {Path.cwd()}).")
    suffix = path.suffix.lower()
    if not path.is_dir() and suffix not in SUFFIXES:
        raise InvalidInput(
            f"the data must be an .npz, .csv, .parquet or .txt file, or a folder of pictures or of x.npy and y.npy; "
            f"got '{path}'. Save arrays x and y with numpy.savez, a table as .csv, a text as .txt."
        )
    _check_fits(path, suffix, target, task, image_size, context, leave_out)
    try:
        if arrays_in(path):
            return read_npy(path, target, task)
        if path.is_dir():
            return read_folder(path, target, task, image_size, leave_out)
        if path.stat().st_size == 0:
            raise InvalidInput(f"'{path}' is empty; an {suffix} file with examples is needed.")
        if suffix == ".txt":
            return read_text(path, context)
        if suffix == ".parquet":
            return read_parquet(path, target, task, image_size, leave_out)
        return read_npz(path, target, task) if suffix == ".npz" else read_csv(path, target, task, leave_out)
    except OSError as error:
        raise InvalidInput(f"'{path}' cannot be read: {error.strerror or error}.") from error


def arrays_in(path: Path) -> bool:
    """Whether the data are in .npy files: a folder of them, or one of such a folder's."""
    return path.suffix.lower() == ".npy" if not path.is_dir() else (path / "x.npy").is_file()


def _check_fits(
    path: Path,
    suffix: str,
    target: str | None,
    task: str | None,
    image_size: int | None,
    context: int | None,
    leave_out: str | Sequence[str] | None,
) -> None:
    """Refuse what is said of another kind of data."""
    text = suffix == ".txt" and not path.is_dir()
    if image_size is not None and (text or suffix in (".npz", ".csv") or arrays_in(path)):
        held = "text" if text else "arrays"
        raise InvalidInput(
            f"an image size is for encoded pictures only; '{path}' holds {held}. Leave --image-size out."
        )
    if context is not None and not text:
        raise InvalidInput(f"a context is for texts only; '{path}' is not a .txt file. Leave --context out.")
    wanted = "" if task is None else task.strip().lower()
    if text and (target is not None or wanted not in ("", "language")):
        raise InvalidInput(f"of the text '{path}' the next character is predicted; leave --target and --task out.")
    if not text and wanted == "language":
        raise InvalidInput(f"task language needs a .txt file; got '{path}'.")
    if leave_out and (arrays_in(path) or (suffix in (".npz", ".txt") and not path.is_dir())):
        raise InvalidInput(f"columns are left out of tables only; '{path}' is none. Leave --leave-out out.")


def read_npz(path: Path, target: str | None = None, task: str | None = None) -> Dataset:
    """The arrays x and y, and x_test and y_test where the file has them, in any case.

    x: a table or images as in from_arrays; a large one is not held in memory. x_test and y_test become the locked test
    part; without them a fifth of the data does. x_unlabelled, where there is one: inputs of further examples, without
    targets.
    """
    if target is not None:
        raise InvalidInput(f"a target is named for .csv files only; '{path}' takes it from its array y.")
    if not zipfile.is_zipfile(path):
        raise InvalidInput(f"'{path}' is not an .npz file; write one with numpy.savez(path, x=x, y=y).")
    return _assembled(_arrays(path), path, path.stem, task)


def read_npy(path: Path, target: str | None = None, task: str | None = None) -> Dataset:
    """The arrays in a folder's x.npy and y.npy, with x_test.npy, y_test.npy and x_unlabelled.npy as in an .npz file.

    They are mapped, so that they may be larger than memory. path: the folder, or one of the files.
    """
    if target is not None:
        raise InvalidInput(f"a target is named for .csv files only; '{path}' takes it from y.npy.")
    folder = path if path.is_dir() else path.parent
    found: dict[str, Any] = {}
    for name in ARRAYS:
        file = folder / f"{name}.npy"
        if file.is_file():
            found[name] = opened(file)
    if not {"x", "y"} <= found.keys():
        raise InvalidInput(
            f"arrays in files of their own must be called x.npy and y.npy, in one folder; '{folder}' has "
            f"{' and '.join(f'{name}.npy' for name in found) or 'neither'}."
        )
    return _assembled(found, folder, folder.resolve().name, task)


def _assembled(arrays: dict[str, Any], path: Path, name: str, task: str | None) -> Dataset:
    if not {"x", "y"} <= arrays.keys():
        named = ", ".join(sorted(arrays)) or "none"
        raise InvalidInput(
            f"'{path}' must hold arrays named x and y; it holds: {named}. Write it with numpy.savez(path, x=x, y=y)."
        )
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise InvalidInput(f"'{path}' must hold both x_test and y_test or neither; one is missing.")
    test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
    further = arrays.get("x_unlabelled")
    return assemble(arrays["x"], arrays["y"], name, source=str(path), task=task, test=test, unlabelled=further)


def _arrays(path: Path) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    name = None
    try:
        with (
            path.open("rb") as file,
            warnings.catch_warnings(action="ignore"),
            np.load(file, allow_pickle=False) as stored,
        ):
            for name in stored.files:
                if name.lower() in ARRAYS:
                    if name.lower() in arrays:
                        raise InvalidInput(f"'{path}' holds two arrays named {name.lower()}; leave one out.")
                    array = member_of(stored, name)
                    # numpy hands out the bytes of what is no array, and any number of values without a byte
                    if not isinstance(array, np.ndarray) or not array.dtype.itemsize:
                        raise InvalidInput(f"'{path}': {name} is not a numpy array. Write the file anew.")
                    arrays[name.lower()] = array
                else:
                    arrays.setdefault(name, None)
    except InvalidInput:
        raise
    except Exception as error:  # a damaged archive makes zipfile, zlib and numpy raise nearly anything
        if "allow_pickle" in str(error):
            raise InvalidInput(
                f"'{path}' must hold arrays of numbers or text; {name} holds Python objects, which are never "
                "loaded. Convert it with .astype before saving."
            ) from error
        raise InvalidInput(f"'{path}' is damaged: {shown(error, 200)}. Write it anew.") from error
    return arrays


def read_csv(
    path: Path, target: str | None = None, task: str | None = None, leave_out: str | Sequence[str] | None = None
) -> Dataset:
    """A comma-separated table with a header line; see read_table for what becomes of its columns."""
    x, y, features, chosen, notes, left = read_table(path, target, leave_out)
    made = assemble(x, y, path.stem, source=str(path), task=task, features=features)
    return replace(made, predicted=chosen, notes=notes, left_out=left)
