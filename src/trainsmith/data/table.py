"""A table made into arrays: which column is the target, and what becomes of the others."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainsmith.errors import InvalidInput, shown, unknown_name

if TYPE_CHECKING:
    import pandas as pd

TARGETS = ("target", "label", "class", "y")
MOST_CATEGORIES = 50
TIMES = (date, time, timedelta)
SEVERAL = (list, tuple, dict, set, np.ndarray)
NUMERAL = re.compile(r"[-+]?(\d+|\d{1,3}([.' ]\d{3})+)(,\d+)?|[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
"""A whole number, or one with a comma."""
PERCENTAGE = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)? ?%", re.IGNORECASE)
EXACT = 2**24
"""Up to here every whole number has a 32-bit float of its own."""
CLOCK = r"[0-2]\d:[0-5]\d(:[0-5]\d([.,]\d+)?)?([ ]?[ap]m)?([ ]?(z|utc|[+-]\d\d:?\d\d))?"
MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
WRITTEN = rf"""([12]\d{{3}}[-/.]\d\d?[-/.]\d\d? | \d\d?[-/.]\d\d?[-/.][12]\d{{3}} | \d\d?[ -]{MONTH},?[ -][12]\d{{3}}
    | {MONTH}[ ]\d\d?,?[ ][12]\d{{3}}) ([ t]+{CLOCK})? | {CLOCK}"""
"""Text that is a date, a time or both, such as 2024-03-01, 1/3/2024 09:30, 1 March 2024 or 09:30:00."""


class Arrays(NamedTuple):
    """A table's inputs (n, columns) and targets (n,), the inputs' names, the target's column, and what is to be said.

    notes: of columns that were read otherwise than one may think, a sentence each. left_out: the columns that were left
    out because the user said so.
    """

    x: np.ndarray
    y: np.ndarray
    features: list[str]
    target: str
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def arrays_of(frame: pd.DataFrame, target: str | None, path: Path) -> Arrays:
    """The arrays of a table with named columns.

    target: the target's column; by default the one named target, label, class or y (in that order, any
    case), else the last. Columns of numbers and of true/false are taken as they are, and so are percentages, 5 for 5 %;
    a column of text becomes one column of 0 and 1 for each of its values, in alphabetical order, named "column=value".
    Raises InvalidInput for missing values and for text with more than 50 different values.
    """
    chosen = target_of(list(frame.columns), target, path)
    frame, notes = _without_percent_signs(frame)
    _check_missing(frame, path)
    y = values_of(frame[chosen])
    columns, features = [], []
    for name in frame.columns:
        if name == chosen:
            continue
        values = values_of(frame[name])
        if values.dtype.kind == "U":
            levels = np.unique(values)
            if len(levels) > MOST_CATEGORIES:
                raise InvalidInput(
                    f"'{path}': a column of text may have {MOST_CATEGORIES} different values at most; column "
                    f"'{shown(name)}' has {len(levels)}. Leave it out with --leave-out, or turn it into numbers."
                )
            columns += [values == level for level in levels]
            features += [f"{name}={level}" for level in levels]
        else:
            columns.append(values)
            features.append(name)
            notes += _merged(name, values) or _counting(name, values)
    return Arrays(np.column_stack([np.asarray(c, np.float64) for c in columns]), y, features, chosen, tuple(notes))


def _without_percent_signs(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with numbers in place of columns of percentages, beside which there may be marks for missing ones."""
    found, notes = frame.copy(deep=False), []
    for name in frame.columns:
        text = frame[name].to_numpy()
        if text.dtype.kind != "O" or not all(isinstance(v, str) for v in text[~frame[name].isna()]):
            continue
        held = np.array([isinstance(v, str) and any(map(str.isalnum, v)) for v in text], bool)
        if held.any() and all(PERCENTAGE.fullmatch(v.strip()) for v in text[held]):
            numbers = text.astype(object)
            numbers[held] = [float(v.strip().rstrip("%")) for v in text[held]]
            found[name] = numbers.astype(np.float64) if held.all() else numbers
            said = f"{text[held][0].strip()} as {numbers[held][0]:g}"
            notes.append(f"the column '{shown(name)}' holds percentages, which are read as numbers: {said}.")
    return found, notes


def _merged(name: str, values: np.ndarray) -> list[str]:
    """That whole numbers of a column fall together in 32 bits, if some do."""
    if values.dtype.kind not in "iuf" or not len(values) or float(np.abs(values).max()) <= EXACT:
        return []
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    different, left = len(np.unique(values)), len(np.unique(single))
    if left == different or not (values == np.floor(values)).all():
        return []
    lost = int(np.flatnonzero(single.astype(np.float64) != values.astype(np.float64))[0])
    return [
        f"the column '{shown(name)}' has whole numbers beyond {EXACT:,}, which lose digits in 32 bits "
        f"({values[lost]:.0f} becomes {single[lost]:.0f}): of its {different:,} different values {left:,} are left. "
        "If it holds ids, leave it out with --leave-out; else subtract what all have in common, or split it in two "
        "columns."
    ]


