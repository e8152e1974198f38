"""A .csv file made into a table with named columns, or refused in one sentence."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainsmith.data.table import Arrays, arrays_of, target_of, without
from trainsmith.errors import InvalidInput, shown

if TYPE_CHECKING:
    import pandas as pd

VALUE = re.compile(r"-?\d*\.\d+(e[+-]?\d+)?|-\d+", re.IGNORECASE)
"""What a first line that holds values gives itself away by; a column may well be called 1999, not 5.1."""
QUOTED = re.compile(r'"[^"]*"')


def read_table(path: Path, target: str | None = None, leave_out: str | Sequence[str] | None = None) -> Arrays:
    """The arrays of a table whose first line names the columns; see arrays_of, and marks for what separates them.

    leave_out: see without. A column without a name that only counts the rows from 0 or 1, as pandas and R write it, is
    left out without being named. Raises InvalidInput for anything that is no such table.
    """
    frame = _parse(path)
    chosen = target_of(list(frame.columns), target, path)
    frame, left = without(frame, leave_out, chosen, path)
    return arrays_of(frame, chosen, path)._replace(left_out=left)


def _read(path: Path) -> tuple[list[str], pd.DataFrame]:
    """The names in the first line, and what pandas makes of the file, without guesses about longer lines."""
    import pandas as pd

    with path.open("rb") as file:
        head = file.read(1 << 16)
        if b"\0" in head[:4096]:
            raise InvalidInput(f"'{path}' is not a .csv file: it does not hold text. Check what it really is.")
    separator, point = marks(head.decode("utf-8", errors="replace"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            first = pd.read_csv(
                path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False, skipinitialspace=True
            )
            frame = pd.read_csv(
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
    frame.columns = [str(c).strip() for c in frame.columns]
    return [str(name).strip() for name in first.to_numpy().flatten()], frame


def marks(head: str) -> tuple[str, str]:
    """What separates the columns, and the decimal point, of the table that begins so.

    It is a comma unless the first line holds more semicolons or tabs, those in quotes left out, as spreadsheets write
    them where 1,5 is a number: then numbers may have a decimal comma, if none has a point.
    """
    first = QUOTED.sub("", head.lstrip("\r\n").partition("\n")[0])
    separator = max(",;\t", key=first.count)
    comma = separator != "," and re.search(r"\d,\d", head) and not re.search(r"\d\.\d", head)
    return separator, "," if comma else "."


def _parse(path: Path) -> pd.DataFrame:
    """The table with names for its columns, no two alike, at least two of them."""
    names, frame = _read(path)
    if all(c.isdigit() for c in names) or any(VALUE.fullmatch(c) for c in names):
        raise InvalidInput(
            f"'{path}' must begin with a line that names its columns; its first line holds values. Add one."
        )
    if twice := [name for name, times in Counter(names).items() if name and times > 1]:
        raise InvalidInput(f"'{path}' has two columns named '{shown(twice[0])}'. Rename one.")
    if frame.columns[0].startswith("Unnamed: ") and _counts(frame[frame.columns[0]].tolist()):
        frame = frame.drop(columns=frame.columns[0])
    if frame.shape[1] < 2:
        hint = " It seems to be separated by something else: use commas." if _separated(frame) else ""
        raise InvalidInput(
            f"'{path}' must have a column to predict and at least one more; it has {frame.shape[1]}.{hint}"
        )
    return frame


def _counts(values: list[Any]) -> bool:
    """Whether these are 0, 1, 2 ... or 1, 2, 3 ..."""
    return any(values == list(range(start, start + len(values))) for start in (0, 1))


def _separated(frame: pd.DataFrame) -> bool:
    return any("|" in str(c) for c in frame.columns)
