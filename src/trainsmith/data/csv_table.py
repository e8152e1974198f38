"""A .csv file made into a table with named columns, or refused in one sentence."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainsmith.data.table import arrays_of
from trainsmith.errors import InvalidInput, shown

if TYPE_CHECKING:
    import pandas as pd

VALUE = re.compile(r"-?\d*\.\d+(e[+-]?\d+)?|-\d+", re.IGNORECASE)
"""What a first line that holds values gives itself away by; a column may well be called 1999, not 5.1."""


def read_table(path: Path, target: str | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(x, y, features) of a comma-separated table whose first line names the columns; see arrays_of.

    A column without a name that only counts the rows, as pandas writes it, is left out. Raises InvalidInput
    for anything that is no such table.
    """
    return arrays_of(_parse(path), target, path)


def _read(path: Path) -> pd.DataFrame:
    """What pandas makes of the file, without guesses about lines that are longer than the header."""
    import pandas as pd

    with path.open("rb") as file:
        if b"\0" in file.read(4096):
            raise InvalidInput(f"'{path}' is not a .csv file: it does not hold text. Check what it really is.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, index_col=False, low_memory=False, skipinitialspace=True)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"'{path}' must be text in UTF-8; it is not. Save it as UTF-8.") from error
    except pd.errors.ParserWarning as error:
        raise InvalidInput(
            f"'{path}': its lines have more fields than its header has names. Name every column."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = shown(str(error).strip().splitlines()[-1], 200)
        raise InvalidInput(f"'{path}' is not a table separated by commas: {reason}. Correct the file.") from error


def _parse(path: Path) -> pd.DataFrame:
    """The table with names for its columns, no two alike, at least two of them."""
    frame = _read(path)
    frame.columns = [str(c).strip() for c in frame.columns]
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise InvalidInput(f"'{path}' has two columns named '{shown(name)}'. Rename one.")
    if all(c.isdigit() for c in frame.columns) or any(VALUE.fullmatch(c) for c in frame.columns):
        raise InvalidInput(
            f"'{path}' must begin with a line that names its columns; its first line holds values. Add one."
        )
    counter = frame.columns[0]
    if counter.startswith("Unnamed: ") and list(frame[counter]) == list(range(len(frame))):
        frame = frame.drop(columns=counter)
    if frame.shape[1] < 2:
        hint = " It seems to be separated by something else: use commas." if _separated(frame) else ""
        raise InvalidInput(
            f"'{path}' must have a column to predict and at least one more; it has {frame.shape[1]}.{hint}"
        )
    return frame


def _separated(frame: pd.DataFrame) -> bool:
    return any(mark in str(c) for c in frame.columns for mark in ";\t|")
