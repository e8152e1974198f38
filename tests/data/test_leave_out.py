"""Columns of a table that the user leaves out: gone before anything is asked of them, and named wherever data are."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import trainsmith
from trainsmith.cli import main
from trainsmith.data import load
from trainsmith.errors import InvalidInput
from trainsmith.store.inputs import ABOUT, DATA, data_of, put_data

RNG = np.random.default_rng(0)
ROWS = 60
COLUMNS = {
    "Id": [f"row-{i}" for i in range(ROWS)],
    "day": pd.date_range("2024-01-01", periods=ROWS).astype(str),
    "gaps": [None if i % 3 else 1.0 for i in range(ROWS)],
    "a": RNG.normal(size=ROWS),
    "b": RNG.normal(size=ROWS),
    "price": RNG.normal(size=ROWS),
}
UNUSABLE = ["Id", "day", "gaps"]


@pytest.fixture(params=["csv", "parquet"])
def table(request, tmp_path):
    """A table of which three columns cannot be read by a network, in a file of either kind."""
    return written(tmp_path / f"t.{request.param}", COLUMNS)


def written(path, columns):
    frame = pd.DataFrame(columns)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def inputs(data):
    return np.concatenate([data.x.numpy(), data.test.open()[0].numpy()])


def test_what_is_left_is_the_table_without_these_columns(table, tmp_path):
    data = load(table, leave_out=UNUSABLE)
    kept = {name: COLUMNS[name] for name in ("a", "b", "price")}
    assert np.array_equal(inputs(data), inputs(load(written(tmp_path / f"kept{table.suffix}", kept))))
    assert (data.left_out, data.predicted) == (("Id", "day", "gaps"), "price")
    assert data.describe() == (
        "t: 60 rows of 2 columns (left out: Id, day, gaps), a number to predict in column 'price'; 12 locked for the "
        "test"
    )


@pytest.mark.parametrize(
    "said", [["id", "DAY", " gaps"], "Id,day,gaps", ["gaps,day", "Id"], ("gaps", "day", "Id", "Id")]
)
def test_names_come_in_any_case_and_several_in_one_text(table, said):
    assert load(table, leave_out=said).left_out == ("Id", "day", "gaps")


def test_a_name_with_a_comma_is_one_column(tmp_path):
    path = written(tmp_path / "t.csv", {"a,b": COLUMNS["Id"], **{n: COLUMNS[n] for n in ("a", "b", "price")}})
    assert load(path, leave_out="a,b").left_out == ("a,b",)


def test_nothing_is_left_out_unless_it_is_said(table):
    assert load(table, leave_out=UNUSABLE).left_out == load(table, leave_out=tuple(UNUSABLE)).left_out
    for nothing in (None, [], ()):
        with pytest.raises(
            InvalidInput,
            match=r"'gaps' has 40 missing of 60.*, or leave out those rows, or the column with --leave-out\.",
        ):
            load(table, leave_out=nothing)
    assert "left out" not in load("wine").describe()


def test_what_is_predicted_does_not_depend_on_what_is_left_out(table, tmp_path):
    """A table's last column is predicted by default: leaving it out must not make another one the target unsaid."""
    with pytest.raises(InvalidInput, match="column 'price' is what is predicted; name another with --target, or"):
        load(table, leave_out=[*UNUSABLE, "price"])
    data = load(table, leave_out=[*UNUSABLE, "price"], target="a")
    assert (data.predicted, data.left_out) == ("a", ("Id", "day", "gaps", "price"))
    with pytest.raises(InvalidInput, match="column 'a' is what is predicted"):
        load(table, leave_out=["A"], target="a")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["gap"], r"unknown column of '.*t\.(csv|parquet)' 'gap': did you mean gaps\?"),
        ("idd", r"unknown column of '.*' 'idd': did you mean Id\?"),
        ("Id,dya", r"unknown column of '.*' 'dya': did you mean day\?"),
        ([""], "unknown column of '.*' '': choose one of: Id, a, b, day, gaps, price"),
        (["Id", "day", "gaps", "a", "b"], "nothing is left to predict 'price' by"),
        ([3], r"columns to leave out are a list of names, such as \['id'\]; got \[3\]\."),
        (3, r"columns to leave out are a list of names, such as \['id'\]; got 3\."),
    ],
)
def test_what_cannot_be_left_out_is_refused(table, said, words):
    with pytest.raises(InvalidInput, match=words):
        load(table, leave_out=said)


