"""Examples too many for memory: .npy files on the disk, mapped, of which only what is looked at is read."""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from trainsmith.errors import InvalidInput, shown
from trainsmith.leftovers import held_folder, sweep
from trainsmith.rows import Rows, pieces

HELD = 2**28
"""Bytes as float32 up to which the examples of a mapped array are read into memory all the same."""

SCRATCH = "trainsmith-"
"""What the names of folders for such files begin with."""

_NUMBERS = itertools.count()


def is_mapped(array: np.ndarray) -> bool:
    """Whether the array, or what it is a view of, is a memory map."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def stays_on_disk(x: np.ndarray) -> bool:
    """Whether these examples are a memory map, and too large to be read into memory."""
    return is_mapped(x) and x.size * 4 > HELD


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor of the same numbers in the same place, which nobody may write to where the array is a read-only map."""
    with warnings.catch_warnings(action="ignore"):
        tensor = torch.from_numpy(array)
    if isinstance(array, np.memmap):
        tensor.map = array  # type: ignore[attr-defined]
    return tensor


def map_of(tensor: Tensor) -> np.memmap | None:
    """The memory map that a tensor of as_tensor looks at, if it does."""
    return getattr(tensor, "map", None)


def written(parts: Iterable[np.ndarray], shape: tuple[int, ...], dtype: Any = np.float32) -> Tensor:
    """The parts, one after another an array of this shape, as a file that is mapped; it goes when the tensor does.

    The file lies in the folder TMPDIR, else in /var/tmp where there is one, which is a disk where /tmp may be memory.
    Raises InvalidInput where it has no room.
    """
    _check_room(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    place = _folder() / f"{next(_NUMBERS)}.npy"
    with place.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            np.ascontiguousarray(part, dtype).tofile(file)
    tensor = as_tensor(np.load(place, mmap_mode="r"))
    weakref.finalize(tensor, place.unlink, missing_ok=True)
    return tensor


def rows_of(x: Tensor, chosen: np.ndarray) -> Tensor:
    """x[chosen], on the disk if x is."""
    if map_of(x) is None:
        return x[torch.from_numpy(chosen)]
    parts = (piece.numpy() for piece in pieces(Rows(x, chosen)))
    return written(parts, (len(chosen), *x.shape[1:]))


def opened(path: Path) -> np.ndarray:
    """The array of an .npy file as a map. Raises InvalidInput for a damaged file, and for one of Python objects."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged header makes numpy raise nearly anything
        raise InvalidInput(
            f"'{path}' must be an array of numbers or text written by numpy.save: {shown(error, 200)}."
        ) from error


def member_of(archive: Any, name: str) -> Any:
    """An array of an .npz file that numpy opened; a large one as a map of a file that it is unpacked to."""
    member = next((m for m in (f"{name}.npy", name) if m in archive.zip.NameToInfo), None)
    if member is None or archive.zip.getinfo(member).file_size <= HELD:
        return archive[name]
    _check_room(archive.zip.getinfo(member).file_size)
    place = _folder() / f"{next(_NUMBERS)}.npy"
    with archive.zip.open(member) as packed, place.open("wb") as file:
        shutil.copyfileobj(packed, file, 2**20)
    array = np.load(place, mmap_mode="r", allow_pickle=False)
    weakref.finalize(array, place.unlink, missing_ok=True)
    return array


def put_file(x: Tensor, path: Path) -> None:
    """Write x (n, ...) as an .npy file: a mapped one by another name of its file, if that can be."""
    found = map_of(x)
    if found is not None and found.filename is not None and Path(found.filename).parent == _folder():
        try:
            os.link(found.filename, path)
        except OSError:  # on another disk
            shutil.copyfile(found.filename, path)
        return
    np.save(path, x.numpy(), allow_pickle=False)


def _check_room(need: int) -> None:
    free = shutil.disk_usage(_folder()).free
    if free < need:
        raise InvalidInput(
            f"data larger than memory are kept on the disk while they are used; '{_folder().parent}' must have "
            f"{need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Set the environment variable TMPDIR to a folder "
            "with more room."
        )


@functools.cache
def sweep_scratch() -> None:
    """Remove, once in a process, the files of those that were killed while they used data larger than memory."""
    with contextlib.suppress(OSError):
        sweep(_place(), f"{SCRATCH}*")


def _place() -> Path:
    """Where the files lie."""
    named = os.environ.get("TMPDIR")
    usual = Path("/var/tmp")
    return Path(named) if named else usual if os.access(usual, os.W_OK) else Path(tempfile.gettempdir())


def _folder() -> Path:
    """This process's folder, made when it is first needed; it goes at the process's end."""
    return _held()[0]


@functools.cache
def _held() -> tuple[Path, FileLock]:
    sweep_scratch()
    folder, lock = held_folder(_place(), SCRATCH)
    atexit.register(_remove, folder, os.getpid())
    return folder, lock


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)
