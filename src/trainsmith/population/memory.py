"""The process's memory allocator, told to keep what a training step frees for the next step."""

import ctypes
import sys

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
