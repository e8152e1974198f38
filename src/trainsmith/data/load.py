"""load: the one door from what a user types to a Dataset."""

import os
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from trainsmith.data.dataset import Dataset
from trainsmith.data.files import SUFFIXES, read_file
from trainsmith.data.mapped import sweep_scratch
from trainsmith.data.named import IN_FILES, NAMES, known_name, named
from trainsmith.errors import InvalidInput, unknown_name, whole

WHERE = f"a data folder says where the files of {', '.join(IN_FILES[:-1])} and {IN_FILES[-1]} are"


def load(
    name_or_path: str | PathLike[str],
    *,
    data_dir: str | PathLike[str] | None = None,
    target: str | None = None,
    task: str | None = None,
    image_size: int | None = None,
    context: int | None = None,
    leave_out: str | Sequence[str] | None = None,
) -> Dataset:
    """A Dataset by name, one of NAMES, or from a file or a folder.

    Files are .npz, .csv, .parquet and .txt; folders hold pictures in a folder for each class, Parquet files, or x.npy
    and y.npy.
    data_dir: where the files of MNIST, CIFAR-10 and tinyshakespeare are. target: the column to predict, of a table.
    leave_out: columns of a table that are not read, such as ids.
    task: see from_arrays, where a file's targets would be taken for another; a set with a name may be asked for
    autoencoding, or for balanced instead
    of classification. image_size: scale and crop pictures to so many pixels on each side. context: characters in a
    piece of a text. Raises InvalidInput for
    anything that cannot be loaded or that no network can be trained on.
    """
    sweep_scratch()
    asked: dict[str, Any] = {"data_dir": data_dir, "target": target, "task": task}
    asked |= {"image_size": image_size, "context": context}
    given = os.fspath(name_or_path)
    dataset = _loaded(given, **asked, leave_out=leave_out)
    place = known_name(given) or _encodable(Path(os.path.expanduser(given)).absolute())
    return replace(dataset, origin={"given": place, **{k: str(v) for k, v in asked.items() if v is not None}})


def _encodable(path: Path) -> str:
    """The path as text that can be stored. Raises InvalidInput for one whose bytes are no UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a path must be text in UTF-8; '{path}' is not. Rename what is not.") from error
    return str(path)


def _loaded(
    given: str,
    data_dir: str | PathLike[str] | None,
    target: str | None,
    task: str | None,
    image_size: int | None,
    context: int | None,
    leave_out: str | Sequence[str] | None,
) -> Dataset:
    known = known_name(given)
    if known is None:
        if "://" in given:
            raise InvalidInput(f"data are read from files on this machine; download '{given}' and give its path.")
        if _is_path(given):
            if data_dir is not None:
                raise InvalidInput(f"{WHERE}; '{given}' is where these data are: leave it out.")
            image_size = None if image_size is None else whole("the image size", image_size)
            return read_file(Path(os.path.expanduser(given)), target, task, image_size, context, leave_out)
        raise _unknown(given)
    if target is not None:
        raise InvalidInput(f"a target is named for tables only; {known} has its own.")
    if leave_out:
        raise InvalidInput(f"columns are left out of tables in files only; {known} has its own.")
    if image_size is not None:
        raise InvalidInput(f"an image size is for pictures in files and folders; {known} has its own.")
    if context is not None and known != "tinyshakespeare":
        raise InvalidInput(f"a context is for texts only; {known} is none.")
    if data_dir is not None and known not in IN_FILES:
        raise InvalidInput(f"{WHERE}; {known} needs none: leave it out.")
    dataset = named(known, data_dir, context)
    wanted = dataset.task if task is None else task.strip().lower()
    if wanted == "autoencoding":
        return dataset.autoencoding()
    if wanted == "balanced" and dataset.task == "classification":
        return replace(dataset, task="balanced")
    if wanted != dataset.task:
        raise InvalidInput(f"{known} is always a {dataset.task}, got '{task}'; another task is for data in files.")
    return dataset


def _unknown(given: str) -> InvalidInput:
    """The error for what is neither a name nor a path."""
    place, colon, factory = given.rpartition(":")
    if colon and place and factory.isidentifier():
        missing = f" (and there is no file '{place}')" if place.endswith(".py") and not Path(place).is_file() else ""
        return InvalidInput(
            f"'{given}' names a network{missing}, and the data must be a name or a path; give both: trainsmith inspect "
            f"{given} --data DATA, or trainsmith compare DATA --network {given}."
        )
    near = [f"{given}{suffix}" for suffix in SUFFIXES if given and Path(f"{given}{suffix}").is_file()]
    if near:
        return InvalidInput(f"there is no data set and no file '{given}'; did you mean {' or '.join(near)}?")
    unknown = unknown_name("data set", given, NAMES)
    return InvalidInput(f"{unknown} Data of your own are given as a path to a file or folder.")


def _is_path(given: str) -> bool:
    path = Path(given)
    if given.rpartition(":")[0].endswith(".py"):  # a network
        return path.exists()
    there = path.suffix.lower() in SUFFIXES or len(path.parts) > 1 or os.path.exists(os.path.expanduser(path))
    return bool(given) and there
