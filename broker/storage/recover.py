"""What the journal finds on its disk at start, whenever and however the last run ended.

Decides which segments are in use, what of them is read, what is cut, set aside and reported. It must not know what the
node does with the queues. The newest segment with a sound opening says which others are in use; a file it does not
name went before the crash, or was never more than begun. Of closed segments only what they add up to is read; in full
the newest one, those without a sound summary, and those in which something could not be read of late.
"""

import errno
import logging
from collections.abc import Collection
from dataclasses import dataclass, field

import trio

from broker.storage.accounts import Account
from broker.storage.books import Books
from broker.storage.extents import Extents
from broker.storage.footers import end_of_records, footer_of, sum_up, summary_of
from broker.storage.reading import Gap, Scan
from broker.storage.segments import FOLDER, Segment
from broker.wire.footers import Entry
from broker.wire.records import Batch, Extent, Gone, JournalRecord, Opening, Settle, Volatile
from broker.wire.sealed import DamagedRecord, PositionRanges, TornRecord
from broker.world.disk import Disk

log = logging.getLogger("warren.journal")

QUARANTINE = "quarantine"
PROGRESS_S = 2.0
RECORDS_PER_STEP = 1000
UNREADABLE = (errno.EIO, errno.EBADMSG)
"""What a disk says of a file whose bytes it has lost; anything else is not about the file."""


@dataclass(slots=True)
class Damage:
    """Bytes that were synced once and cannot be read now; `kept_in` is the file with what they are, if they are."""

    path: str
    offset: int
    length: int
    why: str
    kept_in: str | None

    def __str__(self) -> str:
        kept = f", kept in {self.kept_in}" if self.kept_in else ""
        return f"{self.path}: {self.length} bytes from {self.offset} are lost: {self.why}{kept}"


@dataclass(slots=True)
class RecoveredQueue:
    """One queue as this disk knows it. `extents`: the living messages by position; all persistent, the others are gone.
    `returned`: how often (first, last, times) some of them were given back.

    `terms` are (term, first position), ascending; the last is also the highest this copy has accepted. `marks`:
    priority level -> position up to which messages may have been delivered. `origins`: origin -> (highest sequence
    taken, sequences refused); it may still hold origins that were forgotten, and says nothing of lives that are over.
    `told_under`: origin -> term of the master who said so.
    """

    extents: list[Extent]
    returned: list[tuple[int, int, int]]
    terms: list[tuple[int, int]]
    marks: dict[int, int]
    holes: PositionRanges
    origins: dict[str, tuple[int, PositionRanges]]
    next_position: int
    told_under: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Recovery:
    """All that was found. With `damages` no queue here may count as a copy that has everything (DESIGN S3)."""

    queues: dict[int, RecoveredQueue] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)
    torn_bytes: int = 0
    """How much was cut from the end: written, but never reported as synced."""
    books: Books = field(default_factory=Books)
    next_number: int = 1
    """The number of the segment to write next."""


async def recover(disk: Disk, suspects: Collection[int] = ()) -> Recovery:
    """Read what is needed, make it durable, and clean up what the last run left half done.

    Raises OSError if the disk cannot be read, UnknownRecord if a newer release wrote on it.
    """
    recovery = Recovery()
    files = [name for name in await disk.list_names(FOLDER) if name.rpartition("/")[2].isdigit()]
    numbers = sorted(int(name.rpartition("/")[2]) for name in files)
    recovery.next_number = max(numbers, default=0) + 1
    in_use, unused = await _find_in_use(disk, numbers)
    replay, progress = _Replay(disk, recovery), _Progress(len(in_use))
    for number, size_bytes in sorted(in_use.items()):
        progress.tell(len(recovery.books.segments))
        closed = number != max(in_use)
        if not closed or size_bytes is None or number in suspects or not await replay.summary(number, size_bytes):
            await replay.records(number, size_bytes, closed=closed)
    # Only now that the last segment is durable: it may tell why the others are not in use.
    for number in unused:
        await disk.remove(Segment(number).name)
    for account in recovery.books.accounts.values():
        if not account.dropped:
            extents = replay.extents.living(account.queue_id, iter(account.holdings))
            recovery.queues[account.queue_id] = _recovered(account, extents)
    await replay.sum_up()
    for damage in recovery.damages:
        log.error("%s", damage)
    if recovery.torn_bytes:
        log.info("cut %d bytes that were written but never synced", recovery.torn_bytes)
    return recovery


