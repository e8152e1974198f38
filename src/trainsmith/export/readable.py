"""Source put into the shape in which people read Python: ruff's, at its defaults."""

import functools
import subprocess

from ruff import find_ruff_bin

from trainsmith.errors import InvalidInput

TIDY = (("check", "--fix", "--quiet", "--exit-zero", "--select", "I,F401"), ("format", "--quiet"))


def readable(source: str, own: tuple[str, ...] = ()) -> str:
    """`source`, valid Python, with its imports sorted, those unused left out, and formatted.

    own: names of modules that lie beside it, whose imports stand last.
    """
    beside = f"lint.isort.known-first-party={list(own)!r}"
    for action in TIDY:
        known = ("--config", beside) if action[0] == "check" else ()
        command = [_ruff(), *action, "--isolated", *known, "-"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InvalidInput(f"the exported source is not valid Python: {done.stderr.strip()}")
        source = done.stdout
    return source


@functools.cache
def _ruff() -> str:
    return str(find_ruff_bin())
