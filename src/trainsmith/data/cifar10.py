"""CIFAR-10 (Krizhevsky 2009), from its binary files or from Parquet files as Hugging Face stores them."""

from os import PathLike
from pathlib import Path

import numpy as np

from trainsmith.data.arrays import assemble
from trainsmith.data.dataset import Dataset
from trainsmith.data.mnist import VARIABLE, data_folder
from trainsmith.data.parquet import parquet_parts, read_parquet
from trainsmith.errors import InvalidInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDERS = ("cifar10", "cifar-10", "cifar-10-batches-bin")
TRAIN, TEST = tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
"""Bytes of an image in a binary file: its class, then the red, green and blue planes row by row."""


def cifar10(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """50,000 and 10,000 colour images of 32 × 32 in ten classes, values in [0, 1], with its own test part.

    Looks in DIR/cifar10, DIR/cifar-10-batches-bin and DIR, DIR as in read_mnist, for the five data_batch_N.bin and
    test_batch.bin, or for Parquet files named train… and test…. Raises InvalidInput where they are missing or damaged.
    """
    folder = data_folder(data_dir)
    places = [folder / name for name in FOLDERS] + [folder]
    for place in places:
        if all((place / name).is_file() for name in (*TRAIN, TEST)):
            x, y = map(np.concatenate, zip(*(_records(place / name) for name in TRAIN), strict=True))
            return assemble(x, y, "cifar10", test=_records(place / TEST), task="classification", classes=CLASSES)
        if place.is_dir() and set(parquet_parts(place)) == {"train", "test"}:
            found = read_parquet(place, task="classification")
            if found.input_shape != SHAPE or found.outputs != len(CLASSES):
                raise InvalidInput(f"'{place}' must hold CIFAR-10; its images are {found.describe()}.")
            return Dataset("cifar10", found.kind, found.task, found.x, found.y, CLASSES, found.test)
    raise InvalidInput(
        "CIFAR-10 needs data_batch_1.bin to data_batch_5.bin and test_batch.bin, or Parquet files named train and "
        f"test; not found in {' or '.join(map(str, places))}. Put them there, or say where they are with "
        f"--data-dir or the environment variable {VARIABLE}."
    )


def _records(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) uint8 and classes (n,) of a binary file."""
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % RECORD:
        raise InvalidInput(f"{path} must hold records of {RECORD} bytes; it has {len(data)} bytes. Get the file anew.")
    records = data.reshape(-1, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise InvalidInput(f"{path} holds a class above 9, so it is damaged or not CIFAR-10. Get the file anew.")
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]
