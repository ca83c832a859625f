"""Room on the disk that publishers cannot use up: what must be written all the same goes on when nothing is left.

Decides how much is set aside, when it is given up, and when it is taken again (DESIGN S8). Settles, marks, compaction
and the metadata log live on it while publishers wait; only a write that finds no room even then has failed. It must
not know who writes, nor who is kept waiting.
"""

import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from broker.storage.journal import RESERVED_BYTES
from broker.world.descriptors import Chunk
from broker.world.disk import AppendFile, Disk
from broker.world.through import Through, ThroughFile

log = logging.getLogger("warren.disk")

NAME = "reserve"
SHARE_OF_ROOM = 8
"""The reserve is at most this part of the room that is left without it."""
BYTES_MIN = 1024 * 1024
LOOK_EVERY_S = 1.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

Result = TypeVar("Result")


class Reserve(Through):
    """The disk for what must be written; `run` keeps the reserve. One for all lives of a process."""

    def __init__(self, disk: Disk, wanted_bytes: int = RESERVED_BYTES) -> None:
        super().__init__(disk)
        self.held_bytes = 0
        """How much there is of it now; publishers have to leave the rest of what is wanted."""
        self._wanted_bytes = wanted_bytes
        self._times_given_up = 0
        self._refused: int | None = None
        self._one_at_a_time = trio.Lock()

    async def run(self) -> None:
        """Take the room, and take it again when there is some, until cancelled."""
        while self.keeps:
            if self.held_bytes < self._wanted_bytes:
                async with self._one_at_a_time:
                    await self._take()
            await trio.sleep(LOOK_EVERY_S)

    async def open_append(self, name: str) -> AppendFile:
        file = await self.tide_over(lambda: self.disk.open_append(name))
        return _TidedFile(file, self)

    async def replace(self, name: str, data: bytes) -> None:
        await self.tide_over(lambda: self.disk.replace(name, data))

    async def tide_over(self, write: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, and if there is no room for it do it again in that of the reserve. Raises OSError."""
        times = self._times_given_up
        try:
            return await write()
        except OSError as error:
            if error.errno not in NO_ROOM or not await self._give_up(times):
                raise
        return await write()

    async def _give_up(self, times: int) -> bool:
        """Whether there is room again; `times` the reserve had been given up when there was none."""
        async with self._one_at_a_time:
            if times != self._times_given_up:
                return True  # somebody else has found the disk full, too
            if not self.held_bytes:
                return False
            try:
                await self.disk.remove(NAME)
            except OSError as error:
                log.warning("event=reserve_stuck why=%r", error.strerror)
                return False
            log.warning("event=reserve_given_up bytes=%d file=%s", self.held_bytes, self.path_of(NAME))
            self._times_given_up += 1
            self.held_bytes = 0
            return True

    async def _take(self) -> None:
        size_bytes = min(self._wanted_bytes, (self.disk.free_bytes() + self.held_bytes) // SHARE_OF_ROOM)
        if size_bytes < min(self.held_bytes + BYTES_MIN, self._wanted_bytes):
            return  # too little to be worth it
        try:
            await self.disk.allocate(NAME, size_bytes)
        except OSError as error:
            self.held_bytes = 0  # there is no such file now
            if error.errno != self._refused:
                self._refused = error.errno
                log.warning("event=no_reserve file=%s why=%r", self.path_of(NAME), error.strerror)
            return
        if size_bytes < self._wanted_bytes:
            log.warning(
                "event=small_reserve bytes=%d wanted=%d why='the disk is small'", size_bytes, self._wanted_bytes
            )
        elif self._times_given_up:
            log.warning("event=reserve_restored bytes=%d", size_bytes)
        self.held_bytes, self._refused = size_bytes, None


class _TidedFile(ThroughFile):
    """What a failed write has torn is cut off before it is written again: nobody has waited for it yet."""

    def __init__(self, file: AppendFile, reserve: Reserve) -> None:
        super().__init__(file)
        self._reserve = reserve
        self._torn = False

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        async def write() -> None:
            if self._torn:
                await self.file.cut()
            self._torn = True
            start = self.file.size_bytes
            try:
                await self.file.append(chunks, sync=sync)
            except OSError as error:
                if self.file.size_bytes != start and error.errno in NO_ROOM:
                    # All was written, and the sync failed: of what reached the disk nobody knows.
                    raise OSError(errno.EIO, error.strerror) from error
                raise
            self._torn = False

        try:
            await self._reserve.tide_over(write)
        finally:
            self.size_bytes = self.file.size_bytes