class _Progress:
    """Says how far a long recovery is, now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next = trio.current_time() + PROGRESS_S

    def tell(self, done: int) -> None:
        """So many segments have been read."""
        now = trio.current_time()
        if now >= self._next:
            self._next = now + PROGRESS_S
            log.info("event=recovering segments=%d/%d", done, self._total)


async def _find_in_use(disk: Disk, numbers: list[int]) -> tuple[dict[int, int | None], list[int]]:
    """Number -> size (None if unknown) of the segments in use; and the numbers of files that are not."""
    in_use: dict[int, int | None] = {}
    gone: set[int] = set()
    for number in reversed(numbers):
        try:
            data = await disk.reread(Segment(number).name)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            in_use[number] = None  # and what it would say of the others, one of them says, too
            continue
        records = [
            record for _, _, record in Scan(data, number, closed=False) if isinstance(record, Opening | Batch | Gone)
        ]
        gone |= {record.number for record in records if isinstance(record, Gone)}
        if not records:
            continue  # begun, but nothing in it was ever synced
        in_use[number] = None
        opening = records[0]
        if isinstance(opening, Opening):
            in_use |= dict(opening.present)
            break
    in_use = {number: size_bytes for number, size_bytes in in_use.items() if number not in gone}
    return in_use, [number for number in numbers if number not in in_use]


class _Replay:
    """Brings segment after segment into the books, from the oldest on."""

    def __init__(self, disk: Disk, recovery: Recovery) -> None:
        self.extents = Extents()
        self._disk = disk
        self._recovery = recovery
        self._books = recovery.books
        self._read_in_full: list[Segment] = []

    async def summary(self, number: int, end: int) -> bool:
        """Note what a closed segment adds up to; False, and nothing is noted, if it does not say so soundly."""
        segment = Segment(number)
        segment.fill = end
        entries: list[Entry] = []
        try:
            async for part in summary_of(self._disk, segment, end):
                entries += part
        except (TornRecord, DamagedRecord, OSError):
            return False
        segment.summed_up = True
        self._books.segments[number] = segment
        for entry in entries:
            self._books.note(entry, segment)
            self._gather(entry, segment)
        self._books.close(segment)
        return True

    async def records(self, number: int, size_bytes: int | None, *, closed: bool) -> None:
        """Note the records of one segment; cut its tail or set its damage aside."""
        disk, books = self._disk, self._books
        segment = books.open(number)
        try:
            data = await disk.read(segment.name)
        except FileNotFoundError:
            await self._set_aside(segment, b"", Gap(0, size_bytes or 0, "the file is missing"))
            books.close(segment)
            return
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            await self._put_away(segment, size_bytes or 0, error)
            books.close(segment)
            return
        written_bytes = len(data)
        if closed:
            data = data[: end_of_records(data, number) if size_bytes is None else size_bytes]
        scan = Scan(data, number, closed=closed)
        for step, (offset, end, record) in enumerate(scan, 1):
            if not isinstance(record, JournalRecord | Volatile):
                segment.fill = offset
                segment.sound_from = scan.sound_from
                books.note(record, segment, memoryview(data)[offset:end])
                if isinstance(record, Settle):
                    books.settled(record.queue_id, record.ranges)
            if step % RECORDS_PER_STEP == 0:
                await trio.lowlevel.checkpoint()
        if not closed and not scan.has_footer:
            self._recovery.torn_bytes += len(data) - scan.end
        if closed and size_bytes is not None and len(data) < size_bytes:
            scan.gaps.append(Gap(len(data), size_bytes - len(data), "the file is too short"))
        if not closed or scan.end < written_bytes:  # what is behind the records is a footer, and not to be trusted
            await disk.truncate(segment.name, scan.end)
        for gap in scan.gaps:
            await self._set_aside(segment, data, gap)
        segment.fill = segment.size_bytes = scan.end
        books.close(segment)
        self._read_in_full.append(segment)
        for queue_id, chapter in segment.chapters.items():
            for entry in chapter.digest.entries(queue_id) if chapter.digest is not None else ():
                if isinstance(entry, Extent):
                    self.extents.add(entry, segment)

    async def sum_up(self) -> None:
        """Give the segments that were read in full the footers that they lack, so that this was the last time."""
        for segment in self._read_in_full:
            if segment.damaged or not segment.living:
                continue
            try:
                footer = await footer_of(segment, segment.fill)
                file = await self._disk.open_append(segment.name)
                try:
                    await file.append(footer, sync=True)
                finally:
                    file.close()
            except OSError as error:  # of no use to anybody but the next start
                log.warning("%s gets no summary: %s", self._disk.path_of(segment.name), error.strerror or error)
                return
            segment.size_bytes = file.size_bytes
            sum_up(segment)

    def _gather(self, entry: Entry, segment: Segment) -> None:
        if isinstance(entry, Extent):
            self.extents.add(entry, segment)
        elif isinstance(entry, Settle):
            self._books.settled(entry.queue_id, entry.ranges)

    async def _put_away(self, segment: Segment, size_bytes: int, error: OSError) -> None:
        """The disk does not give the file, or parts of it: all of it is kept, for people with patience."""
        name = f"{QUARANTINE}/{segment.number:016d}"
        await self._disk.rename(segment.name, name)
        why, kept_in = error.strerror or str(error), self._disk.path_of(name)
        self._recovery.damages.append(Damage(self._disk.path_of(segment.name), 0, size_bytes, why, kept_in))

    async def _set_aside(self, segment: Segment, data: bytes, gap: Gap) -> None:
        segment.damaged = True
        lost = data[gap.offset : gap.offset + gap.length]
        kept_in = None
        if lost:
            name = f"{QUARANTINE}/{segment.number:016d}-{gap.offset}"
            await self._disk.replace(name, lost)
            kept_in = self._disk.path_of(name)
        path = self._disk.path_of(segment.name)
        self._recovery.damages.append(Damage(path, gap.offset, gap.length, gap.why, kept_in))


def _recovered(account: Account, extents: list[Extent]) -> RecoveredQueue:
    return RecoveredQueue(
        extents,
        list(account.tallies),
        list(account.terms),
        dict(account.marks),
        list(account.holes),
        dict(account.origins),
        account.next_position,
        {origin: taken.term for origin, taken in account.taken.items()},
    )
