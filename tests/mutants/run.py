"""Break the code on purpose, one wrong formula at a time, and see that the tests named for it notice.

    python tests/mutants/run.py [--only NAME] [--jobs N]

Each entry of the .toml files beside this one replaces one piece of text in a copy of src/ and runs its tests on
that copy. A mutant is killed when a test fails; one that survives, and one whose tests cannot run, is a failure
of this command.
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTS = tuple(sorted(Path(__file__).parent.glob("*.toml")))
SECONDS = 300
TESTS_FAILED = 1
"""pytest's exit status for failed tests; 2 to 5 mean that it could not run them."""


@dataclass(frozen=True)
class Mutant:
    """One wrong version: in `file` (under src/trainsmith) `old` becomes `new`; `tests` (under tests/) must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


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


def tested(source: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """pytest's result for `tests` on the package at `source`, which must be the one that is imported."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "import trainsmith; print(trainsmith.__file__)"]
    seen = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(seen).is_relative_to(source):
        raise ValueError(f"the tests would import {seen} instead of the copy")
    paths = [f"tests/{t}" for t in tests]
    command = [sys.executable, "-m", "pytest", *paths, "-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)


def judge(mutant: Mutant | None, tests: tuple[str, ...]) -> str:
    """What became of a mutant: "killed", "SURVIVED", or why its tests could not run. None stands for sound code."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory).resolve() / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        try:
            if mutant is not None:
                apply(mutant, source)
            result = tested(source, tests)
        except (ValueError, subprocess.SubprocessError) as error:
            return f"BROKEN: {error}"
    if result.returncode not in (0, TESTS_FAILED):
        return f"BROKEN: pytest ended with {result.returncode}: {result.stdout.strip().splitlines()[-1:]}"
    return "killed" if result.returncode == TESTS_FAILED else "SURVIVED"


def main() -> int:
    """Run the mutants that are asked for, print a table; 1 unless every one was killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME", help="only mutants whose name contains NAME")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time (2)")
    options = parser.parse_args()
    chosen = [m for m in read() if options.only in m.name]
    if not chosen:
        parser.error(f"no mutant's name contains {options.only!r}")
    everything = tuple(sorted({t for m in chosen for t in m.tests}))
    if (sound := judge(None, everything)) != "SURVIVED":
        print(f"the tests fail on sound code: {sound}; {' '.join(everything)}")
        return 1
    began, width = time.monotonic(), max(len(m.name) for m in chosen)
    fates = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for mutant, fate in zip(chosen, pool.map(lambda m: judge(m, m.tests), chosen), strict=True):
            print(f"{mutant.name:<{width}}  {fate}", flush=True)
            fates.append(fate)
    killed = fates.count("killed")
    print(f"{killed} of {len(fates)} killed in {time.monotonic() - began:.0f} s")
    return 0 if killed == len(fates) else 1


if __name__ == "__main__":
    sys.exit(main())
