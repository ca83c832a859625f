"""What the journal finds on its disk at start, whenever and however the last run ended.

Decides which segments are in use, what of them is read, what is cut, set aside and reported. It must not know what the
node does with the queues. The newest segment with a sound opening says which others are in use; a file it does not
name went before the crash, or was never more than begun.
"""

import errno
import logging
from dataclasses import dataclass, field

from broker.storage.accounts import Account
from broker.storage.books import Books
from broker.storage.reading import Gap, Scan, living_publishes
from broker.storage.segments import FOLDER, Segment
from broker.wire.message import Run
from broker.wire.records import Batch, Gone, JournalRecord, Opening, Settle, Volatile
from broker.wire.sealed import PositionRanges
from broker.world.disk import Disk

log = logging.getLogger("warren.journal")

QUARANTINE = "quarantine"
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
    """One queue as this disk knows it. `line`: the living messages by position; all persistent, the others are gone.
    `returned`: how often (first, last, times) some of them were given back.

    `terms` are (term, first position), ascending; the last is also the highest this copy has accepted. `marks`:
    priority level -> position up to which messages may have been delivered. `origins`: origin -> (highest sequence
    taken, sequences refused); it may still hold origins that were forgotten, and says nothing of lives that are over.
    """

    line: list[Run]
    returned: list[tuple[int, int, int]]
    terms: list[tuple[int, int]]
    marks: dict[int, int]
    holes: PositionRanges
    origins: dict[str, tuple[int, PositionRanges]]
    next_position: int


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


async def recover(disk: Disk) -> Recovery:
    """Read everything, make it durable, and clean up what the last run left half done.

    Raises OSError if the disk cannot be read, UnknownRecord if a newer release wrote on it.
    """
    recovery = Recovery()
    files = [name for name in await disk.list_names(FOLDER) if name.rpartition("/")[2].isdigit()]
    numbers = sorted(int(name.rpartition("/")[2]) for name in files)
    recovery.next_number = max(numbers, default=0) + 1
    in_use, unused = await _find_in_use(disk, numbers)
    for number, size_bytes in sorted(in_use.items()):
        await _replay(disk, recovery, number, size_bytes, closed=number != max(in_use))
    # Only now that the last segment is durable: it may tell why the others are not in use.
    for number in unused:
        await disk.remove(Segment(number).name)
    await _read_lines(disk, recovery)
    for damage in recovery.damages:
        log.error("%s", damage)
    if recovery.torn_bytes:
        log.info("cut %d bytes that were written but never synced", recovery.torn_bytes)
    return recovery


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


async def _replay(disk: Disk, recovery: Recovery, number: int, size_bytes: int | None, *, closed: bool) -> None:
    """Note the records of one segment; cut its tail or set its damage aside."""
    books = recovery.books
    segment = books.open(number)
    try:
        data = await disk.read(segment.name)
    except FileNotFoundError:
        await _set_aside(disk, recovery, segment, b"", Gap(0, size_bytes or 0, "the file is missing"))
        books.close(segment)
        return
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        await _put_away(disk, recovery, segment, size_bytes or 0, error)
        books.close(segment)
        return
    scan = Scan(data, number, closed=closed)
    for offset, end, record in scan:
        if not isinstance(record, JournalRecord | Volatile):
            segment.fill = offset
            segment.sound_from = scan.sound_from
            books.note(record, segment, memoryview(data)[offset:end])
            if isinstance(record, Settle):
                books.settled(record.queue_id, record.ranges)
    if not closed:
        recovery.torn_bytes += len(data) - scan.end
        await disk.truncate(segment.name, scan.end)
    elif size_bytes is not None and len(data) < size_bytes:
        scan.gaps.append(Gap(len(data), size_bytes - len(data), "the file is too short"))
    for gap in scan.gaps:
        await _set_aside(disk, recovery, segment, data, gap)
    segment.fill = segment.size_bytes = scan.end
    books.close(segment)


async def _put_away(disk: Disk, recovery: Recovery, segment: Segment, size_bytes: int, error: OSError) -> None:
    """The disk does not give the file, or parts of it: all of it is kept, for people with patience."""
    name = f"{QUARANTINE}/{segment.number:016d}"
    await disk.rename(segment.name, name)
    why, kept_in = error.strerror or str(error), disk.path_of(name)
    recovery.damages.append(Damage(disk.path_of(segment.name), 0, size_bytes, why, kept_in))


async def _set_aside(disk: Disk, recovery: Recovery, segment: Segment, data: bytes, gap: Gap) -> None:
    segment.damaged = True
    lost = data[gap.offset : gap.offset + gap.length]
    kept_in = None
    if lost:
        name = f"{QUARANTINE}/{segment.number:016d}-{gap.offset}"
        await disk.replace(name, lost)
        kept_in = disk.path_of(name)
    recovery.damages.append(Damage(disk.path_of(segment.name), gap.offset, gap.length, gap.why, kept_in))


async def _read_lines(disk: Disk, recovery: Recovery) -> None:
    """The second reading, only of segments with living messages, for their contents."""
    books = recovery.books
    lines: dict[int, list[Run]] = {account.queue_id: [] for account in books.accounts.values() if not account.dropped}
    for segment in books.segments.values():
        if segment.living:
            data = await disk.read(segment.name)
            for publish in living_publishes(Scan(data, segment.number, closed=True), data, segment, books):
                if publish is not None:
                    lines[publish.queue_id].append(publish.run)
    for queue_id, line in lines.items():
        line.sort(key=lambda run: run.first)
        recovery.queues[queue_id] = _recovered(books.accounts[queue_id], line)


def _recovered(account: Account, line: list[Run]) -> RecoveredQueue:
    return RecoveredQueue(
        line,
        list(account.tallies),
        list(account.terms),
        dict(account.marks),
        list(account.holes),
        dict(account.origins),
        account.next_position,
    )