def _counting(name: str, values: np.ndarray) -> list[str]:
    """That a column only counts the rows, if it does."""
    count = np.arange(len(values))
    if len(values) < 2 or not any(np.array_equal(values, count + start) for start in (0, 1)):
        return []
    return [
        f"the column '{shown(name)}' only counts the rows, and may tell the targets of rows that are sorted by them: "
        "leave it out with --leave-out if it is no measurement."
    ]


def target_of(names: list[str], target: str | None, path: Path) -> str:
    """The column to predict: the one asked for, in any case, or the usual one, or the last."""
    if target is None:
        usual = [n for wanted in TARGETS for n in names if n.lower() == wanted]
        return usual[0] if usual else names[-1]
    return _called(target, names, path)


def _called(name: str, names: list[str], path: Path) -> str:
    """The column of this name, in any case."""
    near = [name] if name in names else [n for n in names if n.lower() == name.strip().lower()]
    if len(near) != 1:
        raise unknown_name(f"column of '{path}'", name, names)
    return near[0]


def without(
    frame: pd.DataFrame, leave_out: str | Sequence[str] | None, target: str, path: Path
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table without these columns, and their names in its order.

    leave_out: columns' names, in any case; a text that is no column's name is several, separated by commas. target: the
    column to predict. Raises InvalidInput for a column that is not there, and for the target.
    """
    given = [leave_out] if isinstance(leave_out, str) else [] if leave_out is None else leave_out
    if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise InvalidInput(f"columns to leave out are a list of names, such as ['id']; got {shown(repr(leave_out))}.")
    names = [str(name) for name in frame.columns]
    several = [part for text in given for part in ([text] if text in names else text.split(","))]
    wanted = {_called(name, names, path) for name in several}
    if target in wanted:
        raise InvalidInput(
            f"'{path}': column '{shown(target)}' is what is predicted; name another with --target, or do not leave it "
            "out."
        )
    if wanted and len(wanted) > len(names) - 2:
        raise InvalidInput(f"'{path}': nothing is left to predict '{shown(target)}' by. Leave fewer columns out.")
    left = tuple(name for name in names if name in wanted)
    return frame.drop(columns=list(left)), left


def _check_missing(frame: pd.DataFrame, path: Path) -> None:
    missing = frame.isna().sum()
    for place, name in enumerate(frame.columns):
        missing.iloc[place] += _marked(frame[name])
    columns = missing[missing > 0]
    if len(columns):
        others = len(columns) - 1
        more = f" ({others} other column{'s' if others > 1 else ''} too)" if others else ""
        raise InvalidInput(
            f"'{path}': every value must be there; column '{shown(columns.index[0])}' has {columns.iloc[0]} missing of "
            f"{len(frame)}{more}. Fill them, or leave out those rows, or the column with --leave-out."
        )


def _marked(column: pd.Series) -> int:
    """How many values of a column of numbers are a mark, such as ? or -, that stands for none."""
    array = column.to_numpy()
    if array.dtype.kind != "O":
        return 0
    marks = np.array([isinstance(v, str) and not any(map(str.isalnum, v)) for v in array])
    if not marks.any() or marks.all():
        return 0
    try:
        array[~marks].astype(np.float64)
    except (ValueError, TypeError):
        return 0
    return int(marks.sum())


def values_of(column: pd.Series) -> np.ndarray:
    """Numbers, decimals among them, and booleans as they are, anything else as text. Raises InvalidInput for times,
    and for text that all is dates or times, as a .csv file holds them."""
    array = column.to_numpy()
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "mM" or any(isinstance(v, TIMES) for v in array) or _written_times(array):
        raise InvalidInput(
            f"the column '{shown(column.name)}' holds dates or times, which are no numbers: turn them into some, such "
            "as the days since the first, or leave the column out with --leave-out."
        )
    if any(isinstance(v, SEVERAL) for v in array):
        raise InvalidInput(
            f"the column '{shown(column.name)}' holds several values in a row: give each a column of its own, or leave "
            "the column out with --leave-out."
        )
    if _with_commas(array):
        raise InvalidInput(
            f"the column '{shown(column.name)}' holds numbers written with commas, such as {shown(array[0])}, which "
            "are text here: write them as 1234.5."
        )
    if len(array) and all(isinstance(v, Decimal) for v in array):
        return array.astype(np.float64)
    return np.array([str(v) for v in array])


def _with_commas(array: np.ndarray) -> bool:
    """Whether all are text that is a number or a percentage, some with a comma: for decimals, or between thousands."""
    text = [v.strip().removesuffix("%").rstrip() for v in array if isinstance(v, str)]
    return len(text) == len(array) > 0 and any("," in v for v in text) and all(map(NUMERAL.fullmatch, text))


def _written_times(array: np.ndarray) -> bool:
    return len(array) > 0 and all(isinstance(v, str) and _written().fullmatch(v.strip()) is not None for v in array)


@functools.cache
def _written() -> re.Pattern[str]:
    """Compiled when it is first asked for: that takes longer than reading a small table."""
    return re.compile(WRITTEN, re.IGNORECASE | re.VERBOSE)
