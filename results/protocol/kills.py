"""A study that is killed at a random moment: does it go on to the same numbers, and is no finished run trained twice?

python results/protocol/kills.py [--kills 100]

A process trains a small study into a folder and gets SIGKILL at a moment drawn uniformly from the processor time the study
takes, which other work on the machine does not stretch; another process is given the same command. What it says is compared, number by number, with an uninterrupted study's; the
rows of finished jobs, with the time at which each was finished, must be those that were there before. The processes are
forked from one that has trained such a study, and knows how its members are best packed, so that moments fall into the
study and not into imports or measurements; its trainings are long enough for most kills to fall after a first finished job.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from make_store import ASKED, NETWORK, RUNS, numbers, table
from trainsmith.comparison import compare
from trainsmith.comparison.environment import describe_environment
from trainsmith.errors import InvalidInput
from trainsmith.question import Question
from trainsmith.store import DATABASE, Store, opened
from trainsmith.store.schema import connected

RECORD = Path(__file__).with_suffix(".json")
LONGER = {**ASKED, "steps": 1200}


def answer(folder):
    """What the study in `folder` comes to, begun or gone on with as api.compare does it; the page is not drawn."""
    asked = dict(LONGER)
    processes, data = asked.pop("processes"), table()
    question = Question(**asked)
    with opened(folder, question.record(NETWORK, data), data) as store:
        study = compare(NETWORK, data, **question.understood(NETWORK, data), processes=processes, store=store)
        store.note("result", study.to_dict())
    return json.dumps(numbers(study), sort_keys=True)


def begun(folder):
    """The id of a process that works on the study in `folder` and writes what it says beside it."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        folder.with_suffix(".json").write_text(answer(folder))
        os._exit(0)
    return child


def ended(child):
    """How the process ended, 0 or minus the signal, and the seconds of processor time it took."""
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def wait_until(child, seconds):
    """Until the process has had so many seconds of processor time, or is over."""
    while True:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z" or (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") >= seconds:
            return
        time.sleep(0.002)


def kept(folder):
    """Finished jobs in their order, with when they were finished and how long each took."""
    with connected(folder) as database:
        return database.execute("SELECT job, finished, seconds FROM records ORDER BY rowid").fetchall()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    place, luck = Path(tempfile.mkdtemp()), np.random.default_rng(3)
    os.environ["TRAINSMITH_CACHE"] = str(place / "cache")
    answer(place / "first")
    began, lengths = time.perf_counter(), []
    for i in range(3):
        status, seconds = ended(begun(place / f"whole-{i}"))
        if status:
            raise SystemExit("the uninterrupted study failed")
        lengths.append(seconds)
    whole = (place / "whole-0.json").read_text()
    done, counts, before = 0, Counter(), Counter()
    while done < options.kills:
        folder = place / f"killed-{done}"
        child = begun(folder)
        wait_until(child, luck.uniform(0, np.median(lengths)))
        os.kill(child, signal.SIGKILL)
        if ended(child)[0] != -signal.SIGKILL:
            counts["over before the kill, drawn again"] += 1
            shutil.rmtree(folder)
            continue
        done += 1
        there = (folder / DATABASE).is_file()
        rows = kept(folder) if there else []
        before["before its folder was there" if not there else f"{len(rows)} jobs finished"] += 1
        if ended(begun(folder))[0]:
            counts["did not go on"] += 1
            continue
        try:
            counts["same numbers"] += folder.with_suffix(".json").read_text() == whole
            counts["finished jobs left as they were"] += kept(folder)[: len(rows)] == rows
            counts["every run kept once"] += Store(folder).finished_runs() == RUNS
        except InvalidInput as error:
            counts[f"damaged: {error}"] += 1
        shutil.rmtree(folder)
        write(done, counts, before, lengths, time.perf_counter() - began)
    shutil.rmtree(place)
    print(RECORD.read_text())


def write(done, counts, before, lengths, seconds):
    """The record of the kills so far, so that one that is cut short is a record too."""
    record = {
        "question": "does a study that is killed at a random moment end with an uninterrupted one's numbers?",
        "kills": done,
        "runs of the study": RUNS,
        "steps of a run": LONGER["steps"],
        "outcomes": dict(counts),
        "the study when it was killed": dict(sorted(before.items())),
        "seconds of processor time of an uninterrupted study": lengths,
        "seconds": round(seconds),
        "environment": {
            **describe_environment(),
            "command": f"python results/protocol/kills.py --kills {done}",
        },
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
