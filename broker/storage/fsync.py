"""How soon what the journal writes is durable: at once, every so often, or when the system pleases.

Decides when files are synced under each policy; whoever waits for the disk goes on accordingly. With `interval` and
`never` a machine that fails may lose what was reported as safe, so its folder counts as damaged afterwards (see
`identity`). It must not know what is in the files. The metadata log is none of them: it is always synced.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import trio

from broker.storage.segments import FOLDER
from broker.world.descriptors import Chunk
from broker.world.disk import AppendFile, Disk
from broker.world.through import Through, ThroughFile

Mode = Literal["always", "interval", "never"]


@dataclass(frozen=True, slots=True)
class Fsync:
    """The policy of a node."""

    mode: Mode = "always"
    interval_ms: int = 1000

    @property
    def keeps_promises(self) -> bool:
        """Whether what is reported as safe survives the machine."""
        return self.mode == "always"


ALWAYS: Final = Fsync()


class LaxDisk(Through):
    """For the journal: appends are done once the system has them; `run` makes them durable, as the policy says."""

    def __init__(self, disk: Disk, policy: Fsync) -> None:
        super().__init__(disk)
        self._policy = policy
        self._unsynced: set[str] = set()

    async def open_append(self, name: str) -> AppendFile:
        return _LaxFile(await self.disk.open_append(name), name, self._unsynced)

    async def remove(self, name: str) -> None:
        self._unsynced.discard(name)
        await self.disk.remove(name)

    async def run(self, fail: Callable[[str, OSError], None]) -> None:
        """Sync every so often, until cancelled, or until `fail` was told with which file the disk failed."""
        while self._policy.mode == "interval":
            await trio.sleep(self._policy.interval_ms / 1000)
            if not await self.sync_all(fail):
                return

    async def sync_all(self, fail: Callable[[str, OSError], None]) -> bool:
        """Make everything durable that was written so far; False if that `fail`ed."""
        names = sorted(self._unsynced)
        self._unsynced.clear()
        for name in names:
            try:
                await _sync_if_there(self.disk, name)
            except OSError as error:
                fail(name, error)
                return False
        return True


class _LaxFile(ThroughFile):
    def __init__(self, file: AppendFile, name: str, unsynced: set[str]) -> None:
        super().__init__(file)
        self._name = name
        self._unsynced = unsynced

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        await super().append(chunks, sync=False)
        if sync:
            self._unsynced.add(self._name)


async def sync_journal(disk: Disk) -> None:
    """Make durable what a life before this one may have left to the system. Raises OSError."""
    for name in await disk.list_names(FOLDER):
        await _sync_if_there(disk, name)


async def _sync_if_there(disk: Disk, name: str) -> None:
    with suppress(FileNotFoundError):  # all of it is dead, and it was removed meanwhile
        await disk.sync(name)
