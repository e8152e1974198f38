"""study.toml: read, refused, written, and read again."""

import pytest

from trainsmith.errors import InvalidInput
from trainsmith.studies import Asked
from trainsmith.study_file import KEYS, OPTIONS, READING, read_study_file, study_file

FULL = """
data = "table.csv"
network = "nets:build"
target = "price"
leave_out = ["id", 'a "b"']
task = "regression"
techniques = ["adam", "optimizer/sgd"]
vary = ["optimizer"]
trials = 4
seeds = 6
steps = 50
batch_size = 8
schedule = "constant"
metric = "R²"
class_weights = "rare=5"
processes = 1

[baseline]
optimizer = "sgd"
activation = "tanh"
schedule = "one-cycle"
"""


def written(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_arrives_and_comes_back(tmp_path):
    (tmp_path / "table.csv").write_text("a,price\n")
    asked = read_study_file(written(tmp_path, FULL))
    assert asked.data == str(tmp_path / "table.csv"), "a path is meant from the file's folder"
    assert asked.network == "nets:build"
    assert asked.reading == {
        "data_dir": None,
        "target": "price",
        "leave_out": ["id", 'a "b"'],
        "task": "regression",
        "image_size": None,
        "context": None,
    }
    assert asked.options == {
        "baseline": {"optimizer": "sgd", "activation": "tanh", "schedule": "one-cycle"}, "vary": ["optimizer"],
        "techniques": ["adam", "optimizer/sgd"], "trials": 4, "seeds": 6, "steps": 50, "batch_size": 8,
        "schedule": "constant", "metric": "R²",
        "class_weights": "rare=5", "processes": 1,
    }  # fmt: skip
    (tmp_path / "again").mkdir()
    assert read_study_file(written(tmp_path / "again", study_file(asked))) == asked


def test_a_name_stays_a_name_and_what_was_not_said_is_left_to_the_defaults(tmp_path):
    asked = read_study_file(written(tmp_path, 'data = "digits"'))
    assert (asked.data, asked.network) == ("digits", None)
    assert asked.options == {"baseline": None, "vary": None, "techniques": None}
    assert study_file(asked).splitlines()[1:] == ['data = "digits"']


def test_text_from_users_survives(tmp_path):
    reading = dict.fromkeys(READING) | {"target": 'say "hi"\\ \n<b>é'}
    asked = Asked("digits", None, reading, {"baseline": None, "vary": None, "techniques": None})
    assert read_study_file(written(tmp_path, study_file(asked))) == asked


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds = 3", "must say what the data are"),
        ('data = "digits"\nsteeds = 3', "unknown key in '.*study.toml' 'steeds': did you mean seeds"),
        ('data = "digits"\nseeds = "3"', 'seeds must be a whole number; got "3"'),
        ('data = "digits"\nseeds = true', "seeds must be a whole number; got True"),
        ('data = "digits"\ntechniques = "adam"', 'techniques must be a list of names; got "adam"'),
        ('data = "digits"\ntechniques = [1]', "techniques must be a list of names"),
        ('data = "t.csv"\nleave_out = "id"', 'leave_out must be a list of names; got "id"'),
        (
            'data = "digits"\nbaseline = {optimiser = "sgd"}',
            "unknown family in baseline of .* 'optimiser': did you mean",
        ),
        ('data = "digits"\nbaseline = {optimizer = 3}', "baseline.optimizer must be a technique's name; got 3"),
        ("data = digits", "is no TOML file"),
    ],
)
def test_what_means_nothing_is_refused_with_file_and_key(tmp_path, text, words):
    with pytest.raises(InvalidInput, match=words):
        read_study_file(written(tmp_path, text))


def test_another_encoding_is_refused(tmp_path):
    (tmp_path / "study.toml").write_bytes(b'data = "\xff"')
    with pytest.raises(InvalidInput, match="must be text in UTF-8"):
        read_study_file(tmp_path / "study.toml")


def test_its_keys_are_the_commands_options():
    from trainsmith.cli.compare import compare

    options = {p.name for p in compare.params} - {"as_json", "out", "resume", "dry_run", "names"} | {"techniques"}
    assert options == set(KEYS)
    assert set(KEYS) == {"data", "network", *READING, *OPTIONS}


def test_a_network_in_a_file_is_meant_from_the_files_folder(tmp_path, monkeypatch):
    """And from where it was typed it is named as it was typed, so that the study goes on."""
    (tmp_path / "net.py").write_text("")
    (tmp_path / "made").mkdir()
    path = written(tmp_path, 'data = "digits"\nnetwork = "net.py:build"')
    monkeypatch.chdir(tmp_path)
    left = written(tmp_path / "made", study_file(Asked("digits", "net.py:build", {}, {})))
    assert read_study_file(path).network == read_study_file(left).network == "net.py:build"
    monkeypatch.chdir(tmp_path / "made")
    assert read_study_file(path).network == read_study_file(left).network == f"{tmp_path / 'net.py'}:build"
