"""A .csv table made into arrays: which column is the target, and what becomes of the others."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainsmith.errors import InvalidInput, unknown_name

if TYPE_CHECKING:
    import pandas as pd

TARGETS = ("target", "label", "class", "y")
MOST_CATEGORIES = 50
VALUE = re.compile(r"-?\d*\.\d+(e[+-]?\d+)?|-\d+", re.IGNORECASE)
"""What a first line that holds values gives itself away by; a column may well be called 1999, not 5.1."""


def read_table(path: Path, target: str | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(x, y, features) of a comma-separated table whose first line names the columns.

    target: the target's column; by default the one named target, label, class or y (in that order, any
    case), else the last. Columns of numbers and of true/false are taken as they are; a column of text becomes
    one column of 0 and 1 for each of its values, in alphabetical order, named "column=value". A column
    without a name that only counts the rows, as pandas writes it, is left out. Raises InvalidInput for
    missing values, for text with more than 50 different values, and for anything that is no such table.
    """
    frame = _parse(path)
    chosen = _target(frame, target, path)
    _check_missing(frame, path)
    y = _values(frame[chosen])
    columns, features = [], []
    for name in frame.columns:
        if name == chosen:
            continue
        values = _values(frame[name])
        if values.dtype.kind == "U":
            levels = np.unique(values)
            if len(levels) > MOST_CATEGORIES:
                raise InvalidInput(
                    f"'{path}': a column of text may have {MOST_CATEGORIES} different values at most; column "
                    f"'{name}' has {len(levels)}. Leave it out, or turn it into numbers."
                )
            columns += [values == level for level in levels]
            features += [f"{name}={level}" for level in levels]
        else:
            columns.append(values)
            features.append(name)
    return np.column_stack([np.asarray(c, np.float64) for c in columns]), y, features


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
        reason = str(error).strip().splitlines()[-1]
        raise InvalidInput(f"'{path}' is not a table separated by commas: {reason}. Correct the file.") from error


def _parse(path: Path) -> pd.DataFrame:
    """The table with names for its columns, no two alike, at least two of them."""
    frame = _read(path)
    frame.columns = [str(c).strip() for c in frame.columns]
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise InvalidInput(f"'{path}' has two columns named '{name}'. Rename one.")
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


def _target(frame: pd.DataFrame, target: str | None, path: Path) -> str:
    names = list(frame.columns)
    if target is None:
        usual = [n for wanted in TARGETS for n in names if n.lower() == wanted]
        return usual[0] if usual else names[-1]
    if target in names:
        return target
    near = [n for n in names if n.lower() == target.strip().lower()]
    if len(near) != 1:
        raise unknown_name(f"column of '{path}'", target, names)
    return near[0]


def _check_missing(frame: pd.DataFrame, path: Path) -> None:
    missing = frame.isna().sum()
    columns = missing[missing > 0]
    if len(columns):
        others = len(columns) - 1
        more = f" ({others} other column{'s' if others > 1 else ''} too)" if others else ""
        raise InvalidInput(
            f"'{path}': every value must be there; column '{columns.index[0]}' has {columns.iloc[0]} missing of "
            f"{len(frame)}{more}. Fill them or leave those rows out."
        )


def _values(column: pd.Series) -> np.ndarray:
    """Numbers and booleans as they are, anything else as text."""
    array = column.to_numpy()
    return array if array.dtype.kind in "biuf" else np.array([str(v) for v in array])
