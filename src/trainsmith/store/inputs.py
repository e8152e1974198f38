"""A study's data in its folder: what workers read, and apart from it the locked test part."""

import functools
import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from trainsmith.data import Dataset, LockedTest
from trainsmith.data.dataset import Kind, Task
from trainsmith.data.mapped import as_tensor, put_file
from trainsmith.errors import InvalidInput, shown

DATA, TEST = "data", "test"
ABOUT, UNLABELLED = "about.json", "unlabelled.npy"


def digest(dataset: Dataset) -> str:
    """A hash of every number of the data, test part included, 32 hexadecimal digits."""
    mixed = hashlib.blake2b(digest_size=16)
    further = () if dataset.unlabelled is None else (dataset.unlabelled,)
    for part in (dataset.x, dataset.y, dataset.test._x, dataset.test._y, *further):
        array = np.ascontiguousarray(part.numpy())
        mixed.update(f"{array.dtype.str}{array.shape}".encode())
        mixed.update(array.data)
    return mixed.hexdigest()


def put_data(dataset: Dataset, folder: Path) -> None:
    """Write the data into the study's folder: data/ for workers, test/ which only the end of the study opens."""
    for place, x, y in ((DATA, dataset.x, dataset.y), (TEST, dataset.test._x, dataset.test._y)):
        (folder / place).mkdir(exist_ok=True)
        put_file(x, folder / place / "x.npy")
        np.save(folder / place / "y.npy", y.numpy(), allow_pickle=False)
    about: dict[str, Any] = {"name": dataset.name, "kind": dataset.kind, "task": dataset.task}
    about["classes"] = list(dataset.classes)
    if dataset.origin is not None:
        about["origin"] = dict(dataset.origin)
    about |= {"metric": dataset.metric, "labels": dataset.labels}
    if dataset.predicted:
        about["predicted"] = dataset.predicted
    about |= {name: list(said) for name in ("notes", "left_out") if (said := getattr(dataset, name))}
    if dataset.class_weights:
        about["class_weights"] = dataset.class_weights
    if dataset.unlabelled is not None:
        np.save(folder / DATA / UNLABELLED, dataset.unlabelled.numpy(), allow_pickle=False)
    (folder / DATA / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    for file in (file for place in (DATA, TEST) for file in (folder / place).iterdir()):
        _flush(file)  # before the database that says it is there


def data_of(folder: Path) -> Dataset:
    """The whole data set of the study in `folder`."""
    return _assembled(folder, LockedTest(*_part(folder / TEST)))


@functools.lru_cache(maxsize=2)
def data_for_work(folder: Path) -> Dataset:
    """The development part alone, mapped from the disk; the test part is empty."""
    return _assembled(folder, None)


def _assembled(folder: Path, test: LockedTest | None) -> Dataset:
    place = folder / DATA
    x, y = _part(place)
    further = _read(place, UNLABELLED)[0] if (place / UNLABELLED).is_file() else None
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        about["classes"] = tuple(about["classes"])
        about |= {name: tuple(about.get(name, ())) for name in ("notes", "left_out")}
        weights = about.get("class_weights", "")
        about["class_weights"] = weights if isinstance(weights, str) else tuple(map(float, weights))
        found = Dataset(**about, x=x, y=y, test=test or LockedTest(x[:0], y[:0]), unlabelled=further)
        _check(found)
    except (OSError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(f"'{place}' is damaged: {shown(error, 200)}.") from error
    return found


def _check(found: Dataset) -> None:
    """Raises ValueError for what cannot be a data set."""
    for name, value in (("kind", get_args(Kind)), ("task", get_args(Task))):
        if getattr(found, name) not in value:
            raise ValueError(f"there is no {name} {getattr(found, name)!r}")
    words = (found.name, found.metric, found.predicted, *found.classes, *found.notes, *found.left_out)
    words += tuple((found.origin or {}).values())
    if not all(isinstance(word, str) for word in words) or not isinstance(found.labels, int):
        raise ValueError(f"{ABOUT} is not what was written")
    if found.x.ndim < 2 or len(found.x) != len(found.y):
        raise ValueError("inputs and targets do not belong together")
    if found.classifies or found.task == "language":
        least, most = int(found.y.min()), int(found.y.max())
        if found.y.is_floating_point() or not 0 <= least <= most < len(found.classes):
            raise ValueError("targets are no classes")


def _part(place: Path) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = _read(place, "x.npy", "y.npy")
    return x, y


def _read(place: Path, *names: str) -> list[torch.Tensor]:
    try:  # "r": a map that could be written to would be counted as memory, and refused where it is larger
        with warnings.catch_warnings(action="ignore"):
            return [as_tensor(np.load(place / n, mmap_mode="r", allow_pickle=False)) for n in names]
    except Exception as error:  # a damaged header makes numpy raise nearly anything
        raise InvalidInput(f"'{place}' is damaged: {shown(error, 200)}.") from error


class UnreadableWeights(InvalidInput):
    """A file of trained weights is gone or damaged: the runs it belongs to have to be trained again."""


def _flush(path: Path) -> None:
    """See to it that a file, or a folder's names, are on the disk."""
    if os.name != "posix":
        return
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


@dataclass(frozen=True)
class Weights:
    """Trained weights as safetensors files in `folder`, written whole or not at all, and on the disk once written."""

    folder: Path

    def put(self, name: str, state: dict[str, np.ndarray]) -> None:
        from safetensors.numpy import save

        self.folder.mkdir(exist_ok=True)
        data = save({key: np.ascontiguousarray(value) for key, value in state.items()})
        unfinished = self.folder / f"{name}.{id(data):x}.part"
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                os.fsync(file.fileno())
            unfinished.replace(self.folder / name)
            _flush(self.folder)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def get(self, name: str) -> dict[str, np.ndarray]:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            return load((self.folder / name).read_bytes())
        except (OSError, SafetensorError, ValueError) as error:
            raise UnreadableWeights(f"the weights '{self.folder / name}' are missing or damaged: {error}.") from error
