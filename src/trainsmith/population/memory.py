"""The process's memory: what it has held so far, and its allocator told to keep what a training step frees."""

import ctypes
import re
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's mallopt(3)."""


def keep_freed_memory() -> None:
    """Let large freed blocks be used again rather than returned to the system.

    A step allocates and frees megabytes of temporaries; by default glibc hands them back each time and
    the system clears every page anew, which costs more than the arithmetic. Elsewhere than on Linux with
    glibc nothing is changed.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 2**30)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def peak_megabytes() -> float | None:
    """The most memory that this process has held at once so far (2^20 bytes); None where the system does not say it."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
