"""MNIST and sets in its format, from their four files in IDX, the format of LeCun, Cortes and Burges (1998).

An IDX file holds big-endian 32-bit words: the magic number 0x08 (unsigned bytes) · 256 + the number of axes,
then the length of each axis; after them the bytes themselves. http://yann.lecun.com/exdb/mnist/
"""

import gzip
import os
import zlib
from os import PathLike
from pathlib import Path

import numpy as np

from trainsmith.errors import InvalidInput, shown

VARIABLE = "TRAINSMITH_DATA"
STEMS = {"train-images": 3, "train-labels": 1, "t10k-images": 3, "t10k-labels": 1}
"""The four files' names before their ending, with the number of their axes."""

Part = tuple[np.ndarray, np.ndarray]


def read_mnist(data_dir: str | PathLike[str] | None = None) -> tuple[Part, Part]:
    """The training and the test part: images (n, height, width) uint8, labels (n,) uint8.

    Looks in DIR/mnist, then in DIR, where DIR is data_dir, else $TRAINSMITH_DATA, else the user's cache
    (~/.cache/trainsmith, or trainsmith in $XDG_CACHE_HOME). Files may be gzipped or not, and named with - or
    . before idx. Raises InvalidInput for files that are missing, damaged or do not belong together.
    """
    folder = data_folder(data_dir)
    paths = _find([folder / "mnist", folder])
    images, labels, test_images, test_labels = (read_idx(paths[s], axes) for s, axes in STEMS.items())
    for kind, x, y in (("train", images, labels), ("t10k", test_images, test_labels)):
        if len(x) != len(y):
            raise InvalidInput(
                f"{paths[f'{kind}-images']} holds {len(x)} images, but {paths[f'{kind}-labels'].name} "
                f"{len(y)} labels; get both files anew."
            )
    return (images, labels), (test_images, test_labels)


def data_folder(data_dir: str | PathLike[str] | None = None) -> Path:
    """Where data files are looked for: data_dir, else $TRAINSMITH_DATA, else the user's cache."""
    given = data_dir or os.environ.get(VARIABLE)
    if given:
        return Path(os.path.expanduser(given))
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "trainsmith"


def _find(folders: list[Path]) -> dict[str, Path]:
    found = {}
    for stem, axes in STEMS.items():
        names = [f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
        places = [folder / name for folder in folders for name in names]
        path = next((p for p in places if p.is_file()), None)
        if path is not None:
            found[stem] = path
    missing = [f"{stem}-idx{axes}-ubyte" for stem, axes in STEMS.items() if stem not in found]
    if missing:
        raise InvalidInput(
            f"MNIST needs its four files, plain or .gz; {', '.join(missing)} not found in "
            f"{' or '.join(map(str, folders))}. Put them there, or say where they are with --data-dir or the "
            f"environment variable {VARIABLE}."
        )
    return found


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The bytes of an IDX file as a uint8 array of `axes` axes. Raises InvalidInput if the file is damaged."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(f"{path} is a damaged gzip file ({shown(error)}); get it anew.") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    start = 4 * (1 + axes)
    header = np.frombuffer(data[: len(data[:start]) // 4 * 4], ">u4")
    magic = 0x0800 + axes
    if len(header) == 0 or header[0] != magic:
        came = f"{header[0]:#010x}" if len(header) else "an empty file"
        raise InvalidInput(
            f"{path} must be an IDX file of bytes with {axes} axes, which begins with {magic:#010x}; got {came}. "
            "Get the file anew."
        )
    shape = tuple(map(int, header[1:]))
    expected = start + int(np.prod(shape, dtype=object))
    if len(shape) != axes or len(data) != expected:
        raise InvalidInput(
            f"{path} must be {expected if len(shape) == axes else start} bytes long for its header; it has "
            f"{len(data)}, so it is cut off or damaged. Get the file anew."
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
