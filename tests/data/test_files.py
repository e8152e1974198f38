"""Data from .npz and .csv files: round trips, and every file that is not what it should be."""

import io
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch

from trainsmith.data import load
from trainsmith.data.csv_table import read_table
from trainsmith.errors import InvalidInput
from trainsmith.store import data_of
from trainsmith.store.inputs import put_data

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = np.arange(60) % 3


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def together(data):
    """Every example with its target, in the order of the first column."""
    x, y = data.test.open()
    x, y = torch.cat([data.x, x]).numpy(), torch.cat([data.y, y]).numpy()
    order = x.reshape(len(x), -1)[:, 0].argsort()
    return x[order], y[order]


@pytest.mark.parametrize("names", [("x", "y"), ("X", "y"), ("X", "Y")])
def test_npz_round_trip(here, names):
    np.savez(here / "mine.npz", **dict(zip(names, (X, Y), strict=True)), other=np.arange(3))
    data = load("mine.npz")
    assert (data.name, data.kind, data.test.size) == ("mine", "table", 12)
    x, y = together(data)
    order = X[:, 0].argsort()
    np.testing.assert_array_equal(x, X[order])
    np.testing.assert_array_equal(y, Y[order])


def test_npz_with_a_test_part_of_its_own(here):
    test_x, test_y = RNG.normal(size=(9, 3)), np.array(["b", "c", "c"] * 3)
    np.savez_compressed(here / "mine.npz", x=X, y=np.array(["a", "b", "c"])[Y], x_test=test_x, y_test=test_y)
    (here / "mine.npz").rename(here / "mine.NPZ")
    data = load(here / "mine.NPZ")
    assert len(data.x) == 60
    x, y = data.test.open()
    np.testing.assert_array_equal(x.numpy(), test_x.astype(np.float32))
    assert y.tolist() == [1, 2, 2] * 3, "the first class is not among the test examples"


def test_npz_regression_with_a_test_part(here):
    np.savez(here / "r.npz", x=X, y=X[:, 0] * 3, X_test=X[:7], Y_test=X[:7, 0] * 3)
    data = load("r.npz")
    assert (data.task, data.test.size) == ("regression", 7)
    np.testing.assert_array_equal(data.test.open()[1].numpy(), X[:7, 0] * 3)


def test_npz_images_in_bytes(here):
    images = RNG.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)
    np.savez(here / "images.npz", x=images, y=Y, x_test=images[:3], y_test=Y[:3])
    data = load("images.npz")
    assert (data.kind, data.input_shape) == ("image", (3, 6, 5))
    np.testing.assert_allclose(data.x.numpy() * 255, images.transpose(0, 3, 1, 2), rtol=1e-6)
    assert torch.equal(data.test.open()[0], data.x[:3])


