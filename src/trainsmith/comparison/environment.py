"""Where a study ran: versions and machine, for its record."""

import platform
import sys
from datetime import UTC, datetime

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
        "command": " ".join(sys.argv),
    }
