"""What one life of a node has on disk: its folder, its journal and its metadata log.

Decides in which order they are opened and closed, and through which disks each is written: the reserve tides over both
logs, the fsync policy is the journal's alone. What a newer release wrote is refused before anything is changed. It must
not know what is kept in them.
"""

import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster.entries import DamagedLog, DurableState
from broker.metadata.state import State
from broker.storage import zab_log as metadata
from broker.storage.formats import NewerFormat
from broker.storage.fsync import Fsync, LaxDisk
from broker.storage.identity import NAME, DamagedIdentity, Folder
from broker.storage.journal import Journal, JournalFailed
from broker.storage.reserve import Reserve
from broker.storage.segments import FOLDER
from broker.storage.zab_log import ZabLog
from broker.wire.sealed import UnknownRecord

if TYPE_CHECKING:
    from broker.storage.recover import Recovery

log = logging.getLogger("warren.disk")


class Unusable(Exception):
    """No node can live on this disk as it is; the text says why, and what would be right."""


async def unless_disk_fails(run: Callable[..., Awaitable[None]], **more: Any) -> None:
    """Run what may learn of a failure first: whoever keeps the store sees to the end of this life, in good order."""
    try:
        await run(**more)
    except* JournalFailed:
        log.info("event=cut_short by=the disk")


class Store:
    """From `open` to `end`, or to the first failure."""

    def __init__(self, disk: Reserve, fsync: Fsync, suspects: set[int]) -> None:
        """`suspects`: numbers of segments in which earlier lives of this process found what cannot be read."""
        self.folder: Folder
        self.recovery: Recovery
        self.durable: DurableState
        """What the metadata log holds."""
        self.zab_log = ZabLog(disk)
        self._disk = disk
        self._fsync = fsync
        self._lax = None if fsync.keeps_promises else LaxDisk(disk, fsync)
        self.journal = Journal(self._lax or disk, suspects=suspects)
        self._kept = trio.Event()

    async def open(self, chance: Random, stamp_ms: int, boot: str, above: int = 0) -> None:
        """Recover what earlier lives left, and begin one more, with a number `above` this one. Raises Unusable."""
        try:
            await self._open(chance, stamp_ms, boot, above)
        except (DamagedIdentity, NewerFormat) as reason:
            raise Unusable(str(reason)) from reason
        except DamagedLog as reason:
            raise Unusable(
                f"{reason}: put a copy of it back, or remove the folder, so that the others fill it"
            ) from reason
        except UnknownRecord as reason:
            segment, _, what = str(reason).partition(": ")
            raise Unusable(f"{self._disk.path_of(segment)}: {what}: start that release, or a newer one") from reason
        except OSError as reason:
            raise Unusable(f"{reason}: mend the disk") from reason

    async def _open(self, chance: Random, stamp_ms: int, boot: str, above: int) -> None:
        disk = self._disk
        is_lossy = await Folder.check(disk, boot)
        self.durable = await self.zab_log.recover()
        snapshot = self.durable.snapshot
        if snapshot is not None and not State.can_restore(snapshot.state):
            raise NewerFormat(disk.path_of(metadata.NAME), "a snapshot of another format")
        self.recovery = await self._recover(everything=is_lossy)
        self.folder = await Folder.begin_life(
            disk, chance=chance, stamp_ms=stamp_ms, fsync=self._fsync, boot=boot, above=above
        )

    async def _recover(self, *, everything: bool) -> "Recovery":
        """Where anything may be missing no segment is taken at its word: each is read in full."""
        suspects = self.journal.suspects
        names = [name.rpartition("/")[2] for name in await self._disk.list_names(FOLDER)] if everything else []
        found = {int(name) for name in names if name.isdigit()} - suspects
        suspects |= found
        recovery = await self.journal.recover()
        suspects -= found
        return recovery

    @property
    def is_damaged(self) -> bool:
        """Whether something may be missing that was reported as safe."""
        return self.folder.lossy or bool(self.recovery.damages)

    async def keep(self) -> None:
        """Write and sync until `end`. Raises JournalFailed."""
        failure: JournalFailed | None = None
        async with trio.open_nursery() as nursery:
            if self._lax is not None:
                nursery.start_soon(self._lax.run, self.journal.fail)
            try:
                await self.journal.run()
            except JournalFailed as failed:
                failure = failed
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._kept.set()

    def fail(self, failure: JournalFailed) -> None:
        """The metadata log failed: what is in the journal must not count for more than what is in that."""
        cause = failure.__cause__
        self.journal.fail(metadata.NAME, cause if isinstance(cause, OSError) else OSError(str(failure)))

    async def registered(self) -> None:
        """The cluster knows what may be missing here. Raises JournalFailed."""
        if self.folder.lossy:
            try:
                self.folder = await self.folder.told(self._disk)
            except OSError as error:
                raise JournalFailed(f"{self._disk.path_of(NAME)}: {error.strerror or error}") from error

    async def end(self) -> None:
        """Return when everything is durable, and the folder says so, if it can."""
        self.journal.stop()
        await self._kept.wait()
        if self._lax is None or await self._lax.sync_all(self.journal.fail):
            try:
                await self.folder.end_life(self._disk)
            except OSError as error:  # then it counts as damaged if the machine fails: that is only careful
                log.warning("event=end_not_written file=%s why=%r", self._disk.path_of(NAME), error.strerror)

    def close(self) -> None:
        """Let go of the files."""
        self.zab_log.close()
