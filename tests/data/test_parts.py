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
    x, y, names = arrays_of(pd.DataFrame({"price": prices, "target": prices}), None, Path("d.parquet"))
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
    ],
)
def test_dates_and_times_are_refused(values, chosen):
    with pytest.raises(InvalidInput, match=r"column 'when' holds dates or times.*the days since the first"):
        arrays_of(pd.DataFrame({"when": values, "other": [1, 2, 3]}), chosen, Path("d.parquet"))
