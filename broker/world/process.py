"""This operating-system process: its id, its memory, and what it says to whoever started it.

Decides how these facts are found on Linux and elsewhere. It must not know what they are used for.
"""

import ctypes
import os
import resource
import sys
from pathlib import Path

_MEMORY_PARTS_FILE = Path("/proc/self/status")
_MEMORY_PARTS = {"heap_and_stacks": "RssAnon", "code_and_files": "RssFile", "shared": "RssShmem"}
_MEMORY_FILE = Path("/proc/self/statm")
_DESCRIPTOR_FOLDERS = ("/proc/self/fd", "/dev/fd")
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
_BOOT_NAME_MACOS = b"kern.bootsessionuuid"


def process_id() -> int:
    """The number by which the system knows this process."""
    return os.getpid()


def cpu_cores() -> int:
    """How many of them this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def boot_id() -> str:
    """Which run of this machine this is; empty if the system does not say."""
    if sys.platform == "darwin":
        return _system_value(_BOOT_NAME_MACOS)
    try:
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _system_value(name: bytes) -> str:
    value, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    found = ctypes.CDLL(None).sysctlbyname(name, value, ctypes.byref(size), None, 0)
    return value.value.decode() if found == 0 else ""


def resident_bytes() -> int:
    """Memory in use; the peak so far where the system tells nothing better (macOS)."""
    try:
        return int(_MEMORY_FILE.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_parts() -> dict[str, int]:
    """Memory in use by what it holds, as the system counts it, or all as one (macOS, some containers)."""
    try:
        lines = _MEMORY_PARTS_FILE.read_text(encoding="ascii").splitlines()
    except OSError:
        return {"process": resident_bytes()}
    sizes = {
        name: int(value.split()[0]) * 1024
        for name, _, value in (line.partition(":") for line in lines)
        if value[-2:] == "kB"
    }
    parts = {part: sizes[name] for part, name in _MEMORY_PARTS.items() if name in sizes}
    return parts or {"process": resident_bytes()}


def open_descriptors() -> int:
    """How many files and sockets it has open; 0 if the system does not say."""
    for folder in _DESCRIPTOR_FOLDERS:
        try:
            return len(os.listdir(folder))
        except OSError:
            continue
    return 0


def descriptors_max() -> int:
    """How many it may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def announce(line: str) -> None:
    """Say a line to whoever started this process and reads its output."""
    print(line, flush=True)


def keep_memory() -> None:
    """Tell glibc to keep what it has got from the system: blocks of runs come and go, page faults cost a third."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have their own ways
    if mallopt is not None:
        for parameter, value in ((-1, 256 << 20), (-2, 64 << 20), (-3, 32 << 20)):  # trim, top pad, mmap thresholds
            mallopt(parameter, value)
