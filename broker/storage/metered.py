"""A disk that notes what is written to it and read from it, and how long that took.

Decides what counts as a sync: whatever was waited for until it was durable. It must not know what is in the files.
"""

from collections.abc import Sequence

import trio

from broker.meters.meters import DiskUse
from broker.world.descriptors import Chunk
from broker.world.disk import AppendFile, Disk
from broker.world.through import Through, ThroughFile


class MeteredDisk(Through):
    """The other disk, as those see it who wait for it."""

    def __init__(self, disk: Disk, use: DiskUse) -> None:
        super().__init__(disk)
        self._use = use

    async def read(self, name: str) -> bytes:
        since = trio.current_time()
        return self._read(await self.disk.read(name), since)

    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        since = trio.current_time()
        return self._read(await self.disk.read_range(name, offset, size_bytes), since)

    def _read(self, data: bytes, since: float) -> bytes:
        self._use.read_s.observe(trio.current_time() - since)
        self._use.read_bytes += len(data)
        return data

    async def sync(self, name: str) -> None:
        since = trio.current_time()
        await self.disk.sync(name)
        self._use.sync_s.observe(trio.current_time() - since)

    async def open_append(self, name: str) -> AppendFile:
        return _MeteredFile(await self.disk.open_append(name), self._use)


class _MeteredFile(ThroughFile):
    def __init__(self, file: AppendFile, use: DiskUse) -> None:
        super().__init__(file)
        self._use = use

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        since, before = trio.current_time(), self.size_bytes
        await super().append(chunks, sync=sync)
        (self._use.sync_s if sync else self._use.write_s).observe(trio.current_time() - since)
        self._use.write_bytes += self.size_bytes - before
