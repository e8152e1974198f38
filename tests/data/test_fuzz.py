"""Damaged files are read or refused in one sentence; `make fuzz` tries 10,000 of each kind."""

import contextlib
import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fuzz import mutate, run
from fuzz.readers import Reader, readers
from trainsmith.comparison import read_study
from trainsmith.comparison.reading import PLANNED
from trainsmith.data import load
from trainsmith.errors import InvalidInput

CASES = {"picture": 100, "parquet": 60, "npz": 200, "csv": 100, "study": 200, "idx": 200, "idx-gz": 200, "cifar": 60,
         "weights": 200, "store": 400, "store-on": 60, "store-log": 60, "stored-data": 100, "folder": 100,
         "stored-about": 200, "text": 100, "toml": 200, "npy": 60}  # fmt: skip
READERS = readers()


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_cleanly(name, tmp_path):
    outcomes = [run.attempt(name, READERS[name], case, tmp_path) for case in range(CASES[name])]
    assert not {(i, o.words) for i, o in enumerate(outcomes) if o.kind == "failed"}
    kinds = {o.kind for o in outcomes}
    assert kinds == {"read", "refused"}, "the damage is either none or total"


@pytest.mark.parametrize("name", READERS)
def test_files_that_are_not_damaged_are_read(name, tmp_path):
    path = tmp_path / READERS[name].file
    for seed in READERS[name].seeds:
        path.write_bytes(seed)
        READERS[name].read(path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: warnings.warn("careful", stacklevel=1), "a warning: UserWarning: careful"),
    ],
)
def test_a_faulty_reader_is_noticed(tmp_path, fault, words):
    reader = Reader("x", [b"abc"], mutate.of_bytes, lambda path: fault())
    outcome = run.attempt("faulty", reader, 0, tmp_path)
    assert outcome.kind == "failed"
    assert words in outcome.words


@pytest.mark.parametrize("error", [OSError("two\nlines"), InvalidInput("x" * 600)])
def test_a_refusal_is_one_short_sentence(tmp_path, error):
    def refuse(path):
        raise error

    assert run.attempt("long", Reader("x", [b"abc"], mutate.of_bytes, refuse), 0, tmp_path).kind == "failed"


def test_a_case_is_the_same_file_everywhere():
    reader = READERS["npz"]
    assert run.damaged("npz", reader, 7) == run.damaged("npz", reader, 7)
    assert run.damaged("npz", reader, 7) != run.damaged("npz", reader, 9)


def test_a_process_that_dies_is_found(monkeypatch):
    # the pool's processes are forks, so they see this reader too
    deadly = Reader("x", [b"abc"], mutate.of_bytes, lambda path: die_at(path, 5))
    monkeypatch.setattr(run, "readers", lambda: {"deadly": deadly})
    monkeypatch.setattr(run, "damaged", lambda name, reader, case: str(case).encode())
    outcomes = run.survey("deadly", 8, 1)
    assert [i for i, o in enumerate(outcomes) if o.kind == "failed"] == [5]


def die_at(path, case):
    if path.read_bytes() == str(case).encode():
        import os

        os._exit(1)


def test_a_path_inside_an_archive_leads_nowhere(tmp_path):
    place = tmp_path / "inside"
    place.mkdir()
    array = io.BytesIO()
    np.save(array, np.zeros((40, 2)))
    with zipfile.ZipFile(place / "mine.npz", "w") as archive:
        for name in ("x.npy", "y.npy", "../outside.npy", "/tmp/outside-trainsmith.npy", "a/../../b.npy"):
            archive.writestr(name, array.getvalue())
    with contextlib.suppress(InvalidInput):
        load(place / "mine.npz")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["mine.npz"], "an archive is read, never unpacked"
    assert not Path("/tmp/outside-trainsmith.npy").exists()


# what 10,000 cases found


@pytest.mark.parametrize("point", [0x110000, 0xD800])
def test_text_that_is_no_text_is_refused(tmp_path, point):
    y = np.array(["aa", "bb"])[np.arange(40) % 2]
    raw = np.frombuffer(y.tobytes(), np.uint32).copy()
    raw[3] = point
    np.savez(tmp_path / "odd.npz", x=np.zeros((40, 2)), y=raw.view("<U2"))
    with pytest.raises(InvalidInput, match="no characters"):
        load(tmp_path / "odd.npz")


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[" * 100_000, b"{}", b"3", b'{"rows": []}'])
def test_a_file_that_holds_no_study_is_refused(content):
    with pytest.raises(InvalidInput, match="not a study that trainsmith wrote"):
        read_study(content)


def test_a_study_with_a_word_for_a_number_is_refused_by_name():
    text = READERS["study"].seeds[0].decode().replace('"delta": 0.008', '"delta": "small"')
    with pytest.raises(InvalidInput, match="delta must be a number; it is 'small'"):
        read_study(text)


def test_a_long_name_is_shortened(tmp_path):
    lines = ["a,b" + "b" * 400 + ",class", *(f"{i},{i % 3},{i % 2}" for i in range(40)), "1,,0"]
    (tmp_path / "long.csv").write_text("\n".join(lines))
    with pytest.raises(InvalidInput) as refused:
        load(tmp_path / "long.csv")
    assert len(str(refused.value).replace(str(tmp_path), "")) < 250


def test_a_name_cannot_break_the_line_or_steer_the_terminal():
    assert str(InvalidInput("class 'a\nb\u202ec\x1b[2J'")) == "class 'a b\\u202ec\\x1b[2J'"


def test_values_without_a_byte_are_refused(tmp_path):
    np.savez(tmp_path / "none.npz", x=np.zeros((40, 2)), y=np.zeros(40, "V0"))
    with pytest.raises(InvalidInput, match="y is not a numpy array"):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("name", PLANNED)
def test_a_study_without_what_the_report_tells_is_refused(name):
    raw = json.loads(READERS["study"].seeds[0])
    del raw["plan"][name]
    with pytest.raises(InvalidInput, match=f"plan.{name} must be of type int"):
        read_study(json.dumps(raw))


def test_a_readers_record_is_put_beside_those_of_the_others(tmp_path):
    path = tmp_path / "fuzz.json"
    for name, cases in (("csv", 3), ("npz", 4), ("csv", 5)):
        run.put(path, name, {"cases": cases})
    written = json.loads(path.read_text())
    assert {name: found["cases"] for name, found in written["readers"].items()} == {"csv": 5, "npz": 4}
    assert all(found["created"] for found in written["readers"].values())
    assert written["environment"]["torch"]
