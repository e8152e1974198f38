"""Columns that are read otherwise than one may think, and what is said of them."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import trainsmith
from trainsmith.data import load
from trainsmith.errors import InvalidInput
from trainsmith.store.inputs import ABOUT, DATA, data_of, put_data

RNG = np.random.default_rng(0)
A, Y = RNG.normal(size=60), np.arange(60) % 2


@pytest.fixture
def read(tmp_path):
    """The data set of a table with these columns, beside a and y."""

    def reading(suffix="csv", target=None, **columns):
        frame, path = pd.DataFrame({**columns, "a": A, "y": Y}), tmp_path / f"t.{suffix}"
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        return load(path, target=target)

    return reading


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_percentages_are_numbers_and_it_is_said(read, suffix):
    rates = [f"{i / 4}{' ' * (i % 2)}%" for i in range(60)]
    data = read(suffix, rate=rates)
    assert data.input_shape == (2,)
    both = np.sort(np.concatenate([part[:, 0] for part in (data.x, data.test.open()[0])]))
    assert both.tolist() == [i / 4 for i in range(60)]
    assert data.notes == ("the column 'rate' holds percentages, which are read as numbers: 0.0% as 0.",)
    target = read(suffix, target="rate", rate=rates)
    assert (target.task, target.input_shape) == ("regression", (2,))
    assert target.notes == data.notes


def test_what_is_no_percentage_stays_a_category(read):
    data = read(rate=["5%", "5", "%x"] * 20)
    assert (data.input_shape, data.notes) == ((4,), ())


@pytest.mark.parametrize("mark", ["?", "-", None])
def test_a_missing_percentage_is_missing(read, mark):
    with pytest.raises(InvalidInput, match="column 'rate' has 2 missing of 60"):
        read(rate=[mark if i in (3, 9) else f"{i}%" for i in range(60)])


def test_percentages_with_commas_are_no_categories(read):
    with pytest.raises(InvalidInput, match="the column 'rate' holds numbers written with commas, such as 0,5%"):
        read(rate=[f"{i % 9},5%" for i in range(60)])


def test_ids_that_fall_together_in_32_bits_are_named_with_what_is_left(read):
    ids = 1_000_000_000 + np.arange(60) * 7
    data = read(id=ids, few=np.where(Y, 2**24 + 1, 0), whole=ids * 1.0, exact=2**30 + np.arange(60) * 128)
    left = len(np.unique(ids.astype(np.float32)))
    assert left < 10
    said = dict(re.match(r"the column '(\w+)' has (.*)", note).groups() for note in data.notes)
    assert set(said) == {"id", "whole"}, "the others keep their values apart"
    assert said["id"].startswith("whole numbers beyond 16,777,216, which lose digits in 32 bits (1000000007 becomes ")
    assert (
        f"becomes 1000000000): of its 60 different values {left} are left. If it holds ids, leave it out" in said["id"]
    )
    assert read(fractions=1e9 + np.arange(60) / 7).notes == (), "of measurements digits may be rounded"


@pytest.mark.parametrize(("start", "said"), [(0, True), (1, True), (2, False)])
def test_a_named_column_that_counts_the_rows_is_said(read, start, said):
    notes = read(Id=np.arange(60) + start).notes
    assert [n.startswith("the column 'Id' only counts the rows, and may tell the targets") for n in notes] == [
        True
    ] * said


def test_a_study_says_what_its_data_say_also_when_it_goes_on(read, tmp_path):
    data = read(rate=[f"{i}%" for i in range(60)])
    prepared = trainsmith.plan("mlp", data, techniques=["sgd"], trials=1, seeds=6, steps=5, processes=1)
    assert data.notes[0] in prepared.notes
    place = tmp_path / "s"
    (place / DATA).mkdir(parents=True)
    put_data(data, place)
    assert data_of(place).notes == data.notes
    about = json.loads((place / DATA / ABOUT).read_text())
    (place / DATA / ABOUT).write_text(json.dumps({**about, "notes": [3]}))
    with pytest.raises(InvalidInput, match="is damaged"):
        data_of(place)
