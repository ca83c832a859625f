"""The journal: one log on disk for all queues of a node, one sync for everyone who waits.

Decides when records are written and synced, and when a new segment begins. It must not know queues beyond their
records, nor who waits for a sync. Appending never waits: whatever has gathered while one sync ran is the next batch,
so there is no timer. What is a segment, which of them may go and how a disk is read back is told in `books`,
`cleaning` and `recover`.

    journal = Journal(disk); recovery = await journal.recover(); nursery.start_soon(journal.run)
    lsn = journal.append(encode(record), record)        # ... on_synced(lsn or more) follows
"""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from broker.storage.books import Books
from broker.storage.cleaning import Cleaner
from broker.storage.footers import Indices, footer_of, sum_up
from broker.storage.loading import Reading
from broker.storage.places import Places
from broker.storage.recover import Recovery, recover
from broker.storage.segments import Segment
from broker.wire.message import Run
from broker.wire.records import Batch, Gone, Opening, QueueRecord, Volatile, encode
from broker.wire.sealed import DamagedRecord, PositionRanges, TornRecord
from broker.world.disk import AppendFile, Disk

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("warren.journal")

SEGMENT_BYTES = 16 * 1024 * 1024
SPARE_SEGMENTS = 2
"""So much may be dead before living messages are moved: with the open one and a copy under way, 64 MiB at most."""
RESERVED_BYTES = 64 * 1024 * 1024
"""Free space that publishers may not use, so that settles and the metadata log still find room (DESIGN S8)."""


class JournalFailed(Exception):
    """Nothing written since the last sync can be relied on: the node has to end its life as if killed (DESIGN S8)."""


class JournalDamaged(JournalFailed):
    """What was synced once cannot be read: the next life reads the segment in full, and says what is lost."""


class _Lot:
    """What is written at one go to one segment; `closes` if it is the last of it."""

    __slots__ = ("chunks", "closes", "segment")

    def __init__(self, segment: Segment, head: bytes) -> None:
        self.segment = segment
        self.chunks = [head]
        self.closes = False


