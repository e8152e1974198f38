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


def read_table(path: Path, target: str | None = None) -> tuple[np.ndarray, np.ndarray, list[str], str]:
    """(x, y, features, the target's column) of a table whose first line names the columns.

    See arrays_of, and marks for what separates them.

    A column without a name that only counts the rows, as pandas writes it, is left out. Raises InvalidInput
    for anything that is no such table.
    """
    return arrays_of(_parse(path), target, path)


def _read(path: Path) -> pd.DataFrame:
    """What pandas makes of the file, without guesses about lines that are longer than the header."""
    import pandas as pd

    with path.open("rb") as file:
        head = file.read(1 << 16)
        if b"\0" in head[:4096]:
            raise InvalidInput(f"'{path}' is not a .csv file: it does not hold text. Check what it really is.")
    separator, point = marks(head.decode("utf-8", errors="replace"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path, sep=separator, decimal=point, index_col=False, low_memory=False, skipinitialspace=True
            )
    except UnicodeDecodeError as error:
        raise InvalidInput(f"'{path}' must be text in UTF-8; it is not. Save it as UTF-8.") from error
    except pd.errors.ParserWarning as error:
        raise InvalidInput(
            f"'{path}': its lines have more fields than its header has names. Name every column."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = shown(str(error).strip().splitlines()[-1], 200)
        raise InvalidInput(f"'{path}' is not a table separated by commas: {reason}. Correct the file.") from error


def marks(head: str) -> tuple[str, str]:
    """What separates the columns, and the decimal point, of the table that begins so.

    It is a comma unless the first line holds more semicolons or tabs, as spreadsheets write them where 1,5 is a number:
    then numbers may have a decimal comma, if none has a point.
    """
    first = head.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    comma = separator != "," and re.search(r"\d,\d", head) and not re.search(r"\d\.\d", head)
    return separator, "," if comma else "."


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
    return any("|" in str(c) for c in frame.columns)
