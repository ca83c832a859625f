"""This operating-system process: its id, its memory, and what it says to whoever started it.

Decides how these facts are found on Linux and elsewhere. It must not know what they are used for.
"""

import os
import resource
from pathlib import Path

_MEMORY_FILE = Path("/proc/self/statm")


def process_id() -> int:
    """The number by which the system knows this process."""
    return os.getpid()


def resident_bytes() -> int:
    """Memory in use; the peak so far where the system tells nothing better (macOS)."""
    try:
        return int(_MEMORY_FILE.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def announce(line: str) -> None:
    """Say a line to whoever started this process and reads its output."""
    print(line, flush=True)
