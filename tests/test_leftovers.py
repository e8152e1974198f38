"""What a killed process leaves behind is removed by the next one, and nothing that somebody still uses."""

import os
import subprocess
import sys

import pytest

from make_store import table
from trainsmith.data import load, mapped
from trainsmith.leftovers import LOCK, held_folder, passing_folder, sweep
from trainsmith.store import Store, hold

BUSY = """
import sys, time
from pathlib import Path
import numpy as np
{body}
print(path, flush=True)
time.sleep(120)
"""
MAPPED = """
from trainsmith.data import load, mapped
tensor = mapped.written([np.zeros((3, 2))], (3, 2))
path = mapped.map_of(tensor).filename
"""
HELD = """
from trainsmith.leftovers import held_folder
path, lock = held_folder(Path(sys.argv[1]), "trainsmith-")
"""


def busy(body, place):
    """A process that has begun such work in `place`, and the path that it works on."""
    environment = {**os.environ, "TMPDIR": str(place)}
    command = [sys.executable, "-c", BUSY.format(body=body), str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    return process, process.stdout.readline().strip()


def killed(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_files_of_a_killed_process_go_and_those_of_a_living_one_stay(tmp_path, monkeypatch):
    living, used = busy(HELD, tmp_path)
    try:
        process, path = busy(MAPPED, tmp_path)
        assert os.path.getsize(path) > 24
        killed(process)
        assert os.path.exists(path), "a killed process cleans nothing up"
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        mapped.sweep_scratch.cache_clear()  # it looks once in a process
        load("wine")
        assert sorted(os.listdir(tmp_path)) == [os.path.basename(used)]
    finally:
        killed(living)
    assert [str(p) for p in sweep(tmp_path, "trainsmith-*")] == [used]


def test_only_folders_with_a_free_lock_are_removed(tmp_path):
    (tmp_path / "trainsmith-mine").mkdir()
    (tmp_path / "trainsmith-file").write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK).write_text("")
    (tmp_path / "trainsmith-link").symlink_to(elsewhere)
    folder, lock = held_folder(tmp_path, "trainsmith-")
    assert sweep(tmp_path, "trainsmith-*") == []
    lock.release()
    assert sweep(tmp_path, "trainsmith-*") == [folder]
    assert len(list(tmp_path.iterdir())) == 4
    assert (elsewhere / LOCK).exists()


def test_a_passing_folder_goes_whatever_happens(tmp_path):
    with pytest.raises(KeyError, match="1"), passing_folder(tmp_path, "a-"):
        raise KeyError(len(list(tmp_path.iterdir())))
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_was_killed_while_it_was_made_leaves_nothing_for_long(tmp_path):
    folder, lock = held_folder(tmp_path, ".mine-part-")
    (folder / "mine").mkdir()
    other, others = held_folder(tmp_path, ".mine-part-")
    lock.release()
    Store.create(tmp_path / "mine", {}, table())
    assert sorted(p.name for p in tmp_path.iterdir()) == [other.name, "mine"]
    assert (tmp_path / "mine").stat().st_mode & 0o055 == 0o777 & ~umask() & 0o055
    others.release()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_study_beside_such_folders_stays_whatever_it_is_called(tmp_path, monkeypatch):
    """A study's lock is free too when it is finished."""
    study = Store.create(tmp_path / "trainsmith-digits", {}, table())
    hold(study).release()
    assert (study.folder / "lock").is_file()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    mapped.sweep_scratch.cache_clear()
    load("wine")
    assert study.about("created")
