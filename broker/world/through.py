"""A disk that passes everything on to another one: a parent for those that do something on the way.

Decides nothing.
"""

from collections.abc import Sequence

from broker.world.descriptors import Chunk
from broker.world.disk import AppendFile, Disk


class Through(Disk):
    """The other disk, under another name."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.keeps = disk.keeps

    async def list_names(self, folder: str) -> list[str]:
        return await self.disk.list_names(folder)

    async def read(self, name: str) -> bytes:
        return await self.disk.read(name)

    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        return await self.disk.read_range(name, offset, size_bytes)

    async def reread(self, name: str) -> bytes:
        return await self.disk.reread(name)

    async def sync(self, name: str) -> None:
        await self.disk.sync(name)

    async def open_append(self, name: str) -> AppendFile:
        return await self.disk.open_append(name)

    async def replace(self, name: str, data: bytes) -> None:
        await self.disk.replace(name, data)

    async def truncate(self, name: str, size_bytes: int) -> None:
        await self.disk.truncate(name, size_bytes)

    async def remove(self, name: str) -> None:
        await self.disk.remove(name)

    async def rename(self, name: str, new: str) -> None:
        await self.disk.rename(name, new)

    async def allocate(self, name: str, size_bytes: int) -> None:
        await self.disk.allocate(name, size_bytes)

    def free_bytes(self) -> int:
        return self.disk.free_bytes()

    def path_of(self, name: str) -> str:
        return self.disk.path_of(name)


class ThroughFile(AppendFile):
    """A file of the other disk."""

    def __init__(self, file: AppendFile) -> None:
        self.file = file
        self.size_bytes = file.size_bytes

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        try:
            await self.file.append(chunks, sync=sync)
        finally:
            self.size_bytes = self.file.size_bytes

    async def cut(self) -> None:
        await self.file.cut()

    def close(self) -> None:
        self.file.close()
