"""What a plan says and what its study took: seconds and memory of five studies of different kinds.

python results/plan.py [NAME ...]

Each study is one command in a process of its own, which has measured nothing before ($TRAINSMITH_CACHE is a new folder).
The plan's figures are those that its record keeps (study.json: plan.expected, plan.memory), which were made before the
first training. What it took: the wall clock of the whole command, imports and report included, the processor time of all its
processes, and the largest sum over all of them, looked at twice a second, of the memory each holds (VmRSS of
/proc/PID/status: pages that several share count in each) and of its share of it (Pss of smaps_rollup, pages that n share
count 1/n in each). CIFAR-10 and Shakespeare are read from $TRAINSMITH_DATA. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes

from trainsmith.comparison.environment import describe_environment

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "gallery"))
from make import prepared

RECORD = Path(__file__).with_suffix(".json")
STUDIES = {
    "wine": "wine --techniques tanh,elu,gelu --trials 4",
    "digits, one family": "digits --techniques sgd,adamw,lion --trials 4 --steps 300",
    "csv, regression": "diabetes.csv --target progression --techniques sgd,tanh,dropout --trials 4 --steps 300",
    "text": "shakespeare.txt --techniques lion --trials 2 --seeds 6 --steps 60",
    "small images, own network": "cifar10-small.npz --network cnn.py:cnn --techniques muon,group --trials 2 --seeds 6 "
    "--steps 60",
}
LOOKS = 0.5


def tree(root):
    """The ids of a process and of all that came from it."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in thread.read_text().split()]
            except OSError:
                continue
    return found


def kilobytes(path, name):
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def took(command, folder, environment):
    """Wall clock and processor seconds, and megabytes held at most: all of each process, and each one's share."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    held = shared = most = 0
    while process.poll() is None:
        pids = tree(process.pid)
        held = max(held, sum(kilobytes(f"/proc/{pid}/status", "VmRSS") for pid in pids))
        shared = max(shared, sum(kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids))
        most = max(most, len(pids))
        time.sleep(LOOKS)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise RuntimeError(process.stderr.read().decode())
    process.stderr.close()
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(seconds, 1),
        "processor seconds": round(worked, 1),
        "megabytes": round(held / 1024),
        "megabytes, shared pages shared out": round(shared / 1024),
        "processes at once": most,
    }


def study(name, folder):
    """One study: what its plan said, and what it took."""
    place = folder / "studies" / name.split(",")[0]
    words = STUDIES[name].split()
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TRAINSMITH_CACHE": cache}
        found = took([sys.executable, "-m", "trainsmith", "compare", *words, "--out", str(place)], folder, environment)
    plan = json.loads((place / "study.json").read_text())["plan"]
    said = {"seconds": plan["expected"], "megabytes": plan["memory"]}
    ratios = {key: None if value is None else round(value / found[key], 2) for key, value in said.items()}
    return {
        "command": "trainsmith compare " + STUDIES[name],
        "plan": plan["words"],
        "said": {key: None if value is None else round(value, 1) for key, value in said.items()},
        "took": {**found, "seconds of the study alone": round(plan["seconds"], 1)},
        "said / took": ratios,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of the studies: {'; '.join(STUDIES)}")
    parser.add_argument("--json", type=Path, default=RECORD)
    given = parser.parse_args()
    record = json.loads(given.json.read_text()) if given.json.exists() else {"studies": {}}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepared(folder)
        table = load_diabetes(as_frame=True, scaled=False)
        pd.concat([table.data, table.target.rename("progression")], axis=1).to_csv(folder / "diabetes.csv", index=False)
        for name in given.names or STUDIES:
            record["studies"][name] = found = study(name, folder)
            print(name, json.dumps(found, indent=1, ensure_ascii=False), flush=True)
            record["environment"] = {**describe_environment(), "cores": os.cpu_count()}
            given.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