class Journal:
    """From `recover` over `run` to `stop`, or to JournalFailed."""

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, suspects: set[int] | None = None) -> None:
        self.appended = 0
        """Bytes of records appended in this life; the sequence number (LSN) of the last one."""
        self.synced = 0
        """The LSN up to which everything is durable."""
        self.on_synced: list[Callable[[int], None]] = []
        """Called with `synced` after each sync; must not wait."""
        self.failure: JournalFailed | None = None
        self.suspects = set() if suspects is None else suspects
        """Numbers of segments in which something could not be read: for the next life in this process."""
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._books = Books()
        self._segment = self._books.open(1)
        self._chunks: list[bytes] = []
        self._pending: list[_Lot] = []
        self._indices = Indices(disk)
        self._begin(Opening(1, []))
        self._file: AppendFile | None = None
        self._written: Segment | None = None
        self._stopping = False
        self._sleeper: trio.Event | None = None
        self._waiters = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()
        self._cleaner = self._make_cleaner()

    async def recover(self) -> Recovery:
        """What earlier lives left; to be called once, before anything is appended.

        Raises OSError if the disk cannot be read, UnknownRecord if a newer release wrote on it.
        """
        recovery = await recover(self._disk, self.suspects)
        self.suspects.clear()
        self._books = recovery.books
        self._pending = []
        self._open(recovery.next_number)
        self._cleaner = self._make_cleaner()
        return recovery

    # -- what queues do with it ----------------------------------------------------------------------------------------

    def append(self, data: bytes, record: QueueRecord) -> int:
        """Add a record (`data` is its encoding) and return its LSN; it is durable once `synced` has reached that."""
        if self._segment.fill >= self._roll_at:
            self._roll()
        if self._disk.keeps:
            self._books.note(record, self._segment, data)
        return self._push(data)

    def page_out(self, queue_id: int, term: int, run: Run) -> None:
        """Keep messages for this life only: they are in no record yet, and their owner has no room for them."""
        if self.keeps:
            record = Volatile(queue_id, term, run)
            self.append(encode(record), record)

    def holds(self, queue_id: int) -> bool:
        """Whether messages of the queue lie here."""
        return self._books.holds(queue_id)

    def locate(self, queue_id: int, first: int, last: int) -> Reading:
        """What lives of these positions now, to be read; it stays where it is until it was read or released."""
        return Reading(self, self._disk, self._books, queue_id, first, last)

    async def load(self, queue_id: int, first: int, last: int) -> list[Run]:
        """What lives of these positions, in order; it may lack what was settled meanwhile. Raises JournalFailed."""
        return await self.locate(queue_id, first, last).read()

    def settled(self, queue_id: int, ranges: PositionRanges) -> None:
        """What a Settle record killed needs no disk any more: every in-sync member has that record (DESIGN S14)."""
        if self.keeps:
            self._books.settled(queue_id, ranges)
            self._cleaner.look()

    def unreleased(self, queue_id: int) -> PositionRanges:
        """What was settled, and is kept because not every in-sync member was known to have heard of it (S14)."""
        return self._books.unreleased(queue_id)

    async def wait_synced(self, lsn: int) -> None:
        """Return when everything up to the LSN is durable; raises JournalFailed."""
        while self.synced < lsn:
            if self.failure is not None:
                raise self.failure
            await self._waiters.park()

    @property
    def keeps(self) -> bool:
        """Whether what is written here can be read again."""
        return self._disk.keeps

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
                    nursery.start_soon(self._clean)
        finally:
            if self._file is not None:
                self._file.close()
        if self.failure is not None:
            raise self.failure

    async def _clean(self) -> None:
        with suppress(JournalDamaged):  # then it is noted, and everything ends by that
            await self._cleaner.run()

    def stop(self) -> None:
        """Let `run` return as soon as everything appended is durable."""
        self._stopping = True
        self._wake()

    def fail(self, name: str, error: OSError) -> None:
        """The disk failed on that file: nothing is synced any more, and `run` says so."""
        failure = JournalFailed(f"{self._disk.path_of(name)}: {error.strerror or error}")
        failure.__cause__ = error
        self._end(failure)

    def _end(self, failure: JournalFailed) -> None:
        self.failure = failure
        self._pending.clear()
        self._scope.cancel()  # first, so that our own tasks end by this and not by what they waited for
        self._waiters.unpark_all()

    def write_again(self, records: list[QueueRecord | Gone]) -> None:
        """Records that save what a segment holds before it goes, all in one batch, and in one segment."""
        for record in records:
            data = encode(record)
            if not isinstance(record, Gone):
                self._books.note(record, self._segment, data, again=True)
            self._push(data)

    def copy(self, record: QueueRecord) -> None:
        """A record that stands in another segment, too, which is to go soon."""
        if self._segment.fill >= self._roll_at:
            self._roll()
        self.write_again([record])

    # -- what readings and the cleaner need ----------------------------------------------------------------------------

    async def wait_written(self, segment: Segment, end: int) -> None:
        """Return when the file has everything up to there; raises JournalFailed."""
        while segment.size_bytes < end:
            if self.failure is not None:
                raise self.failure
            await self._waiters.park()

    async def places(self, segment: Segment, queue_id: int) -> Places:
        """Where the queue's records lie in the segment; raises JournalDamaged."""
        await trio.lowlevel.checkpoint()
        chapter = segment.chapters.get(queue_id)
        if chapter is not None and chapter.places is not None:
            return chapter.places
        try:
            return await self._indices.places(segment, queue_id)
        except OSError as error:
            raise self.damaged(segment, segment.index_at, error.strerror or error) from error
        except (DamagedRecord, TornRecord) as error:
            raise self.damaged(segment, segment.index_at, error) from error

    def damaged(self, segment: Segment, offset: int, why: object) -> JournalDamaged:
        """What was written there cannot be read: this life is over. Returns what to raise."""
        failure = JournalDamaged(f"{self._disk.path_of(segment.name)}: at {offset}: {why}")
        log.critical("the journal is damaged: %s", failure)
        self.suspects.add(segment.number)
        self._end(failure)
        return failure

    def let_go(self, segment: Segment) -> None:
        """Nobody reads in the segment any more."""
        if segment in self._books.emptied:
            self._cleaner.ring()

    def _make_cleaner(self) -> Cleaner:
        size = self._segment_bytes
        return Cleaner(self, self._disk, self._books, spare_bytes=SPARE_SEGMENTS * size, round_bytes_max=size)

    # -- writing -------------------------------------------------------------------------------------------------------

    def _push(self, data: bytes) -> int:
        self.appended += len(data)
        if self.failure is None:
            self._chunks.append(data)
            self._segment.fill += len(data)
            if self._sleeper is not None:
                self._wake()
        return self.appended

    def _wake(self) -> None:
        if self._sleeper is not None:
            self._sleeper.set()
            self._sleeper = None

    def _open(self, number: int) -> None:
        # Taken now and not when it is written: what goes later goes by a record behind the opening, not by silence.
        present = [(segment.number, segment.fill) for segment in self._books.segments.values()]
        self._segment = self._books.open(number)
        self._begin(Opening(number, present))

    def _begin(self, head: Opening | Batch) -> None:
        """A new list of chunks, its head in front at once: so every record's place is known when it is appended."""
        data = encode(head)
        self._segment.fill += len(data)
        if isinstance(head, Opening):
            self._roll_at = max(self._segment_bytes, self._segment.fill + 1)
        lot = _Lot(self._segment, data)
        self._chunks = lot.chunks
        self._pending.append(lot)

    def _roll(self) -> None:
        if len(self._chunks) == 1:  # a head for nothing
            self._segment.fill -= len(self._chunks.pop())
        self._pending[-1].closes = True
        self._books.close(self._segment)
        self._open(self._segment.number + 1)
        self._cleaner.look_soon()

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
        lots, lsn = self._pending, self.appended
        self._pending = []
        if len(self._chunks) > 1:
            self._begin(Batch(self._segment.number, self._segment.fill))
        else:  # nothing but a head, for the next batch
            self._pending.append(lots.pop())
        for lot in lots:
            try:
                await self._write(lot)
            except OSError as error:
                log.critical("the journal cannot be written: %s", error)
                self.fail(lot.segment.name, error)
                return
        self.synced = lsn
        for tell in self.on_synced:
            tell(lsn)
        self._waiters.unpark_all()
        self._cleaner.look()

    async def _write(self, lot: _Lot) -> None:
        segment = lot.segment
        if self._file is None or segment is not self._written:
            if self._file is not None:
                self._file.close()
            self._file = await self._disk.open_append(segment.name)
            self._written = segment
        assert self._file.size_bytes == segment.size_bytes, f"{segment} is {self._file.size_bytes} bytes long"
        footer: list[bytes] = []
        if lot.closes and segment.living:  # or else it goes
            footer = await footer_of(segment, segment.fill)
        if lot.chunks or footer:
            await self._file.append([*lot.chunks, *footer], sync=True)
            segment.size_bytes = self._file.size_bytes
        if footer:
            sum_up(segment)