def frame():
    """Numbers, booleans and text; the target in the middle."""
    return pd.DataFrame(
        {
            "size": X[:, 0].astype(float),
            "Class": np.array(["low", "mid", "top"])[Y],
            "wet": Y == 1,
            "colour": np.array(["red", "blue", "a green"])[(np.arange(60) // 3) % 3],
            "count": np.arange(60),
        }
    )


def test_csv_round_trip_with_text_as_columns_of_0_and_1(here):
    frame().to_csv("table.csv", index=False)
    data = load("table.csv")
    assert (data.name, data.task, data.classes, data.input_shape) == (
        "table", "classification", ("low", "mid", "top"), (6,),
    )  # fmt: skip
    x, y = together(data)
    raw = frame().iloc[X[:, 0].argsort()]
    one_hot = [raw.colour == level for level in ("a green", "blue", "red")]
    wanted = np.column_stack([raw["size"], raw.wet, *one_hot, raw["count"]]).astype(np.float32)
    np.testing.assert_array_equal(x, wanted)
    assert [data.classes[i] for i in y] == raw["Class"].tolist()


@pytest.mark.parametrize(
    ("columns", "target", "shape", "task"),
    [
        (["a", "label", "TARGET", "b"], None, "TARGET", "classification"),
        (["y", "label", "b"], None, "label", "classification"),
        (["a", "b", "c", "y", "d"], None, "y", "regression"),
        (["a", "b", "c"], None, "c", "regression"),
        (["a", "label", "c"], "a", "a", "regression"),
        (["a", "label", "c"], "C", "c", "regression"),
    ],
)
def test_which_column_is_the_target(here, columns, target, shape, task):
    values = {c: Y if c.lower() in ("target", "label") else X[:, 0] * (i + 1) for i, c in enumerate(columns)}
    pd.DataFrame(values).to_csv("t.csv", index=False)
    data = load("t.csv", target=target)
    assert (data.task, data.input_shape) == (task, (len(columns) - 1,))
    got = np.sort(together(data)[1])
    np.testing.assert_allclose(got, np.sort(values[shape]).astype(np.float32), rtol=1e-6)


@pytest.mark.parametrize(("ending", "target"), [(".csv", None), (".csv", "SIZE"), (".parquet", None)])
def test_a_table_says_which_column_is_predicted(here, ending, target):
    """A person who named none sees which one was taken; a study that goes on still says so."""
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is in the parquet extra")
    table = frame().drop(columns="wet")
    table.to_csv("t.csv", index=False) if ending == ".csv" else table.to_parquet("t.parquet", index=False)
    data = load(f"t{ending}", target=target)
    said = "3 classes in column 'Class'" if target is None else "a number to predict in column 'size'"
    assert said in data.describe()
    folder = here / "study"
    folder.mkdir()
    put_data(data, folder)
    assert data_of(folder).describe() == data.describe()


def test_the_task_of_a_csv_can_be_said(here):
    pd.DataFrame({"a": X[:, 0], "y": Y}).to_csv("t.csv", index=False)
    assert load("t.csv").task == "classification"
    assert load("t.csv", task="regression").task == "regression"


def test_the_column_in_which_pandas_counts_rows_is_left_out(here):
    frame().to_csv("t.csv")
    assert load("t.csv").input_shape == (6,)
    pd.DataFrame({"": np.arange(60)[::-1], "a": X[:, 0], "y": Y}).to_csv("t.csv", index=False)
    assert load("t.csv").input_shape == (2,), "a column without a name that does not count them is data"


def test_spaces_and_a_byte_order_mark_do_no_harm(here):
    lines = ["a, colour , y", *(f"{i}.5, red{i % 2}, {'no' if i % 2 else 'yes'}" for i in range(60))]
    (here / "t.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    data = load("t.csv", target="y")
    assert (data.input_shape, data.classes) == ((3,), ("no", "yes"))


def test_columns_may_be_called_by_year(here):
    pd.DataFrame({"1990": X[:, 0], "1991": X[:, 1], "y": Y}).to_csv("t.csv", index=False)
    assert load("t.csv").input_shape == (2,)


def text(content):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def saved(**arrays):
    return lambda path: np.savez(path, **arrays)


def table(**columns):
    return lambda path: pd.DataFrame(columns).to_csv(path, index=False)


def npy():
    """The bytes of one array, as numpy.save writes them."""
    file = io.BytesIO()
    np.save(file, X)
    return file.getvalue()


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", "no array")
        archive.writestr("y.npy", "no array")


def header(path):
    """An archive that is whole, of an array whose header cannot be parsed."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy().replace(b"{", b"(", 1))
        archive.writestr("y.npy", npy())


def cut(path):
    """An archive whose directory is whole and whose array is damaged."""
    np.savez(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[300:340] = b"#" * 40
    path.write_bytes(content)


def objects(path):
    np.savez(path, x=np.array([[{}]] * 60), y=Y)


def holes(**columns):
    return {c: pd.Series(v, dtype=object).mask(np.arange(60) < n) for c, (v, n) in columns.items()}


NAN = np.where(np.arange(180).reshape(60, 3) == 7, np.nan, X)
ROWS = "\n".join(f"{i},{i % 7},{i % 2}" for i in range(40))
REFUSED = [
    ("empty.npz", text(""), "'empty.npz' is empty; an .npz file with examples is needed"),
    ("empty.csv", text(""), "'empty.csv' is empty"),
    ("blank.csv", text("\n\n"), "'blank.csv' is not a table separated by commas: No columns"),
    ("text.npz", text("a,b\n1,2"), "'text.npz' is not an .npz file; write one with numpy.savez"),
    ("array.npz", text(npy()), "'array.npz' is not an .npz file"),
    ("zipped.npz", zipped, "'zipped.npz': x is not a numpy array"),
    ("header.npz", header, "'header.npz' is damaged: "),
    ("cut.npz", cut, "'cut.npz' is damaged: Bad CRC"),
    ("objects.npz", objects, "x holds Python objects, which are never loaded"),
    ("names.npz", saved(data=X, labels=Y), "must hold arrays named x and y; it holds: data, labels"),
    ("twice.npz", saved(x=X, X=X, y=Y), "holds two arrays named x"),
    ("half.npz", saved(x=X, y=Y, x_test=X), "both x_test and y_test or neither"),
    ("lengths.npz", saved(x=X, y=Y[:50]), "lengths.npz: x and y must have one entry per example; x has 60 and y 50"),
    ("nan.npz", saved(x=NAN, y=Y), "nan.npz: x must be finite; 1 of 60 values in feature 1"),
    (
        "shape.npz",
        saved(x=X, y=Y, x_test=X[:5, :2], y_test=Y[:5]),
        r"the test part must hold examples of shape \(3,\) like the rest; got 5 of shape \(2,\)",
    ),
    ("none.npz", saved(x=X, y=Y, x_test=X[:0], y_test=Y[:0]), r"like the rest; got 0 of shape \(3,\)"),
    (
        "testnan.npz",
        saved(x=X, y=Y, x_test=NAN, y_test=Y),
        "testnan.npz, test part: x must be finite",
    ),
    ("newclass.npz", saved(x=X, y=Y, x_test=X, y_test=Y + 1), "the test part holds class '3'"),
    ("rare.npz", saved(x=X, y=np.arange(60) // 59, x_test=X, y_test=Y // 2), "at least 2 examples.* '1' has 1"),
    ("binary.csv", saved(x=X, y=Y), "'binary.csv' is not a .csv file"),
    ("latin.csv", text("größe,y\n1,2".encode("latin-1")), "'latin.csv' must be text in UTF-8"),
    ("ragged.csv", text("a,b\n1,2\n1,2,3,4\n"), "is not a table separated by commas: .*Expected 2 fields"),
    ("wide.csv", text("a,b\n" + ROWS), "its lines have more fields than its header has names"),
    ("bare.csv", text(ROWS), "must begin with a line that names its columns; its first line holds values"),
    ("iris.csv", text("5.1,3.5,setosa\n4.9,3.0,setosa\n"), "its first line holds values. Add one"),
    ("below.csv", text("-3,7,setosa\n4,3,setosa\n"), "its first line holds values. Add one"),
    ("digits.csv", text("0,1\n1,1\n"), "its first line holds values. Add one"),
    ("one.csv", text("a\n1\n2\n"), "a column to predict and at least one more; it has 1.$"),
    ("pipes.csv", text("a|b\n1|2\n"), "it has 1. It seems to be separated by something else: use commas"),
    ("twins.csv", text("a,a ,y\n1,2,3\n"), "'twins.csv' has two columns named 'a'. Rename one"),
    ("few.csv", text("a,y\n1,0\n2,1\n"), "few.csv: at least 20 examples are needed; got 2"),
    ("nothing.csv", text("a,y\n"), "nothing.csv: at least 20 examples are needed; got 0"),
    (
        "missing.csv",
        table(**holes(a=(X[:, 0], 4), b=(X[:, 1], 2), y=(Y, 0))),
        r"column 'a' has 4 missing of 60 \(1 other column too\). Fill them, or leave out those rows, or the column",
    ),
    ("gap.csv", table(**holes(a=(X[:, 0], 0), y=(Y, 1))), r"column 'y' has 1 missing of 60. Fill"),
    (
        "levels.csv",
        table(name=[f"n{i}" for i in range(60)], y=Y),
        "may have 50 different values at most; column 'name' has 60",
    ),
    ("inf.csv", table(a=np.where(Y, X[:, 0], np.inf), y=Y), "20 of 60 values in column 'a' are NaN or infinite"),
    ("single.csv", table(a=X[:, 0], y=np.ones(60, int)), "y holds a single class, '1'"),
    (
        "data.xlsx",
        text("PK"),
        "must be an .npz, .csv, .parquet or .txt file, or .*; got 'data.xlsx'. Save",
    ),
    ("folder.csv", lambda path: path.mkdir(), "'folder.csv' must hold a folder of pictures for each class"),
]


@pytest.mark.parametrize(("name", "write", "message"), REFUSED, ids=[r[0] for r in REFUSED])
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(here, name, write, message):
    write(here / name)
    if name == "binary.csv":  # numpy adds its own suffix
        (here / "binary.csv.npz").rename(here / name)
    with pytest.raises(InvalidInput, match=message) as refused:
        load(f"./{name}")
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)


def test_just_as_many_text_values_as_allowed(here):
    pd.DataFrame({"a": [f"n{i % 50}" for i in range(60)], "y": Y}).to_csv("t.csv", index=False)
    assert load("t.csv").input_shape == (50,)


def test_a_pickle_is_never_run(here):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('a pickle was run')",))

    np.savez(here / "trap.npz", x=np.array([Trap()] * 60), y=Y)
    with pytest.raises(InvalidInput, match="never loaded"):
        load("trap.npz")


@pytest.mark.parametrize(
    ("separator", "point"), [(",", "."), (";", ","), (";", "."), ("\t", "."), ("\t", ",")], ids=repr
)
def test_a_spreadsheets_semicolons_tabs_and_decimal_commas_are_read(tmp_path, separator, point):
    lines = [separator.join(("size", "colour", "y"))]
    for i in range(30):
        lines.append(separator.join((f"{i}.5".replace(".", point), "a, b" if separator != "," else "a", str(i % 2))))
    (tmp_path / "t.csv").write_text("\n".join(lines))
    x, y, features, *_ = read_table(tmp_path / "t.csv")
    assert x[:, 0].tolist() == [i + 0.5 for i in range(30)]
    assert y.tolist() == [i % 2 for i in range(30)]
    assert features[0] == "size"
    assert len(features) == 2


def test_a_name_that_two_columns_have_is_refused(here):
    """pandas would call the second y.1 and make of a copy of the target an input."""
    (here / "t.csv").write_text("a,y, y\n" + "\n".join(f"{i},{i % 2},{i % 2}" for i in range(60)))
    with pytest.raises(InvalidInput, match=r"'t\.csv' has two columns named 'y'\. Rename one"):
        load("./t.csv")


def test_separators_in_quotes_separate_nothing(here):
    (here / "t.csv").write_text('"Height, cm";"Weight, kg"\n' + "\n".join(f"{i},5;{i % 2}" for i in range(60)))
    x, y, features, target, *_ = read_table(here / "t.csv")
    assert (features, target) == (["Height, cm"], "Weight, kg")
    assert x[:, 0].tolist() == [i + 0.5 for i in range(60)]
    assert y.tolist() == [i % 2 for i in range(60)]


def test_blank_lines_before_the_names_are_passed_over(here):
    (here / "t.csv").write_text("\n\r\na;y\n" + "\n".join(f"{i};{i % 2}" for i in range(60)))
    assert read_table(here / "t.csv")[2:4] == (["a"], "y")


@pytest.mark.parametrize(("first", "left_out"), [(0, True), (1, True), (2, False)])
def test_the_column_in_which_r_counts_rows_is_left_out_too(here, first, left_out):
    rows = [f'"{i + first}",{RNG.normal()},{"uvw"[i % 3]}' for i in range(60)]
    (here / "t.csv").write_text("\n".join(['"","a","y"', *rows]))
    assert load("t.csv").input_shape == (1 if left_out else 2,)


@pytest.mark.parametrize("mark", ["?", "-", " * ", "--", "."])
def test_a_mark_in_a_column_of_numbers_is_a_missing_value(here, mark):
    rows = [f"{mark if i in (3, 7) else i % 5},{'?' if i % 4 else 'b'},{i % 2}" for i in range(60)]
    (here / "t.csv").write_text("\n".join(["a,kind,y", *rows]))
    with pytest.raises(InvalidInput, match=r"every value must be there; column 'a' has 2 missing of 60\. Fill them"):
        load("t.csv")
    (here / "t.csv").write_text(
        "\n".join(["a,kind,y", *(r.replace(mark, "7", 1) if r.startswith(mark) else r for r in rows)])
    )
    assert load("t.csv").input_shape == (3,), "among text it is a value like others"


def test_a_path_of_nobodys_home_and_one_that_is_no_utf_8_are_refused(here):
    with pytest.raises(InvalidInput, match=r"there is no file '~nobody-of-that-name/x\.csv'"):
        load("~nobody-of-that-name/x.csv")
    with pytest.raises(InvalidInput, match="there is no file"):
        load(f"./{'x' * 300}.csv")
    name = os.fsdecode(b"gr\xf6\xdfe.csv")
    (here / name).write_text("\n".join(["a,y", *(f"{i},{i % 2}" for i in range(60))]))
    with pytest.raises(InvalidInput, match=r"a path must be text in UTF-8; '.*gr.*e\.csv' is not"):
        load(name)


@pytest.mark.parametrize("number", ["1,5", "1.234,5", "1'234,5", "1,234", "1,234.5", "-7,25"])
def test_numbers_with_commas_are_no_categories(here, number):
    """In a table that has points too they are text to pandas, and may be few enough to be levels."""
    rows = [f'{i % 3}.0;"{number if i % 2 else 7}";{i % 2}' for i in range(60)]
    (here / "t.csv").write_text("\n".join(["version;value;y", *rows]))
    with pytest.raises(
        InvalidInput, match="the column 'value' holds numbers written with commas, such as 7, which are"
    ):
        load("t.csv")
    (here / "t.csv").write_text("\n".join(["version;value;y", *(r.replace(number, f"{number},") for r in rows)]))
    assert load("t.csv").input_shape == (3,), "that is no number"
