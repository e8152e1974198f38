"""The store: what is kept comes back to the last bit, and what is wrong with a folder is said in one sentence."""

import json
import math
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from make_store import ASKED, NETWORK, RUNS, numbers, table
from trainsmith import api
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.comparison.taken import Taken
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import from_text
from trainsmith.errors import InvalidInput
from trainsmith.population import Job, Record, Result, Training, work
from trainsmith.store import DATABASE, Store, data_of, digest, hold, opened
from trainsmith.store.jobs import job_id, job_of, job_text, run_as_dict, run_of
from trainsmith.store.opening import differing
from trainsmith.store.schema import VERSION, connected
from trainsmith.studies import progress_of

JOB = Job("mlp", Training(5, 8), (Run(Trial(Recipe()), 3), Run(Trial(Recipe(), {"adam.lr": 0.1 + 0.2}), 4)), True)


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "study", {"asks": "ü"}, table())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def weights():
    return {"w": np.array([[1.5, -0.0], [np.float32(1e-42), np.inf]], np.float32), "n": np.array(3)}


def record():
    nan = math.nan
    first = Result(
        "finished", 5, 0.1 + 0.2, 1 / 3, [(2, 1.0, nan, 0.5), (5, 0.1, math.inf, 0.7)], [2.3, 1e-300], weights()
    )
    return Record(
        [first, Result("diverged", 2, nan, nan, [], [nan, math.inf])], [1e-7, math.inf], [1e-4, 1e-3], 2, ("ü",)
    )


def same(a, b):
    return json.dumps(a, default=str) == json.dumps(b, default=str)


def test_a_record_comes_back_to_the_last_bit(store):
    (id,) = store.ask("tuning", [JOB])
    assert store.record(id) is None
    store.keep(id, JOB, record(), 1.0)
    found, put = store.record(id), record()
    for a, b in zip(found.results, put.results, strict=True):
        assert same([a.status, a.step, a.score, a.loss, a.curve, a.first_losses],
                    [b.status, b.step, b.score, b.loss, b.curve, b.first_losses])  # fmt: skip
    assert found.results[1].state is None
    for name, array in put.results[0].state.items():
        assert found.results[0].state[name].tobytes() == array.tobytes()
    assert (found.deviations, found.tolerances, found.buckets, found.loops) == (
        put.deviations, put.tolerances, put.buckets, put.loops,
    )  # fmt: skip
    assert store.finished_runs() == 2


def test_a_finished_study_is_listed_with_its_winner_by_whichever_name_its_record_has_it(store):
    for result, winner in (
        ({"winner": "adam", "test": {"technique": "baseline"}}, "baseline"),
        ({"winner": "sgd", "test": {"technique": "sgd"}}, "sgd"),
        ({"winner": "sgd", "test": None}, "sgd"),
        ({}, "?"),
    ):
        store.note("question", {"network": "mlp"})
        store.note("result", result)
        assert (progress_of(store.folder).winner, progress_of(store.folder).state) == (winner, "finished")


def test_keeping_twice_changes_nothing(store):
    (id,) = store.ask("tuning", [JOB])
    store.keep(id, JOB, record(), 1.0)
    other = record()
    other.results[0].score = 0.9
    store.keep(id, JOB, other, 2.0)
    assert store.record(id).results[0].score == 0.1 + 0.2
    assert store.ask("tuning", [JOB]) == [id]


def test_a_job_is_known_by_its_content():
    text = job_text(JOB)
    assert job_of(text) == JOB
    assert job_id(text) == job_id(job_text(job_of(text)))
    others = [
        Job("residual", JOB.training, JOB.runs, True),
        Job("mlp", Training(6, 8), JOB.runs, True),
        Job("mlp", JOB.training, JOB.runs[:1], True),
        Job("mlp", JOB.training, JOB.runs[::-1], True),
        Job("mlp", JOB.training, JOB.runs, False),
        Job("mlp", JOB.training, JOB.runs, True, (1,)),
        Job("mlp", JOB.training, JOB.runs, True, way="in turn"),
    ]
    assert len({job_id(job_text(j)) for j in [JOB, *others]}) == 8
    with pytest.raises(InvalidInput, match="a job in the store is damaged"):
        job_of("{}")


