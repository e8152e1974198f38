"""What is given is used, or refused in one sentence: parts of the data, and columns of decimals and dates."""

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainsmith.data import as_dataset
from trainsmith.data.table import arrays_of
from trainsmith.errors import InvalidInput

PAIR = (np.arange(40.0).reshape(20, 2), np.arange(20) % 2)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("unlabeled", r"unknown part of the data 'unlabeled': did you mean unlabelled\?$"),
        ("tests", r"did you mean test\?$"),
        (
            "validation",
            r"choose one of: test, train, unlabelled\. Each seed draws its own validation part from 'train'",
        ),
    ],
)
def test_a_part_that_would_be_dropped_is_refused(part, message):
    with pytest.raises(InvalidInput, match=message):
        as_dataset({"train": PAIR, part: PAIR})


def test_decimals_are_numbers_as_a_column_and_as_the_target():
    prices = [Decimal(i) / 4 for i in range(60)]
    x, y, names, *_ = arrays_of(pd.DataFrame({"price": prices, "target": prices}), None, Path("d.parquet"))
    assert names == ["price"]
    assert x[:, 0].tolist() == y.tolist() == [i / 4 for i in range(60)]


@pytest.mark.parametrize("chosen", ["when", "other"])
@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2020-01-01", periods=3),
        pd.date_range("2020-01-01", periods=3, tz="UTC"),
        pd.to_timedelta([1, 2, 3], unit="D"),
        [datetime.date(2020, 1, d) for d in (1, 2, 3)],
        [datetime.time(d) for d in (1, 2, 3)],
        ["2024-03-01", "2024-3-2", "2024/03/03"],
        ["2024-03-01 09:30", "2024-03-01T09:30:00Z", "2024-03-01 09:30:00.25+01:00"],
        ["1.3.2024", "02.03.2024", "3/31/2024 11:05 PM"],
        ["1 March 2024", "2-Apr-2024", "May 3, 2024"],
        ["09:30", "23:59:59", "00:00"],
    ],
)
def test_dates_and_times_are_refused(values, chosen):
    with pytest.raises(InvalidInput, match=r"column 'when' holds dates or times.*the days since the first"):
        arrays_of(pd.DataFrame({"when": values, "other": [1, 2, 3]}), chosen, Path("d.parquet"))


@pytest.mark.parametrize(
    "values",
    [
        ["2024-03-01", "never", "2024-03-03"],
        ["10-12", "12-14", "14-16"],
        ["2001-02", "2002-03", "2003-04"],
        ["1:10", "1:20", "1:100"],
        ["spring 2024", "day 1", "market 3 2024"],
        ["1.2", "1.2.3", "2.0.1"],
    ],
)
def test_text_that_is_no_date_is_a_category(values):
    x, _, names, *_ = arrays_of(pd.DataFrame({"when": values, "y": [1, 2, 3]}), None, Path("d.csv"))
    assert x.tolist() == np.eye(3)[np.argsort(np.argsort(values))].tolist()
    assert names == [f"when={value}" for value in sorted(values)]
