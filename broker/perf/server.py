"""What the broker's own processes and files take: memory, processor time, disk.

Decides where that is read (/proc on Linux) and when a figure has settled. It must not know which broker it is.
"""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

LOOK_EVERY_S = 0.25
STEADY_LOOKS = 8
"""A figure that has kept still for so many looks has settled."""
STILL = 0.005
"""It may move by so much of itself meanwhile."""
BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own is."""


class Server:
    """The processes of a broker on this machine; none: nothing is known of it."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = tuple(pids)
        self._ticks: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._pids)

    def resident_bytes(self) -> int:
        """Memory of all of them together; one that has ended has none."""
        total = 0
        for pid in self._pids:
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except OSError:
                continue
        return total

    def cpu_s(self) -> float:
        """Processor time that they have used so far; of one that has ended, as far as was seen."""
        for pid in self._pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            self._ticks[pid] = int(fields[11]) + int(fields[12])
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")


class Peak:
    """The greatest of what was seen while it ran."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look
        self.bytes = look()

    async def watch(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            self.bytes = max(self.bytes, self._look())


async def settled(look: Callable[[], int], within_s: float) -> int:
    """The figure once it keeps still, or as it is after so long."""
    seen: list[int] = [look()]
    for _ in range(math.ceil(within_s / LOOK_EVERY_S)):
        await trio.sleep(LOOK_EVERY_S)
        seen = [*seen[1 - STEADY_LOOKS :], look()]
        if len(seen) == STEADY_LOOKS and max(seen) - min(seen) <= STILL * max(seen):
            break
    return seen[-1]


def disk_bytes(folders: Sequence[Path]) -> int:
    """What all files below take up on disk, as `du` counts."""
    total = 0
    for folder in folders:
        for path, _, names in os.walk(folder):
            for name in names:
                try:
                    total += os.lstat(Path(path, name)).st_blocks * BLOCK_BYTES
                except FileNotFoundError:
                    continue  # removed meanwhile
    return total