def test_data_that_are_no_table_have_no_columns(tmp_path):
    np.savez(tmp_path / "t.npz", x=RNG.normal(size=(60, 2)), y=np.arange(60) % 2)
    (tmp_path / "t.txt").write_text("to be or not " * 100)
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "x.npy", RNG.normal(size=(60, 2)))
    (tmp_path / "pictures").mkdir()
    for given in ("t.npz", "t.txt", "arrays", "pictures"):
        with pytest.raises(InvalidInput, match="columns are left out of tables only"):
            load(tmp_path / given, leave_out=["a"])
    with pytest.raises(InvalidInput, match="columns are left out of tables in files only; wine has its own"):
        load("wine", leave_out=["alcohol"])


def test_parquet_parts_lose_the_same_columns(tmp_path):
    for part in ("train", "test"):
        written(tmp_path / f"{part}.parquet", COLUMNS)
    data = load(tmp_path, leave_out=UNUSABLE)
    assert (data.left_out, data.input_shape, data.test.size) == (("Id", "day", "gaps"), (2,), ROWS)


def test_images_alone_have_nothing_to_predict(tmp_path):
    written(tmp_path / "t.parquet", {"one": [b"x"] * 30, "two": [b"y"] * 30})
    with pytest.raises(InvalidInput, match="must have a column to predict; it has images alone"):
        load(tmp_path / "t.parquet")


def test_a_study_keeps_what_was_left_out(table, tmp_path):
    data = load(table, leave_out=UNUSABLE)
    put_data(data, tmp_path)
    assert data_of(tmp_path).left_out == data.left_out
    about = json.loads((tmp_path / DATA / ABOUT).read_text())
    (tmp_path / DATA / ABOUT).write_text(json.dumps({**about, "left_out": [3]}))
    with pytest.raises(InvalidInput, match="is damaged"):
        data_of(tmp_path)


def test_the_command_a_file_and_python_ask_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "t.csv", {**COLUMNS, "Id": ["<script>alert(1)</script>"] * ROWS})
    more = ["--techniques", "sgd", "--trials", "1", "--seeds", "2", "--steps", "5", "--processes", "1"]
    asked = ["compare", "t.csv", "--leave-out", "id", "--leave-out", "day,gaps", *more]
    by_command = CliRunner().invoke(main, [*asked, "--out", "one", "--json"])
    assert by_command.exit_code == 0, by_command.output
    assert 'leave_out = ["id", "day,gaps"]' in (tmp_path / "one" / "study.toml").read_text()
    by_file = CliRunner().invoke(main, ["compare", "one/study.toml", "--out", "two", "--json"])
    assert by_file.exit_code == 0, by_file.output
    data = load("t.csv", leave_out=UNUSABLE)
    by_python = trainsmith.compare("mlp", data, techniques=["sgd"], trials=1, seeds=2, steps=5, processes=1)
    records = [json.loads((tmp_path / name / "study.json").read_text()) for name in ("one", "two")]
    for record in records:
        assert record["about"].startswith("t: 60 rows of 2 columns (left out: Id, day, gaps), a number to predict")
        assert [row["scores"] for row in record["rows"]] == [row["scores"] for row in by_python.to_dict()["rows"]]
    page = (tmp_path / "one" / "report.html").read_text()
    assert "(left out: Id, day, gaps)" in page
    assert "frame.drop(columns=" in (tmp_path / "one" / "winner" / "data.py").read_text()
    refused = CliRunner().invoke(main, ["compare", "t.csv", "--leave-out", "dya", "--dry-run"])
    assert (refused.exit_code, "did you mean day?" in refused.output) == (2, True)
