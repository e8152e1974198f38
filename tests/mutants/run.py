"""Break the code on purpose, one wrong formula at a time, and see that the tests named for it notice.

    python tests/mutants/run.py [--only NAME ...] [--jobs N]

Each entry of the .toml files beside this one replaces one piece of text in a copy of src/ and runs its tests on
that copy. A mutant is killed when a test fails; one that survives, and one whose tests cannot run, is a failure
of this command.
"""

import argparse
import importlib
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTS = tuple(sorted(Path(__file__).parent.glob("*.toml")))
SECONDS = 300
"""Of processor time for the tests of one mutant; ten times as long by the clock, where others use the machine."""
PRELOADED = ("numpy", "scipy.stats", "torch", "torch.func", "torch.fx.experimental.proxy_tensor", "sklearn")
"""What most tests import, other than trainsmith."""
TESTS_FAILED = 1
"""pytest's exit status for failed tests; 2 to 5 mean that it could not run them."""


@dataclass(frozen=True)
class Mutant:
    """One wrong version: in `file` (under src/trainsmith) `old` becomes `new`; `tests` must notice.

    tests: under tests/, files or single tests as pytest names them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


Case = tuple[Mutant | None, tuple[str, ...]]
"""A wrong version, or None for the sound code, and the tests to run on it."""
SOUND = "SURVIVED"
"""What became of a case whose tests all passed."""


def read(lists: tuple[Path, ...] = LISTS) -> list[Mutant]:
    """The mutants of all lists. Raises ValueError where two have one name."""
    entries = [entry for path in lists for entry in tomllib.loads(path.read_text())["mutant"]]
    mutants = [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]
    names = [m.name for m in mutants]
    if twice := {n for n in names if names.count(n) > 1}:
        raise ValueError(f"mutants with one name: {', '.join(sorted(twice))}")
    return mutants


def apply(mutant: Mutant, source: Path) -> None:
    """Put the mutant into the copy at `source`. Raises ValueError unless its text is there exactly once."""
    path = source / "trainsmith" / mutant.file
    text = path.read_text()
    if (count := text.count(mutant.old)) != 1:
        raise ValueError(f"its text is {count} times in {mutant.file}, not once")
    path.write_text(text.replace(mutant.old, mutant.new))


def tested(source: Path, tests: tuple[str, ...]) -> int:
    """pytest's exit status for `tests` on the package at `source`. To be called in a process of its own.

    Raises ValueError where the tests imported another package.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    os.chdir(ROOT)
    os.environ.update(PYTHONPATH=str(source), PYTHONDONTWRITEBYTECODE="1")  # for the processes that tests start
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(source), str(ROOT)]  # tests' own functions are found from ROOT in other processes too
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    status = pytest.main([*(f"tests/{t}" for t in tests), "-x", "-q", "-p", "no:cacheprovider", "--tb=no"])
    package = sys.modules.get("trainsmith")
    if package is not None and not Path(str(package.__file__)).is_relative_to(source):
        raise ValueError(f"the tests imported {package.__file__} instead of the copy")
    return int(status)


def judge(mutant: Mutant | None, tests: tuple[str, ...], answer: Connection) -> None:
    """Send what became of a mutant: "killed", "SURVIVED", or why its tests could not run. None: sound code."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory).resolve() / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        try:
            if mutant is not None:
                apply(mutant, source)
            status = tested(source, tests)
            fate = {0: SOUND, TESTS_FAILED: "killed"}.get(status, f"BROKEN: pytest ended with {status}")
        except Exception as error:
            fate = f"BROKEN: {error!r}"
    answer.send(fate)
    for worker in multiprocessing.active_children():  # joblib keeps its own for minutes, and this process with them
        worker.terminate()


def judged(cases: list[Case], jobs: int) -> Iterator[tuple[Case, str]]:
    """Each case and what became of it, as they end. Each has a process of its own, forked from this one, which has
    imported what the tests need, so that none waits for that again.
    """
    fork, waiting = multiprocessing.get_context("fork"), cases[::-1]
    running: dict[Connection, tuple[Case, BaseProcess, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            case = waiting.pop()
            ours, theirs = fork.Pipe(duplex=False)
            process = fork.Process(target=judge, args=(*case, theirs))
            process.start()
            theirs.close()
            running[ours] = case, process, time.monotonic() + 10 * SECONDS
        ready = wait(running, timeout=1)
        for answer in [a for a in running if a in ready or running[a][2] < time.monotonic()]:
            case, process, _ = running.pop(answer)
            try:
                fate = answer.recv() if answer in ready else f"BROKEN: longer than {10 * SECONDS} s"
            except EOFError:
                fate = f"BROKEN: its process died, perhaps after {SECONDS} s of work"
            process.kill() if answer not in ready else process.join()
            yield case, fate


def main() -> int:
    """Run the mutants that are asked for, print a table; 1 unless every one was killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="mutants whose name contains a NAME")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time (2)")
    options = parser.parse_args()
    chosen = [m for m in read() if any(name in m.name for name in options.only)]
    if not chosen:
        parser.error(f"no mutant's name contains {' or '.join(map(repr, options.only))}")
    for name in PRELOADED:
        importlib.import_module(name)
    began, width = time.monotonic(), max(len(m.name) for m in chosen)
    every = sorted({t for m in chosen for t in m.tests})
    failed = [
        f"{t}: {fate}" for (_, (t,)), fate in judged([(None, (t,)) for t in every], options.jobs) if fate != SOUND
    ]
    if failed:
        print("\n".join(["these tests fail on sound code:", *failed]))
        return 1
    fates = []
    for (mutant, _), fate in judged([(m, m.tests) for m in chosen], options.jobs):
        print(f"{mutant.name if mutant else '':<{width}}  {fate}", flush=True)
        fates.append(fate)
    killed = fates.count("killed")
    print(f"{killed} of {len(fates)} killed in {time.monotonic() - began:.0f} s")
    return 0 if killed == len(fates) else 1


if __name__ == "__main__":
    sys.exit(main())
