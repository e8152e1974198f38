"""A Dataset from Parquet files: tables, and images as Hugging Face stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainsmith.data.arrays import assemble
from trainsmith.data.dataset import Dataset
from trainsmith.data.pictures import read_pictures
from trainsmith.data.table import arrays_of, target_of, values_of, without
from trainsmith.errors import InvalidInput, shown

if TYPE_CHECKING:
    import pandas as pd


def read_parquet(
    path: Path,
    target: str | None = None,
    task: str | None = None,
    image_size: int | None = None,
    leave_out: str | Sequence[str] | None = None,
) -> Dataset:
    """The data in a Parquet file, or in a folder's, where files named train… and test… are the two parts.

    A column of images, as structs of `bytes` and `path` or as bytes, together with the target's column makes images;
    every other column is passed over. Without one, the columns are a table as in a .csv file. Classes are called what
    Hugging Face's metadata calls them, where the file has such. leave_out: see without. Needs pyarrow.
    Raises InvalidInput for what cannot be read or used.
    """
    parts = parquet_parts(path) if path.is_dir() else {"train": [path]}
    frames = {part: _read(files) for part, files in parts.items()}
    name = path.resolve().name if path.is_dir() else path.stem
    classes = _class_names(parts["train"][0])
    return from_frames(
        frames["train"], frames.get("test"), name, str(path), target, task, image_size, classes, leave_out
    )


def from_frames(
    train: pd.DataFrame,
    test: pd.DataFrame | None,
    name: str,
    source: str,
    target: str | None = None,
    task: str | None = None,
    image_size: int | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    leave_out: str | Sequence[str] | None = None,
) -> Dataset:
    """A Dataset from tables with named columns, one of which may hold images; see read_parquet.

    classes: of columns of class indices, the classes' names.
    """
    frames = [train] if test is None else [train, test]
    if test is not None and list(test.columns) != list(train.columns):
        raise InvalidInput(f"{source}: both parts must have the same columns; the test part's differ.")
    if not len(train) or len(train.columns) < 2:
        raise InvalidInput(f"{source} must have rows, a column to predict and at least one more.")
    if not train.columns.is_unique:
        raise InvalidInput(f"{source} has two columns named '{shown(train.columns[train.columns.duplicated()][0])}'.")
    images = _image_columns(train)
    others = [c for c in train.columns if c not in images]
    if not others:
        raise InvalidInput(f"{source} must have a column to predict; it has images alone.")
    chosen = target_of(others, target, Path(source))
    parts = [without(frame, leave_out, chosen, Path(source)) for frame in frames]
    frames, left = [frame for frame, _ in parts], parts[0][1]
    images = [c for c in images if c not in left]
    if image_size is not None and not images:
        raise InvalidInput(f"an image size is for encoded pictures only; {source} holds a table. Leave it out.")
    notes: tuple[str, ...] = ()
    if not images:
        import pandas as pd

        x, y, features, _, notes, _ = arrays_of(pd.concat(frames, ignore_index=True), chosen, Path(source))
    else:
        encoded = [_bytes(value, source) for f in frames for value in f[images[0]]]
        x, features = read_pictures(encoded, source, image_size), None
        y = np.concatenate([values_of(f[chosen]) for f in frames])
    n = len(train)
    given = None if test is None else (x[n:], y[n:])
    names = (classes or {}).get(chosen, ())
    task = "classification" if task is None and len(names) and y.dtype.kind in "iu" else task  # however many they are
    made = assemble(x[:n], y[:n], name, source=source, task=task, test=given, features=features)
    names = _named(made.classes, names)
    return replace(made, classes=names, predicted=chosen, notes=notes, left_out=left)


def _named(classes: tuple[str, ...], names: Sequence[str]) -> tuple[str, ...]:
    """The classes that are indices of names by these; as they are if not all are."""
    known = {str(index): name for index, name in enumerate(names)}
    return tuple(known[c] for c in classes) if known.keys() >= {*classes} else classes


def parquet_parts(path: Path) -> dict[str, list[Path]]:
    """A folder's Parquet files (its own, else those in `data`) by part: "train", and "test" where there is one."""
    files = sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
    test = [f for f in files if f.name.lower().startswith("test")]
    rest = [f for f in files if f not in test]
    return {"train": rest, **({"test": test} if test else {})} if rest else {}


def _read(files: Sequence[Path]) -> pd.DataFrame:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InvalidInput(
            "reading Parquet needs pyarrow; install it with pip install 'trainsmith[parquet]'."
        ) from error
    import pandas as pd

    frames = []
    for file in files:
        try:
            frames.append(pd.read_parquet(file, engine="pyarrow"))
            frames[-1].select_dtypes("string").to_numpy()  # text that is not UTF-8 shows only now
        except OSError as error:
            if error.errno is not None:
                raise
            raise InvalidInput(f"'{file}' is not a Parquet file, or damaged: {_first_line(error)}.") from error
        except Exception as error:  # a damaged file makes pyarrow raise nearly anything
            raise InvalidInput(f"'{file}' is not a Parquet file, or damaged: {_first_line(error)}.") from error
    if any(list(f.columns) != list(frames[0].columns) for f in frames):
        raise InvalidInput(f"'{files[0].parent}': its Parquet files must have the same columns; they differ.")
    frame = pd.concat(frames, ignore_index=True)
    frame.columns = [str(c) for c in frame.columns]
    return frame


def _first_line(error: Exception) -> str:
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0], 200).rstrip(".")


def _image_columns(frame: pd.DataFrame) -> list[str]:
    """The columns whose first value is an encoded image."""
    first = {name: frame[name].iloc[0] for name in frame.columns}
    return [n for n, v in first.items() if isinstance(v, bytes) or (isinstance(v, dict) and "bytes" in v)]


def _bytes(value: Any, source: str) -> bytes:
    inner = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(inner, bytes):
        raise InvalidInput(f"{source}: every image must be stored as bytes inside the file; one is missing or a path.")
    return inner


def _class_names(file: Path) -> dict[str, list[str]]:
    """Of each column of class indices the classes' names, in Hugging Face's metadata, if there are any."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(file).metadata or {}
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        found = {n: f["names"] for n, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    whole = {n: names for n, names in found.items() if isinstance(names, list)}
    return {n: names for n, names in whole.items() if all(isinstance(name, str) for name in names)}
