"""The memory of this process and of its machine.

Decides where Linux and others tell it. It must not know how much is too much.
"""

import ctypes
import os
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from broker.world.process import resident_bytes

_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Memory(ABC):
    """What a node may ask about memory; the tests have one of their own."""

    @abstractmethod
    def total_bytes(self) -> int:
        """What this machine has, or what the container may use if that is less."""

    @abstractmethod
    def used_bytes(self) -> int:
        """What this process uses."""

    @abstractmethod
    def give_back(self) -> None:
        """Return to the system what is kept without being used."""


class ProcessMemory(Memory):
    """This process's."""

    def __init__(self) -> None:
        self._total_bytes = _total_bytes()

    def total_bytes(self) -> int:
        """See `Memory.total_bytes`; looked up once."""
        return self._total_bytes

    def used_bytes(self) -> int:
        """See `Memory.used_bytes`."""
        return resident_bytes()

    def give_back(self) -> None:
        """See `Memory.give_back`; only glibc can be told."""
        if sys.platform == "linux":
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)


def _total_bytes() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or the word "max"
            total = min(total, int(file.read_text(encoding="ascii")))
    return total
