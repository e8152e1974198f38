"""load: names and paths, and what is said about those that do not exist."""

import subprocess
import sys

import numpy as np
import pytest

from trainsmith.data import load
from trainsmith.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("digitz", {}, "unknown data set 'digitz': did you mean digits"),
        ("brest cancer", {}, "did you mean breast-cancer"),
        (
            "zzz",
            {},
            "choose one of: breast-cancer, cifar10, diabetes, digits, mnist, tinyshakespeare, wine. Data of your own",
        ),
        ("", {}, "unknown data set ''"),
        ("no/such.csv", {}, r"there is no file 'no/such.csv'; check the path \(looked in "),
        ("such.npz", {}, "there is no file 'such.npz'"),
        (".", {}, "'.' must hold a folder of pictures for each class"),
        (
            "digits",
            {"data_dir": "x"},
            "a data folder says where the files of cifar10, mnist and tinyshakespeare are",
        ),
        (__file__.replace(".py", ".csv"), {"data_dir": "x"}, "is where these data are: leave it out"),
        ("digits", {"target": "x"}, "a target is named for tables only; digits has its own"),
        ("digits", {"image_size": 8}, "an image size is for pictures in files and folders; digits has its own"),
        ("digits", {"task": "regression"}, "digits is always a classification, got 'regression'"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_sentence(tmp_path, monkeypatch, given, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=message) as refused:
        load(given, **options)
    assert "\n" not in str(refused.value)


def test_a_file_whose_ending_was_left_out_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("")
    with pytest.raises(InvalidInput, match=r"there is no data set and no file 'mine'; did you mean mine\.csv\?"):
        load("mine")


def test_the_task_of_a_named_set_may_be_said_if_it_is_its_own():
    assert load("wine", task="Classification").task == "classification"


def test_a_target_that_is_not_there(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("height,weight\n" + "1.5,2.5\n" * 30)
    with pytest.raises(InvalidInput, match=r"unknown column of '.*t.csv' 'heigth': did you mean height"):
        load(path, target="heigth")
    np.savez(tmp_path / "t.npz", x=np.zeros((30, 2)), y=np.arange(30) % 2)
    with pytest.raises(InvalidInput, match="a target is named for"):
        load(tmp_path / "t.npz", target="y")


def test_importing_the_room_imports_neither_pandas_nor_scikit_learn():
    code = "import sys, trainsmith.data; "
    code += "print([m for m in ('pandas', 'sklearn', 'scipy') if m in sys.modules])"
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert out.strip() == "[]"
