"""Damage files on purpose and see that every reader either reads them or refuses them in one sentence.

    python tests/fuzz/run.py [--only READER ...] [--count 10000] [--jobs 2] [--json results/fuzz.json]

A case is a reader's name and a number; the same case is the same file everywhere. What counts as a failure: any
exception but InvalidInput and OSError, a message of several lines or more than 500 characters, a warning, more than
10 seconds, and a process that dies. Failing files are kept where --keep says.
"""

import argparse
import collections
import concurrent.futures
import json
import random
import re
import signal
import sys
import tempfile
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.readers import Reader, readers
from trainsmith.comparison.environment import describe_environment
from trainsmith.errors import InvalidInput

SECONDS, LONGEST, CHUNK = 10, 500, 250
NUMBER = re.compile(r"0x\w+|\d+|/tmp/\w+")


@dataclass(frozen=True)
class Outcome:
    """What came of one case: "read", "refused" or "failed", with the message."""

    kind: str
    words: str
    seconds: float


def damaged(name: str, reader: Reader, case: int) -> bytes:
    """The file of a case."""
    luck = random.Random(f"{name}/{case}")
    return reader.damage(reader.seeds[case % len(reader.seeds)], luck)


def attempt(name: str, reader: Reader, case: int, folder: Path) -> Outcome:
    """Let the reader read the case's file, written into `folder`."""
    path = folder / reader.file
    path.write_bytes(damaged(name, reader, case))
    started = time.perf_counter()
    kind, words = "read", ""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            reader.read(path)
        except (InvalidInput, OSError) as error:
            kind, words = "refused", str(error)
        except Exception as error:
            kind, words = "failed", f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - started
    if kind == "refused" and (len(words.splitlines()) != 1 or len(words.replace(str(folder), "")) > LONGEST):
        kind, words = "failed", f"not one sentence: {words}"
    elif heard and kind != "failed":
        kind, words = "failed", f"a warning: {heard[0].category.__name__}: {heard[0].message}"
    elif seconds > SECONDS and kind != "failed":
        kind, words = "failed", f"it took {seconds:.0f} s"
    return Outcome(kind, words, seconds)


def attempts(name: str, cases: range) -> list[Outcome]:
    """Many cases in one process; one that never ends ends the process."""
    reader = readers()[name]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for case in cases:
            signal.alarm(6 * SECONDS)
            found.append(attempt(name, reader, case, Path(folder)))
        signal.alarm(0)
    return found


def survey(name: str, count: int, jobs: int) -> list[Outcome]:
    """All cases of a reader, spread over processes; where one dies, its cases are tried one by one."""
    chunks = [range(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    outcomes: dict[int, Outcome] = {}
    while chunks:
        broken = []
        with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
            for chunk, future in [(c, pool.submit(attempts, name, c)) for c in chunks]:
                try:
                    outcomes.update(zip(chunk, future.result(), strict=True))
                except BrokenProcessPool:
                    broken.append(chunk)
        chunks, jobs = [], 1
        for chunk in broken:
            if len(chunk) == 1:
                outcomes[chunk[0]] = Outcome("failed", "the process died, or never ended", 0.0)
            else:
                outcomes |= _alone(name, chunk)
    return [outcomes[i] for i in range(count)]


def _alone(name: str, chunk: range) -> dict[int, Outcome]:
    """The cases of a chunk whose process died, each half in a process of its own, down to the culprit."""
    try:
        with concurrent.futures.ProcessPoolExecutor(1) as pool:
            return dict(zip(chunk, pool.submit(attempts, name, chunk).result(), strict=True))
    except BrokenProcessPool:
        if len(chunk) == 1:
            return {chunk[0]: Outcome("failed", "the process died, or never ended", 0.0)}
        half = len(chunk) // 2
        return _alone(name, chunk[:half]) | _alone(name, chunk[half:])


def told(outcomes: list[Outcome]) -> dict[str, Any]:
    """The record of one reader."""
    kinds = collections.Counter(o.kind for o in outcomes)
    failures = collections.Counter(
        NUMBER.sub("#", o.words.splitlines()[0])[:200] for o in outcomes if o.kind == "failed"
    )
    return {
        "cases": len(outcomes),
        "read": kinds["read"],
        "refused": kinds["refused"],
        "failed": kinds["failed"],
        "slowest_seconds": round(max(o.seconds for o in outcomes), 2),
        "failures": dict(failures.most_common(20)),
    }


def put(path: Path, name: str, found: dict[str, Any]) -> None:
    """Write one reader's record, with when and where it was made, beside those of the others that the file has."""
    record = json.loads(path.read_text()) if path.exists() else {"readers": {}}
    environment = {**describe_environment(), "command": f"python tests/fuzz/run.py --count {found['cases']}"}
    record["readers"][name] = {**found, "created": environment.pop("created")}
    path.write_text(json.dumps({**record, "environment": environment}, indent=1) + "\n")


def main() -> int:
    """Run the command; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="READER", help="these readers")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a folder for the files that failed")
    given = parser.parse_args()
    torch.set_num_threads(1)  # a forked process would wait for threads that did not come along
    known = readers()
    record: dict[str, Any] = {}
    for name in given.only or known:
        outcomes = survey(name, given.count, given.jobs)
        record[name] = told(outcomes)
        print(f"{name}: {record[name]}", flush=True)  # noqa: T201
        for case, outcome in enumerate(outcomes):
            if outcome.kind == "failed" and given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"{name}-{case}").write_bytes(damaged(name, known[name], case))
        if given.json:
            put(given.json, name, record[name])
    return int(any(r["failed"] for r in record.values()))


if __name__ == "__main__":
    sys.exit(main())
