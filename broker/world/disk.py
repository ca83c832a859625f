"""The disk of one node: files that are appended to, replaced, read and removed, all below one folder.

Decides how bytes and names become durable: what a call has returned for survives the loss of power. It must not know
what is in the files. Names are relative to the folder, with `/`; every error of the system comes as OSError. After a
failed append or sync nobody knows what reached the disk (the kernel may have dropped the dirty pages), so the file
must not be written again in this run of the process. Threads do the work, for a sync may take long.
"""

import fcntl
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import trio

from broker.world.descriptors import (
    Chunk,
    look_past_cache,
    read_all,
    sync_data,
    sync_folder,
    take_room,
    write_all,
)

Result = TypeVar("Result")

_THREADS_MAX = 8


class FolderInUse(Exception):
    """Another process has claimed the folder."""


class AppendFile(ABC):
    """A file that only grows. `size_bytes` is where the next append starts: still there if the write itself failed."""

    size_bytes: int

    @abstractmethod
    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        """Write the chunks one behind the other at the end; with `sync` return only when they are durable."""

    @abstractmethod
    async def cut(self) -> None:
        """Take back what a failed write has left behind `size_bytes`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file. What was not synced may still get lost."""


class Disk(ABC):
    """The files of one node."""

    keeps: bool
    """Whether anything written can be read again (False: `data: memory`)."""

    @abstractmethod
    async def list_names(self, folder: str) -> list[str]:
        """The names (with the folder in front) of the files in a folder, sorted; none if there is no such folder."""

    @abstractmethod
    async def read(self, name: str) -> bytes:
        """The whole file; FileNotFoundError if there is none."""

    @abstractmethod
    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """So many bytes from there on, fewer at the end of the file; FileNotFoundError if there is none."""

    @abstractmethod
    async def reread(self, name: str) -> bytes:
        """The whole file as the disk itself has it, durably; FileNotFoundError if there is none."""

    @abstractmethod
    async def sync(self, name: str) -> None:
        """Make the file durable as it is; FileNotFoundError if there is none."""

    @abstractmethod
    async def open_append(self, name: str) -> AppendFile:
        """The file for appending, made if it is missing; its name is durable on return."""

    @abstractmethod
    async def replace(self, name: str, data: bytes) -> None:
        """Give the file this content in one step: after a crash it holds the old content or the new, durably."""

    @abstractmethod
    async def truncate(self, name: str, size_bytes: int) -> None:
        """Cut the file to its first bytes; make those and its name durable, though a killed process never did."""

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Remove the file, durably; it may be missing already."""

    @abstractmethod
    async def rename(self, name: str, new: str) -> None:
        """Give the file another name, durably; what was read or not of it does not matter."""

    @abstractmethod
    async def allocate(self, name: str, size_bytes: int) -> None:
        """Let the file, of whatever content, take up so much room; there is no such file if that fails."""

    @abstractmethod
    def free_bytes(self) -> int:
        """How much can still be written, about."""

    @abstractmethod
    def path_of(self, name: str) -> str:
        """The file as a human would look for it."""


class RealDisk(Disk):
    """A folder of the file system; made on first use, readable by its owner only."""

    keeps = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claim: int | None = None
        self._durable_folders: set[Path] = set()
        self._threads = trio.CapacityLimiter(_THREADS_MAX)

    def claim(self) -> None:
        """Keep other processes out of the folder until `release` or the end of this one; raises FolderInUse."""
        self._make_folder(self._folder)
        claim = os.open(self._folder / "claim", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(claim)
            raise FolderInUse(f"{self._folder} is in use by another process") from error
        self._claim = claim

    def release(self) -> None:
        """Let others in again."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    async def list_names(self, folder: str) -> list[str]:
        def look() -> list[str]:
            try:
                return sorted(
                    f"{folder}/{entry.name}" for entry in os.scandir(self._folder / folder) if entry.is_file()
                )
            except FileNotFoundError:
                return []

        return await self._in_thread(look)

    async def read(self, name: str) -> bytes:
        return await self._in_thread((self._folder / name).read_bytes)

    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        def read_part() -> bytes:
            with _opened(self._folder / name) as descriptor:
                return read_all(descriptor, offset, size_bytes)

        return await self._in_thread(read_part)

    async def reread(self, name: str) -> bytes:
        def read_anew() -> bytes:
            with _opened(self._folder / name) as descriptor:
                look_past_cache(descriptor)
                return read_all(descriptor, 0, os.fstat(descriptor).st_size)

        return await self._in_thread(read_anew)

    async def sync(self, name: str) -> None:
        def sync_it() -> None:
            with _opened(self._folder / name) as descriptor:
                os.fsync(descriptor)

        await self._in_thread(sync_it)

    async def open_append(self, name: str) -> AppendFile:
        def open_it() -> AppendFile:
            path = self._folder / name
            self._make_folder(path.parent)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._sync_folders(path.parent)
            return _RealAppendFile(descriptor, self._in_thread)

        return await self._in_thread(open_it)

    async def replace(self, name: str, data: bytes) -> None:
        def write_and_rename() -> None:
            path = self._folder / name
            self._make_folder(path.parent)
            new = path.with_name(path.name + ".new")
            with _opened(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
                write_all(descriptor, [data])
                os.fsync(descriptor)
            new.rename(path)
            self._sync_folders(path.parent)

        await self._in_thread(write_and_rename)

    async def truncate(self, name: str, size_bytes: int) -> None:
        def cut() -> None:
            with _opened(self._folder / name, os.O_WRONLY) as descriptor:
                os.ftruncate(descriptor, size_bytes)
                os.fsync(descriptor)
            self._sync_folders((self._folder / name).parent)

        await self._in_thread(cut)

    async def remove(self, name: str) -> None:
        def unlink() -> None:
            path = self._folder / name
            path.unlink(missing_ok=True)
            if path.parent.exists():
                sync_folder(path.parent)

        await self._in_thread(unlink)

    async def rename(self, name: str, new: str) -> None:
        def move() -> None:
            old_path, new_path = self._folder / name, self._folder / new
            self._make_folder(new_path.parent)
            old_path.rename(new_path)
            self._sync_folders(new_path.parent)
            self._sync_folders(old_path.parent)

        await self._in_thread(move)

    async def allocate(self, name: str, size_bytes: int) -> None:
        def take_it() -> None:
            path = self._folder / name
            self._make_folder(path.parent)
            try:
                with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
                    take_room(descriptor, size_bytes)
            except OSError:
                path.unlink(missing_ok=True)
                raise

        await self._in_thread(take_it)

    def free_bytes(self) -> int:
        try:
            state = os.statvfs(self._folder)
        except FileNotFoundError:
            return sys.maxsize
        except OSError:  # a disk that does not even say that much has room for nothing
            return 0
        return state.f_bavail * state.f_frsize

    def path_of(self, name: str) -> str:
        return str(self._folder / name)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        # Never abandoned: a cancelled task waits, so no write goes on behind the back of whoever reads next.
        return await trio.to_thread.run_sync(work, abandon_on_cancel=False, limiter=self._threads)

    def _make_folder(self, folder: Path) -> None:
        # The mode counts for the last part of a path only, so one by one; above the node's folder it is not our affair.
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for part in (self._folder, folder):
            part.mkdir(exist_ok=True, mode=0o700)

    def _sync_folders(self, folder: Path) -> None:
        """Make the names in the folder durable; the first time also its own, up to the node's folder."""
        sync_folder(folder)
        if folder not in self._durable_folders:
            self._durable_folders.add(folder)
            while folder not in (self._folder.parent, folder.parent):
                folder = folder.parent
                sync_folder(folder)


class _RealAppendFile(AppendFile):
    def __init__(self, descriptor: int, in_thread: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        self._descriptor = descriptor
        self._in_thread = in_thread
        self.size_bytes = os.fstat(descriptor).st_size

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        def write_and_sync() -> None:
            self.size_bytes += write_all(self._descriptor, chunks)
            if sync:
                sync_data(self._descriptor)

        await self._in_thread(write_and_sync)

    async def cut(self) -> None:
        await self._in_thread(lambda: os.ftruncate(self._descriptor, self.size_bytes))

    def close(self) -> None:
        with suppress(OSError):  # whoever had to know was told by the sync
            os.close(self._descriptor)


@contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class MemoryDisk(Disk):
    """`data: memory`: takes everything, keeps nothing, and is blank at each start."""

    keeps = False

    async def list_names(self, folder: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return []

    async def read(self, name: str) -> bytes:
        await trio.lowlevel.checkpoint()
        raise FileNotFoundError(name)

    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        return await self.read(name)

    async def reread(self, name: str) -> bytes:
        return await self.read(name)

    async def sync(self, name: str) -> None:
        await self.read(name)

    async def open_append(self, name: str) -> AppendFile:
        await trio.lowlevel.checkpoint()
        return _ForgetfulFile()

    async def replace(self, name: str, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def truncate(self, name: str, size_bytes: int) -> None:
        await trio.lowlevel.checkpoint()

    async def remove(self, name: str) -> None:
        await trio.lowlevel.checkpoint()

    async def rename(self, name: str, new: str) -> None:
        await self.read(name)

    async def allocate(self, name: str, size_bytes: int) -> None:
        await trio.lowlevel.checkpoint()

    def free_bytes(self) -> int:
        return sys.maxsize

    def path_of(self, name: str) -> str:
        return f"memory:{name}"


class _ForgetfulFile(AppendFile):
    def __init__(self) -> None:
        self.size_bytes = 0

    async def append(self, chunks: Sequence[Chunk], *, sync: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.size_bytes += sum(map(len, chunks))

    async def cut(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        pass