def test_a_recipe_is_noted_with_its_schedule_and_one_without_as_it_always_was():
    plain, own = (Run(Trial(Recipe(schedule=name)), 3) for name in ("none", "one-cycle"))
    assert "schedule" not in run_as_dict(plain)["recipe"]
    assert run_as_dict(own)["recipe"]["schedule"] == "one-cycle"
    for run in (plain, own):
        assert run_of(json.loads(json.dumps(run_as_dict(run)))) == run


def test_the_data_come_back_and_the_test_part_lies_apart(store):
    data, found = table(), data_of(store.folder)
    assert digest(found) == digest(data) != digest(table(1))
    assert (found.name, found.kind, found.task, found.classes) == (data.name, data.kind, data.task, data.classes)
    assert found.test.opened == 0
    assert {p.name for p in (store.folder / "data").iterdir()} == {"about.json", "x.npy", "y.npy"}


def test_notes(store):
    assert store.about("question") == {"asks": "ü"}
    assert store.about("result") is None
    store.note("result", {"a": [1, None]})
    assert store.about("result") == {"a": [1, None]}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: f.unlink(), "is not a study's folder"),
        (lambda f: f.write_bytes(b"no database" * 500), "is damaged"),
        (lambda f: f.write_bytes(f.read_bytes()[:3000]), "is damaged|is not whole"),
        (lambda f: f.write_bytes(b""), "is not whole"),
        (lambda f: changed(f, f"PRAGMA user_version = {VERSION + 1}"), "newer trainsmith"),
        (lambda f: changed(f, "DROP TABLE about"), "is damaged"),
        (lambda f: changed(f, "UPDATE about SET value = '{'"), "is damaged"),
        (lambda f: changed(f, """UPDATE about SET value = '["\\ud800"]'"""), "its question is not what was written"),
        (lambda f: changed(f, f"CREATE TRIGGER t AFTER INSERT ON jobs BEGIN {ENDLESS}; END"), "has other tables than"),
        (lambda f: changed(f, f"CREATE VIEW v AS {ENDLESS}"), "has other tables than trainsmith makes"),
    ],
)
def test_a_damaged_or_newer_store_is_said_in_one_sentence(store, harm, message):
    with sqlite3.connect(store.folder / DATABASE) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    database.close()
    harm(store.folder / DATABASE)
    with pytest.raises(InvalidInput, match=message) as refused:
        store.about("question")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "harm",
    [
        "recipe = '[]'",
        "recipe = 'x'",
        'hyperparameters = \'{"adam.lr": "fast"}\'',
        "hyperparameters = '7'",
        "hyperparameters = '{\"\\ud800\": 1}'",
    ],
)
def test_a_damaged_table_of_runs_is_said_in_one_sentence(store, harm):
    store.keep(*store.ask("tuning", [JOB]), JOB, record(), 1.0)
    changed(store.folder / DATABASE, f"UPDATE runs SET {harm}")
    with pytest.raises(InvalidInput, match="is damaged: its table of runs is not what was written"):
        store.runs()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_reading_that_does_not_come_to_an_end_is_given_up(store, monkeypatch):
    monkeypatch.setattr("trainsmith.store.schema.LONGEST_SECONDS", 0.1)
    monkeypatch.setattr("trainsmith.store.schema.LOOK_EVERY", 100)
    with pytest.raises(InvalidInput, match=r"is damaged \(reading it does not come to an end\)"):
        store._frame(ENDLESS.replace("FROM n)", "FROM n WHERE i < 2e7)"))  # seconds, where nobody gives it up
    assert store.about("question") == {"asks": "ü"}, "what is quicker is read"


def test_nothing_is_written_to_a_damaged_store(store):
    """The index of the jobs says another id than their table; a reader who asks for no job would not notice."""
    (id,) = store.ask("tuning", [JOB])
    file = store.folder / DATABASE
    changed(file, "PRAGMA journal_mode = DELETE")
    content = file.read_bytes()
    assert content.count(id.encode()) == 2
    place = content.rindex(id.encode())
    file.write_bytes(content[:place] + b"0000" + content[place + 4 :])
    assert store.about("question") == {"asks": "ü"}
    with pytest.raises(InvalidInput, match=r"is damaged \(.*; go on from a copy"), opened(store.folder, {}, table()):
        pass
    assert not hold(store).release(), "and nobody holds it"


def changed(file, statement):
    with sqlite3.connect(file) as database:
        database.execute(statement)
    database.close()


