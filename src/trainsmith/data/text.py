"""A text cut into pieces, each character's successor to be predicted."""

from os import PathLike
from pathlib import Path

import numpy as np
import torch

from trainsmith.data.dataset import Dataset, LockedTest
from trainsmith.data.mnist import VARIABLE, data_folder
from trainsmith.data.split import SHARE
from trainsmith.errors import InvalidInput, integer, shown

CONTEXT = 32
"""Characters in a piece."""
LEAST_PIECES = 20
MOST_CHARACTERS = 1000
"""Different characters of a text; a network has an output for each."""
FOLDER, FILE = "tinyshakespeare", "input.txt"


def from_text(text: str, name: str = "text", context: int | None = None) -> Dataset:
    """A Dataset for a language model: pieces of `context` characters (default 32) that do not overlap.

    x: (n, context) int64, indices of characters in the order of their code points; y: the same moved on by one. The
    last fifth of the text is locked for the test; seeds validate on pieces of the rest. Raises InvalidInput for a text
    of fewer than 25 pieces, of a single character or of more than 1,000 different ones.
    """
    length = CONTEXT if context is None else integer(context)
    if length is None or length < 1:
        raise InvalidInput(f"the context must be a whole number of characters, at least 1; got {context!r}.")
    codes, indices = np.unique(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4"), return_inverse=True)
    pieces = max(0, len(indices) - 1) // length
    locked = round(pieces * SHARE)
    if pieces - locked < LEAST_PIECES:
        raise InvalidInput(
            f"{name}: at least {LEAST_PIECES * 5 // 4} pieces of {length} characters are needed; the text has "
            f"{len(indices):,} characters. Give more text, or a shorter context."
        )
    if not 1 < len(codes) <= MOST_CHARACTERS:
        raise InvalidInput(
            f"{name}: a text must be written in 2 to {MOST_CHARACTERS:,} different characters; this one has "
            f"{len(codes):,}. Replace the rare ones."
        )
    tokens = torch.from_numpy(indices.astype(np.int64))
    x, y = (tokens[i : i + pieces * length].view(pieces, length) for i in (0, 1))
    rest = pieces - locked
    test = LockedTest(x[rest:], y[rest:])
    return Dataset(name, "text", "language", x[:rest], y[:rest], tuple(map(chr, codes)), test)


def read_text(path: Path, context: int | None = None) -> Dataset:
    """The text of a UTF-8 file, see from_text. Raises InvalidInput for another encoding."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"'{path}' must be text in UTF-8: {shown(error, 120)}. Save it as UTF-8.") from error
    return from_text(text, path.stem, context)


def tiny_shakespeare(data_dir: str | PathLike[str] | None = None, context: int | None = None) -> Dataset:
    """1.1 million characters of Shakespeare, from DIR/tinyshakespeare/input.txt; DIR as in read_mnist."""
    path = data_folder(data_dir) / FOLDER / FILE
    if not path.is_file():
        raise InvalidInput(
            f"{FOLDER} needs its text; not found: {path}. Put it there, or say where the folder is with --data-dir or "
            f"the environment variable {VARIABLE}."
        )
    dataset = read_text(path, context)
    return Dataset(FOLDER, dataset.kind, dataset.task, dataset.x, dataset.y, dataset.classes, dataset.test)
