"""The journal: one log on disk for all queues of a node, one sync for everyone who waits.

Decides when records are written and synced, and when a new segment begins. It must not know queues beyond their
records, nor who waits for a sync. Appending never waits: whatever has gathered while one sync ran is the next batch,
so there is no timer. What is a segment, which of them may go and how a disk is read back is told in `books`,
`cleaning` and `recover`.

    journal = Journal(disk); recovery = await journal.recover(); nursery.start_soon(journal.run)
    lsn = journal.append(encode(record), record)        # ... on_synced(lsn or more) follows
"""

import logging
from typing import TYPE_CHECKING

import trio

from broker.storage.books import Books
from broker.storage.cleaning import Cleaner
from broker.storage.recover import Recovery, recover
from broker.storage.segments import Segment
from broker.wire.records import Batch, Gone, Opening, PositionRanges, QueueRecord, Record, encode
from broker.world.disk import AppendFile, Disk

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("warren.journal")

SEGMENT_BYTES = 16 * 1024 * 1024
RESERVED_BYTES = 64 * 1024 * 1024
"""Free space that publishers may not use, so that settles and the metadata log still find room (DESIGN S8)."""


class JournalFailed(Exception):
    """Nothing written since the last sync can be relied on: the node has to end its life as if killed (DESIGN S8)."""