def test_damaged_weights_and_data_are_said(store):
    (id,) = store.ask("tuning", [JOB])
    store.keep(id, JOB, record(), 1.0)
    (file,) = (store.folder / "weights").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(InvalidInput, match="missing or damaged"):
        store.record(id)
    (store.folder / "data" / "x.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InvalidInput, match="is damaged"):
        data_of(store.folder)


def test_runs_whose_weights_are_damaged_are_trained_again_and_it_is_said(tmp_path):
    folder, asked = tmp_path / "s", {**ASKED, "trials": 1, "steps": 4}
    first = api.compare(NETWORK, table(), **asked, folder=folder)
    files = sorted((folder / "weights").iterdir())
    whole = [file.read_bytes() for file in files]
    files[0].write_bytes(b"")  # as a cut of power may leave it
    again = api.compare(NETWORK, table(), **asked, folder=folder)
    assert [file.read_bytes() for file in files] == whole
    assert [r.scores for r in again.study.rows] == [r.scores for r in first.study.rows]
    assert "runs could not be read; these runs were trained again." in again.study.notes[-1]
    assert again.study.notes[:-1] == first.study.notes


def test_weights_are_on_the_disk_before_their_record_is(store, monkeypatch):
    flushed = []

    def flush(place):
        flushed.append((stat.S_ISDIR(os.fstat(place).st_mode), store.finished_runs()))

    monkeypatch.setattr("os.fsync", flush)
    (id,) = store.ask("tuning", [JOB])
    store.keep(id, JOB, record(), 1.0)
    assert flushed == [(False, 0), (True, 0)]


def test_a_study_goes_on_in_fewer_processes_if_it_is_asked_to(store):
    begun = Trainings(NETWORK, table(), JOB.training, 4, None, store=store)
    store.note("packing", {"processes": 4, "packing": None, "words": "", "megabytes": None})
    for given, at_once in ((None, 4), (1, 1), (9, 4)):
        begun.processes = given
        begun.prepare(Recipe(), 1)
        assert (begun.workers, begun.at_once) == (4, at_once)


def test_one_process_at_a_time(store):
    code = (
        "import sys, time; from pathlib import Path; from trainsmith.store import Store, hold\n"
        "lock = hold(Store(Path(sys.argv[1]))); print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(store.folder)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InvalidInput, match="another process is working on the study"):
            hold(store)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    hold(store).release()  # a killed process holds nothing


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(InvalidInput, match="exists already"):
        Store.create(tmp_path, {}, table())
    assert (tmp_path / "mine.txt").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written: Not a directory"):
        Store.create(tmp_path / "file" / "study", {}, table())


@pytest.mark.parametrize(("free", "said"), [(4096, "is full; what was finished is kept"), (2**30, "cannot be written")])
def test_a_failed_write_is_a_full_disk_where_nothing_is_free(store, monkeypatch, free, said):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(InvalidInput, match=said), connected(store.folder):
        raise sqlite3.OperationalError("disk I/O error")


def test_a_worker_needs_nothing_but_the_store(store, python):
    ids = store.ask("tuning", [JOB])
    code = "import runpy; runpy.run_module('trainsmith.store.worker', run_name='__main__')"
    done = python.run(code, str(store.folder), ids[0], cwd=store.folder.parent)
    assert done.returncode == 0, done.stderr
    here, there = work(JOB, table()), store.record(ids[0])
    for a, b in zip(here.results, there.results, strict=True):
        assert (a.score, a.loss, a.curve, a.first_losses) == (b.score, b.loss, b.curve, b.first_losses)
        assert all(np.array_equal(a.state[n], b.state[n]) for n in a.state)
    assert here.deviations == there.deviations
    wrong = python.run(code, str(store.folder), "nonsense", cwd=store.folder.parent)
    assert wrong.returncode == 2
    assert "there is no job 'nonsense'" in wrong.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study and its folder."""
    folder = tmp_path_factory.mktemp("finished") / "s"
    return api.compare(NETWORK, table(), **ASKED, folder=folder), folder


def test_a_finished_study_given_again_trains_nothing(finished, monkeypatch):
    first, folder = finished
    assert Store(folder).finished_runs() == RUNS

    def never(*_):
        raise AssertionError("a finished run is trained again")

    monkeypatch.setattr("trainsmith.population.pool.work", never)
    again, resumed = api.compare(NETWORK, table(), **ASKED, folder=folder), api.resume(folder)
    assert numbers(first) == numbers(again) == numbers(resumed)
    for seed, state in first.study.states.items():
        assert all(np.array_equal(state[n], resumed.study.states[seed][n]) for n in state)


def test_a_study_with_a_folder_says_what_one_without_says(finished):
    assert numbers(api.compare(NETWORK, table(), **ASKED)) == numbers(finished[0])


def test_another_question_is_not_answered_from_this_folder(finished):
    folder = finished[1]
    with pytest.raises(InvalidInput, match=r"holds another study \(other training\)"):
        api.compare(NETWORK, table(), **{**ASKED, "steps": 31}, folder=folder)
    with pytest.raises(InvalidInput, match=r"holds another study \(other data\)"):
        api.compare(NETWORK, table(1), **ASKED, folder=folder)
    question = Store(folder).about("question")
    try:
        Store(folder).note("question", {**question, "versions": {**question["versions"], "torch": "1.0"}})
        with pytest.raises(InvalidInput, match=r"was begun with .*torch 1.0"):
            api.compare(NETWORK, table(), **ASKED, folder=folder)
        Store(folder).note("question", {**question, "network's source": "edited"})
        with pytest.raises(InvalidInput, match="other network's source"):
            api.compare(NETWORK, table(), **ASKED, folder=folder)
    finally:
        Store(folder).note("question", question)


def test_a_study_of_few_labels_goes_on_with_them_and_with_no_others(tmp_path):
    asked, folder = {**ASKED, "labels": 12, "batch_size": 8}, tmp_path / "s"
    first = api.compare(NETWORK, table(), **asked, folder=folder)
    assert "labels of 12 training examples seen" in first.study.about
    again, resumed = api.compare(NETWORK, table(), **asked, folder=folder), api.resume(folder)
    assert numbers(first) == numbers(again) == numbers(resumed)
    for other in ({**asked, "labels": 13}, {**asked, "labels": None}):
        with pytest.raises(InvalidInput, match=r"holds another study \(other labels\)"):
            api.compare(NETWORK, table(), **other, folder=folder)


def test_a_study_with_class_weights_goes_on_with_them_and_leaves_out_losses_without(tmp_path):
    asked = {**ASKED, "techniques": ["sgd", "label-smoothing"], "class_weights": {"1": 3.0}}
    first = api.compare(NETWORK, table(), **asked, folder=tmp_path / "s")
    assert "; class weights 1, 3" in first.study.about
    assert any("label-smoothing was left out: it is a loss of its own" in note for note in first.study.notes)
    assert numbers(first) == numbers(api.resume(tmp_path / "s"))
    assert data_of(tmp_path / "s").class_weights == (1.0, 3.0)
    assert first.study.receipt.holds
    with pytest.raises(InvalidInput, match=r"holds another study \(other class weights\)"):
        api.compare(NETWORK, table(), **{**asked, "class_weights": "balanced"}, folder=tmp_path / "s")


def test_a_question_that_does_not_speak_of_labels_is_one_that_sees_all(finished):
    folder = finished[1]
    question = Store(folder).about("question")
    assert "labels" not in question
    assert not differing({**question, "labels": 0}, question)
    assert not differing(question, {**question, "labels": 0})
    assert differing(question, {**question, "labels": 12}) == ["labels"] == differing({"labels": 12}, {})


def test_what_a_study_took_is_the_sum_of_all_its_goes(store, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    first = Taken(store)
    clock[0] = 5.0
    first.note()
    clock[0] = 9.0  # and then it was killed: what came after the last finished run is not known
    second = Taken(store)
    clock[0] = 12.0
    assert second.goes == [5.0, 3.0]
    second.note()
    store.note("result", {})
    again = Taken(store)
    clock[0] = 99.0
    again.note()
    assert again.goes == Taken(store).goes == [5.0, 3.0]
    alone = Taken(None)
    clock[0] = 100.0
    alone.note()
    assert alone.goes == [1.0]


def test_a_read_only_folder_is_said(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        (folder / "probe").write_text("")
    except OSError:
        with pytest.raises(InvalidInput, match="cannot be written"):
            Store.create(folder, {}, table())
    else:
        pytest.skip("this user may write anywhere")
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_study_in_a_folder_that_nobody_may_write_is_shown(store, small_disk):
    (id,) = store.ask("tuning", [JOB])
    store.keep(id, JOB, record(), 1.0)
    shutil.copytree(store.folder, small_disk / "a study? 50%")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    there = Store(small_disk / "a study? 50%")
    assert there.about("question") == {"asks": "ü"}
    assert there.runs().equals(store.runs())
    assert there.record(id).results[0].score == 0.1 + 0.2
    with pytest.raises(InvalidInput, match="cannot be written"):
        there.note("result", {})
    with pytest.raises(InvalidInput, match="cannot be written"), opened(there.folder, {"asks": "ü"}, table()):
        pass


def test_the_place_of_a_disk_holds_a_study(small_disk):
    """It cannot be replaced by another folder, as a new one can."""
    with opened(small_disk, {}, table()) as store:
        store.keep(*store.ask("tuning", [JOB]), JOB, record(), 1.0)
    assert Store(small_disk).finished_runs() == 2
    assert {p.name for p in small_disk.iterdir()} == {"study.sqlite", "data", "test", "weights", "lock"}


def test_an_empty_folder_one_stands_in_holds_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fails():
        with opened(Path(), {}, table()):
            (tmp_path / "notes.txt").write_text("mine")
            raise KeyError("of the study")

    with pytest.raises(KeyError):
        fails()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"], "of a study without a run its own files go alone"
    (tmp_path / "notes.txt").unlink()
    with opened(Path(), {"asks": 1}, table()):
        Store(tmp_path).keep(*Store(tmp_path).ask("tuning", [JOB]), JOB, record(), 1.0)
    with opened(tmp_path, {"asks": 1}, table()) as again:
        assert again.finished_runs() == 2


def test_data_are_on_the_disk_before_the_study_is(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("os.fsync", lambda place: flushed.append((os.fstat(place).st_ino, (tmp_path / "s").exists())))
    store = Store.create(tmp_path / "s", {}, table())
    data = [p.stat().st_ino for part in ("data", "test") for p in (store.folder / part).iterdir()]
    assert len(data) == 5
    assert all((inode, False) in flushed for inode in data)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sound"}, {"task": None}, {"classes": 3}, {"classes": [1, 2]}, {"classes": ["0"]}, {"labels": "x"},
        {"origin": [1]}, {"origin": {"given": 3}}, {"class_weights": [[]]}, {"further": 1}, {"name": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_of_the_data_is_looked_at(store, change):
    path = store.folder / "data" / "about.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InvalidInput, match="data' is damaged: ") as refused:
        data_of(store.folder)
    assert "\n" not in str(refused.value)


def test_a_text_with_half_characters_is_kept(tmp_path):
    text = from_text("a\U0001f600b\udc00" * 300, context=3)
    assert data_of(Store.create(tmp_path / "s", {}, text).folder).classes == text.classes


def test_a_study_without_a_run_goes_while_nobody_can_begin_in_it(tmp_path, monkeypatch):
    remove, told = Store.remove, []

    def removed(self):
        with pytest.raises(InvalidInput, match="another process is working"):
            hold(self)
        told.append(self.folder)
        remove(self)

    def fails():
        with opened(tmp_path / "s", {}, table()):
            raise KeyError("of the study")

    monkeypatch.setattr(Store, "remove", removed)
    with pytest.raises(KeyError):
        fails()
    assert told == [tmp_path / "s"]
    assert list(tmp_path.iterdir()) == []


NET = "from make_store import network\n\n\ndef build(shape, outputs):\n    return network(shape, outputs)\n"


@pytest.mark.parametrize("named", ["nets/beside.py:build", "nets.beside:build"])
def test_a_study_and_its_jobs_find_their_network_from_any_folder(named, tmp_path, monkeypatch, python):
    """It is named from the folder that the study was begun in."""
    (tmp_path / "home" / "nets").mkdir(parents=True)
    (tmp_path / "home" / "nets" / "beside.py").write_text(NET)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(sys, "path", [*sys.path])
    asked = {**ASKED, "trials": 1, "steps": 4}
    first = api.compare(named, table(), **asked, folder=tmp_path / "s")
    (id,) = Store(tmp_path / "s").ask("tuning", [Job(named, Training(4, 8), JOB.runs)])
    here = work(Job(named, Training(4, 8), JOB.runs), table())
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from trainsmith.store import worker; "
    done = python.run(f"{code}sys.exit(worker.main(['../s', '{id}']))", cwd=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert [r.score for r in Store(tmp_path / "s").record(id).results] == [r.score for r in here.results]
    again = python.run(
        f"{code}from trainsmith import api; print(api.resume('../s').best().score)", cwd=tmp_path / "elsewhere"
    )
    assert again.stdout.strip() == str(first.best().score), again.stderr
    for name in [n for n in sys.modules if n.split(".")[0] in ("beside", "nets")]:
        del sys.modules[name]
