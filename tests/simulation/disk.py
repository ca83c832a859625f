"""A disk in memory and virtual time that can lose its power: forgets what was not synced, tears the last write.

No threads, for trio's virtual clock does not see them. A loss of power may fall on any step of any call (`cut_at`), or
come from outside (cancel the tasks, then `lose_power`). `kill` is the other death: the process goes, what it wrote
stays with the kernel, but is no more durable than before. `fail` is a disk that goes wrong: what a failed sync did not
write the kernel forgets to write, though it remembers it.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import trio

from broker.world.descriptors import Chunk
from broker.world.disk import AppendFile, Disk
from tests.simulation.virtual_time import Bell, follow

DELAY_S_MAX = 0.002


class PowerCut(Exception):
    """The node died in the middle of this call, or had died before it."""


Operation = Literal["write", "sync", "read"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and with which files; `write` is whatever changes a file or a name."""

    operation: Operation
    code: int
    under: str


class Content:
    """The bytes of a file: as the process sees them, and as they would be after a loss of power."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.durable = b""
        self._forgotten: list[tuple[int, int]] = []  # the disk never got these, and the kernel calls them clean

    def sync(self) -> None:
        """Everything is durable that the kernel knows to be unwritten."""
        self.durable = self._as_written()

    def forget(self) -> None:
        """A sync failed: the kernel will not write these pages again."""
        if len(self.seen) > len(self.durable):
            self._forgotten.append((len(self.durable), len(self.seen)))

    def look_past_cache(self) -> None:
        """See what the disk has."""
        self.sync()
        self.seen = bytearray(self.durable)
        self._forgotten.clear()

    def cut(self, size_bytes: int) -> None:
        """Drop the end."""
        del self.seen[size_bytes:]
        self._forgotten = [(start, min(stop, size_bytes)) for start, stop in self._forgotten if start < size_bytes]

    def _as_written(self) -> bytes:
        written = bytearray(self.seen)
        for start, stop in self._forgotten:
            written[start:stop] = bytes(stop - start)
        return bytes(written)


class SimDisk(Disk):
    """The files of one node; the same chance gives the same delays and the same wreckage."""

    keeps = True

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._names: dict[str, Content] = {}
        self._durable_names: dict[str, Content] = {}
        self._changes: list[tuple[str, Content | None]] = []  # of names, since the folder was synced
        self.life = 0
        self.powered = True
        self.steps = 0
        self.cut_at: int | None = None
        self.full = False
        self.sync_fails = False
        self.bytes_max: int | None = None
        self._faults: list[Fault] = []
        self._allocated: dict[str, int] = {}
        self._stalled = False
        self._bell = Bell()
        self.asker_frozen = False
        """Whether the process stands still that asks for all this: what it is about to do waits with it."""

    # -- what tests do to it -------------------------------------------------------------------------------------------

    def fail(self, *operations: Operation, code: int = errno.EIO, under: str = "") -> None:
        """From now on let these fail, for all files or for those whose names begin so."""
        self._faults += [Fault(operation, code, under) for operation in operations]

    def stall(self) -> None:
        """Let everything that is asked of it take for ever, until it may `go_on`."""
        self._stalled = True

    def go_on(self) -> None:
        """Let it do what was asked of it meanwhile."""
        self._stalled = False
        self._bell.ring()

    def mend(self) -> None:
        """Let it work again, with room for everything."""
        self.go_on()
        self._faults.clear()
        self.full = self.sync_fails = False
        self.bytes_max = None

    @property
    def is_broken(self) -> bool:
        """Whether anything is wrong with it."""
        return bool(self._faults) or self.full or self.sync_fails or self.bytes_max is not None

    def copy_to(self, other: "SimDisk") -> None:
        """What `cp -a` does with the folder of a node that is stopped; what the other one had is gone."""
        other._names = {name: Content() for name in self._names}
        for name, content in self._names.items():
            other._names[name].seen = bytearray(content.seen)
            other._names[name].sync()
        other._durable_names = dict(other._names)
        other._allocated = dict(self._allocated)
        other._start_anew()

    def lose_power(self) -> None:
        """Forget what was not synced, or only parts of it; the disk is ready for the next life."""
        survived = dict(self._durable_names)
        for name, content in self._changes:
            if self._chance.random() < 0.5:
                survived.pop(name, None)
                if content is not None:
                    survived[name] = content
        for content in survived.values():
            content.seen = bytearray(self._wreckage(content))
            content.look_past_cache()
        self._names, self._durable_names = survived, dict(survived)
        self._start_anew()

    def kill(self) -> None:
        """End the process only: what it wrote and named is still there, and still not durable."""
        changes = list(self._changes)
        self._start_anew()
        self._changes = changes

    def damage(self, name: str, offset: int) -> None:
        """Let one bit rot."""
        content = self._names[name]
        content.seen[offset] ^= 1 << self._chance.randrange(8)
        content.sync()

    def lose(self, name: str) -> None:
        """Let a whole file vanish."""
        del self._names[name]
        del self._durable_names[name]

    def sizes(self) -> dict[str, int]:
        """The files and their length."""
        return {name: len(content.seen) for name, content in self._names.items()} | self._allocated

    def _start_anew(self) -> None:
        self.life += 1
        self.powered = True
        self.cut_at = None
        self.asker_frozen = False
        self._changes.clear()

    def _wreckage(self, content: Content) -> bytes:
        kept, written = content.durable, bytes(content.seen)
        if len(written) < len(kept):  # a cut that was not synced
            return self._chance.choice((kept, written))
        tail = bytearray(written[len(kept) :])
        del tail[self._chance.randint(0, len(tail)) :]
        if tail and self._chance.random() < 0.4:  # pages reach the disk in any order
            start = self._chance.randrange(len(tail))
            stop = self._chance.randint(start, len(tail))
            tail[start:stop] = (
                bytes(stop - start) if self._chance.random() < 0.5 else self._chance.randbytes(stop - start)
            )
        return kept + tail

    # -- what the node does with it ------------------------------------------------------------------------------------

    async def list_names(self, folder: str) -> list[str]:
        await self._step(self.life)
        return sorted(name for name in self._names if name.rpartition("/")[0] == folder)

    async def read(self, name: str) -> bytes:
        await self._step(self.life)
        self._check("read", name)
        return bytes(self._content(name).seen)

    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        await self._step(self.life)
        self._check("read", name)
        return bytes(self._content(name).seen[offset : offset + size_bytes])

    async def reread(self, name: str) -> bytes:
        await self.sync(name)
        self._content(name).look_past_cache()
        return await self.read(name)

    async def sync(self, name: str) -> None:
        await self._perform(self.life, self._syncing(name, self._content(name)))

    async def open_append(self, name: str) -> AppendFile:
        life = self.life
        await self._step(life)
        self._check("write", name)
        if name not in self._names:
            self._change(name, Content())
        await self._step(life)
        self._sync_names()
        return SimAppendFile(self, name, self._names[name])

    async def replace(self, name: str, data: bytes) -> None:
        life = self.life
        self._check("write", name)
        new = Content()
        self._change(name + ".new", new)
        await self._perform(life, self._writing(name, new, [data]))
        await self._perform(life, self._syncing(name, new))
        self._change(name + ".new", None)
        self._change(name, new)
        await self._step(life)
        self._sync_names()
        await self._step(life)

    async def truncate(self, name: str, size_bytes: int) -> None:
        life, content = self.life, self._content(name)
        await self._step(life)
        self._check("write", name)
        content.cut(size_bytes)
        await self._perform(life, self._syncing(name, content))
        self._sync_names()

    async def remove(self, name: str) -> None:
        life = self.life
        await self._step(life)
        self._check("write", name)
        self._allocated.pop(name, None)
        if name in self._names:
            self._change(name, None)
        await self._step(life)
        self._sync_names()
        await self._step(life)

    async def rename(self, name: str, new: str) -> None:
        life, content = self.life, self._content(name)
        await self._step(life)
        self._check("write", name)
        self._change(name, None)
        self._change(new, content)
        await self._step(life)
        self._sync_names()

    async def allocate(self, name: str, size_bytes: int) -> None:
        self._allocated.pop(name, None)
        await self._step(self.life)
        self._check("write", name)
        if self.free_bytes() < size_bytes:
            raise _error(errno.ENOSPC)
        self._allocated[name] = size_bytes

    def free_bytes(self) -> int:
        if self.full:
            return 0
        return 2**62 if self.bytes_max is None else max(self.bytes_max - sum(self.sizes().values()), 0)

    def path_of(self, name: str) -> str:
        return f"sim:{name}"

    # -- how it does it ------------------------------------------------------------------------------------------------

    async def _step(self, life: int) -> None:
        await self._perform(life, iter([None]))

    async def _perform(self, life: int, moves: Iterator[None]) -> None:
        """Do something that takes a step at each of its yields. The asker sleeps until all is done, or fails."""
        pauses = self._pauses(life, moves)
        while not await follow(pauses):
            await trio.lowlevel.checkpoint()
            while self._stalled:
                await self._bell.wait()

    def _pauses(self, life: int, moves: Iterator[None]) -> Iterator[float | None]:
        for _ in moves:
            self.steps += 1
            if self.steps == self.cut_at:
                self.powered = False
            if self.powered and life == self.life:
                yield self._chance.uniform(0, DELAY_S_MAX)
                while self._stalled or self.asker_frozen:
                    yield None
            if not self.powered or life != self.life:
                raise PowerCut

    def _writing(self, name: str, content: Content, chunks: Sequence[Chunk]) -> Iterator[None]:
        data = b"".join(chunks)
        room = self.free_bytes()
        yield
        self._check("write", name)
        half = min(self._chance.randint(0, len(data)), room)
        content.seen += data[:half]
        yield
        if room < len(data):
            raise _error(errno.ENOSPC)
        content.seen += data[half:]
        yield

    def _syncing(self, name: str, content: Content) -> Iterator[None]:
        yield
        try:
            self._check("sync", name)
        except OSError:
            content.forget()
            raise
        content.sync()
        yield

    def _check(self, operation: Operation, name: str) -> None:
        if operation == "sync" and self.sync_fails:
            raise _error(errno.EIO)
        for fault in self._faults:
            if fault.operation == operation and name.startswith(fault.under):
                raise _error(fault.code)

    def _content(self, name: str) -> Content:
        if name not in self._names:
            raise FileNotFoundError(name)
        return self._names[name]

    def _change(self, name: str, content: Content | None) -> None:
        self._changes.append((name, content))
        if content is None:
            self._names.pop(name, None)
        else:
            self._names[name] = content

    def _sync_names(self) -> None:
        self._durable_names = dict(self._names)
        self._changes.clear()


class SimAppendFile(AppendFile):
    def __init__(self, disk: SimDisk, name: str, content: Content) -> None:
        self._disk = disk
        self._name = name
        self._content = content
        self._life = disk.life
        self.size_bytes = len(content.seen)

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        await self._disk._perform(self._life, self._appending(chunks, sync))

    def _appending(self, chunks: Sequence[Chunk], sync: bool) -> Iterator[None]:
        if chunks:
            yield from self._disk._writing(self._name, self._content, chunks)
            self.size_bytes = len(self._content.seen)
        if sync:
            yield from self._disk._syncing(self._name, self._content)

    async def cut(self) -> None:
        await self._disk._step(self._life)
        self._content.cut(self.size_bytes)

    def close(self) -> None:
        pass


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