class Journal:
    """From `recover` over `run` to `stop`, or to JournalFailed."""

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.appended = 0
        """Bytes of records appended in this life; the sequence number (LSN) of the last one."""
        self.synced = 0
        """The LSN up to which everything is durable."""
        self.on_synced: list[Callable[[int], None]] = []
        """Called with `synced` after each sync; must not wait."""
        self.failure: JournalFailed | None = None
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._books = Books()
        self._present: dict[
            int, list[Segment]
        ] = {}  # of segments not begun on disk: those in use when they were opened
        self._segment = self._open(1)
        self._segment_fill = 0
        self._chunks: list[bytes] = []
        self._pending: list[tuple[Segment, list[bytes]]] = [(self._segment, self._chunks)]
        self._file: AppendFile | None = None
        self._written: Segment | None = None
        self._stopping = False
        self._sleeper: trio.Event | None = None
        self._waiters = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()
        self._cleaner = Cleaner(self, disk, self._books)

    async def recover(self) -> Recovery:
        """What earlier lives left; to be called once, before anything is appended.

        Raises OSError if the disk cannot be read, UnknownRecord if a newer release wrote on it.
        """
        recovery = await recover(self._disk)
        self._books = recovery.books
        self._present.clear()
        self._segment = self._open(recovery.next_number)
        self._pending = [(self._segment, self._chunks)]
        self._cleaner = Cleaner(self, self._disk, self._books, spare_bytes=4 * self._segment_bytes)
        return recovery

    # -- what queues do with it ----------------------------------------------------------------------------------------

    def append(self, data: bytes, record: QueueRecord) -> int:
        """Add a record (`data` is its encoding) and return its LSN; it is durable once `synced` has reached that."""
        if self._segment_fill >= self._segment_bytes:
            self._roll()
        if self._disk.keeps:
            self._books.note(record, self._segment)
        return self._push(data)

    def settled(self, queue_id: int, ranges: PositionRanges) -> None:
        """What a Settle record killed needs no disk any more: every in-sync member has that record (DESIGN S14)."""
        if self._disk.keeps:
            self._books.settled(queue_id, ranges)

    async def wait_synced(self, lsn: int) -> None:
        """Return when everything up to the LSN is durable; raises JournalFailed."""
        while self.synced < lsn:
            if self.failure is not None:
                raise self.failure
            await self._waiters.park()

    @property
    def backlog_bytes(self) -> int:
        """How much waits for the disk: publishers should wait, too, when it is much."""
        return self.appended - self.synced

    def free_bytes(self) -> int:
        """Room on the disk; publishers have to stop at `RESERVED_BYTES` at the latest, so that others can go on."""
        return self._disk.free_bytes()

    def statistics(self) -> dict[str, int]:
        """Counters of this life, and what is on disk now."""
        segments = self._books.segments.values()
        return {
            "appended_bytes": self.appended,
            "synced_bytes": self.synced,
            "segments": len(segments),
            "disk_bytes": sum(segment.size_bytes for segment in segments),
            "living_messages": sum(segment.living for segment in segments),
        }

    # -- its life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write and sync until `stop`; raises JournalFailed if the disk does not take it."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._commit_forever)
                    nursery.start_soon(self._cleaner.run)
        finally:
            if self._file is not None:
                self._file.close()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Let `run` return as soon as everything appended is durable."""
        self._stopping = True
        self._wake()

    def fail(self, name: str, error: OSError) -> None:
        """The disk failed on that file: nothing is synced any more, and `run` says so."""
        self.failure = JournalFailed(f"{self._disk.path_of(name)}: {error.strerror or error}")
        self.failure.__cause__ = error
        self._pending.clear()
        self._scope.cancel()  # first, so that our own tasks end by this and not by what they waited for
        self._waiters.unpark_all()

    def write_again(self, records: list[QueueRecord | Gone]) -> None:
        """Records that save what a segment holds before it goes, all in one batch, and in one segment."""
        for record in records:
            if not isinstance(record, Gone):
                self._books.note(record, self._segment, again=True)
            self._push(encode(record))

    def copy(self, record: QueueRecord) -> None:
        """A record that stands in another segment, too, which is to go soon."""
        if self._segment_fill >= self._segment_bytes:
            self._roll()
        self.write_again([record])

    # -- writing -------------------------------------------------------------------------------------------------------

    def _push(self, data: bytes) -> int:
        self.appended += len(data)
        if self.failure is None:
            self._chunks.append(data)
            self._segment_fill += len(data)
            if self._sleeper is not None:
                self._wake()
        return self.appended

    def _wake(self) -> None:
        if self._sleeper is not None:
            self._sleeper.set()
            self._sleeper = None

    def _open(self, number: int) -> Segment:
        # Taken now and not when it is written: what goes later goes by a record behind the opening, not by silence.
        self._present[number] = list(self._books.segments.values())
        return self._books.open(number)

    def _roll(self) -> None:
        self._books.close(self._segment)
        self._segment = self._open(self._segment.number + 1)
        self._segment_fill = 0
        self._chunks = []
        self._pending.append((self._segment, self._chunks))

    async def _commit_forever(self) -> None:
        while self.failure is None:
            if self.appended > self.synced:
                await self._commit()
            elif self._stopping:
                self._scope.cancel()
                return
            else:
                self._sleeper = trio.Event()
                await self._sleeper.wait()

    async def _commit(self) -> None:
        batches, lsn = self._pending, self.appended
        self._chunks = []
        self._pending = [(self._segment, self._chunks)]
        for segment, chunks in batches:
            if chunks:
                try:
                    await self._write(segment, chunks)
                except OSError as error:
                    log.critical("the journal cannot be written: %s", error)
                    self.fail(segment.name, error)
                    return
        self.synced = lsn
        for tell in self.on_synced:
            tell(lsn)
        self._waiters.unpark_all()
        self._cleaner.look()

    async def _write(self, segment: Segment, chunks: list[bytes]) -> None:
        head: Record
        if self._file is None or segment is not self._written:
            if self._file is not None:
                self._file.close()
            self._file = await self._disk.open_append(segment.name)
            self._written = segment
            present = self._present.pop(segment.number)
            head = Opening(segment.number, [(other.number, other.size_bytes) for other in present])
        else:
            head = Batch(segment.number, self._file.size_bytes)
        await self._file.append([encode(head), *chunks], sync=True)
        segment.size_bytes = self._file.size_bytes
