"""Where a study ran: versions and machine, for its record."""

import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy
import torch

import trainsmith


def describe_environment() -> dict[str, str]:
    """Versions, machine, time and command line, as text."""
    return {
        "trainsmith": trainsmith.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": platform.processor() or platform.machine(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]]),
    }


def _program(path: Path) -> list[str]:
    """How a program at this path is called."""
    return ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]
