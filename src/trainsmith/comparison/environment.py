"""Where a study ran: versions and machine, for its record."""

from __future__ import annotations

import contextlib
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy
import torch

import trainsmith
from trainsmith.store import Store

CPUINFO = Path("/proc/cpuinfo")
MODEL = ("model name", "cpu model", "cpu", "Model", "Hardware")
"""What the processor is called by in CPUINFO: on most machines, on MIPS, on POWER, on ARM boards."""
APPLE = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
PROCESSORS = "processors"


def describe_environment() -> dict[str, str]:
    """Versions, machine, time and command line, as text."""
    return {
        "trainsmith": trainsmith.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": processor(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]]),
    }


def processor() -> str:
    """The processor's model and which of its instructions torch uses: both decide whether numbers repeat to the bit."""
    return f"{_model()} ({torch.backends.cpu.get_cpu_capability()})"


def _model() -> str:
    """As the system calls it, else by its architecture."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines = [line.partition(":") for line in CPUINFO.read_text(encoding="utf-8").splitlines()]
        said = {name.strip(): value.strip() for name, _, value in reversed(lines)}
        if found := [said[name] for name in MODEL if said.get(name)]:
            return found[0]
    if platform.system() == "Darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(APPLE, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
            if told:
                return told
    return platform.processor() or platform.machine()


def processors_of(store: Store | None) -> tuple[str, ...]:
    """Every processor that a study was worked on, this one among them unless it was finished before; they are noted."""
    here = processor()
    if store is None:
        return (here,)
    noted = store.about(PROCESSORS, list) or []
    if not all(isinstance(name, str) for name in noted):
        raise store.damaged(PROCESSORS)
    if here not in noted and (store.about("result") is None or not noted):
        noted.append(here)
        store.note(PROCESSORS, noted)
    return tuple(noted)


def processor_notes(processors: tuple[str, ...]) -> list[str]:
    """That a study was worked on several, if it was."""
    if len(processors) < 2:
        return []
    return [
        f"it was begun on one machine and gone on with on another ({'; '.join(processors)}), which may round "
        "otherwise in the last bit."
    ]


def _program(path: Path) -> list[str]:
    """How a program at this path is called."""
    return ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]
