"""Promise 8 with real processes: whatever stops a study, it goes on and ends with the same numbers."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from make_store import RUNS, table
from trainsmith.store import Store

PROGRAM = """
import json, sys
sys.path.insert(0, {tests!r})
from make_store import ASKED, NETWORK, numbers, table
from trainsmith import api
comparison = api.compare(NETWORK, table(), **{{**ASKED, "processes": int(sys.argv[2])}}, folder=sys.argv[1])
print(json.dumps(numbers(comparison), sort_keys=True))
"""


@pytest.fixture(scope="module")
def start(python):
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]))

    def started(folder, processes=1):
        return python.start(program, str(folder), str(processes), cwd=folder.parent)

    return started


def finished(folder):
    try:
        return Store(folder).finished_runs()
    except Exception:
        return 0


def until(condition, process, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory, start):
    """What an uninterrupted study says, by the number of processes."""

    def of(processes):
        if processes not in found:
            process = start(tmp_path_factory.mktemp("whole") / "s", processes)
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            found[processes] = json.loads(out)
        return found[processes]

    found = {}
    return of


@pytest.mark.parametrize("kill_at", [0, 7])
def test_killed_when_so_many_runs_are_done_it_goes_on_to_the_same_numbers(tmp_path, start, whole, kill_at):
    folder = tmp_path / "s"
    process = start(folder)
    until(lambda: (folder / "study.sqlite").exists() and finished(folder) >= kill_at, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = finished(folder)
    kept = rows(folder) if done else []
    if not (folder / "study.sqlite").exists():
        shutil.rmtree(folder, ignore_errors=True)
    again = start(folder)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert json.loads(out) == whole(1)
    assert finished(folder) == RUNS
    assert rows(folder)[: len(kept)] == kept, "what was kept was written again"


def rows(folder):
    from trainsmith.store.schema import connected

    with connected(folder) as database:
        return database.execute("SELECT job, finished, seconds FROM records ORDER BY rowid").fetchall()


def test_a_worker_that_is_killed_loses_nothing(tmp_path, start, whole):
    """With two processes: the whole group is killed somewhere."""
    folder = tmp_path / "s"
    process = start(folder, 2)
    until(lambda: finished(folder) > 0, process)
    time.sleep(random.Random(0).random() * 0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    last = start(folder, 2)
    out, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    assert json.loads(out) == whole(2)


def test_ctrl_c_leaves_a_partial_report_and_says_how_to_go_on(tmp_path, python):
    table_file = tmp_path / "tiny.csv"
    data = table()
    lines = [f"{','.join(map(str, row.tolist()))},{int(label)}" for row, label in zip(data.x, data.y, strict=True)]
    table_file.write_text("a,b,c,d,label\n" + "\n".join(lines))
    options = ["--techniques", "sgd", "--trials", "2", "--seeds", "2", "--steps", "20", "--processes", "1"]
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    program = f"{listens}; from trainsmith.cli import main; main()"
    process = python.start(program, "compare", "tiny.csv", *options, cwd=tmp_path)
    folder = tmp_path / "trainsmith-studies" / "tiny-1"
    assert until(lambda: finished(folder) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "runs are done; what is finished is kept. The same command goes on" in err
    page = (folder / "report.html").read_text()
    assert 'data = "' in (folder / "study.toml").read_text(), "the question is there from the beginning"
    assert "This study is unfinished" in page
    assert f"of {RUNS} runs are done" in page
    again = python.run(program, "compare", "tiny.csv", *options, cwd=tmp_path)
    assert again.returncode == 0
    assert "going on with trainsmith-studies/tiny-1" in again.stderr.replace("\n", " ")
    page, plan = (folder / "report.html").read_text(), json.loads((folder / "study.json").read_text())["plan"]
    assert "unfinished" not in page
    assert "techniques = [&#34;sgd&#34;]" in page, "its study.toml"
    assert plan["goes"] == 2
    assert re.search(r"on 1 process: \d+ s in 2 goes", page)
    assert sorted(p.name for p in (tmp_path / "trainsmith-studies").iterdir()) == ["tiny-1"]
    listed = python.run(program, "studies", "--json", cwd=tmp_path)
    assert listed.returncode == 0
    (entry,) = json.loads(listed.stdout)
    assert (entry["state"], entry["done"]) == ("finished", RUNS)


def test_a_full_disk_is_said_and_the_study_goes_on_when_there_is_room(tmp_path, start, whole):
    """A small file system of its own where one can be mounted; else the limit on a file's size serves."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        process = start(place / "s")
        _, err = process.communicate(timeout=300)
        assert process.returncode == 1, "300 kB hold the whole study; make the disk smaller"
        assert "is full" in err or "No space left" in err
        assert "what was finished is kept" in err or "cannot be written" in err
        subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True)
        if not (place / "s" / "study.sqlite").exists():
            shutil.rmtree(place / "s", ignore_errors=True)
        again = start(place / "s")
        out, err = again.communicate(timeout=300)
        assert again.returncode == 0, err
        assert json.loads(out) == whole(1)
    finally:
        subprocess.run(["umount", str(place)], check=True)
