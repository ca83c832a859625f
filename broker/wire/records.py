"""The records of a queue's log: the same bytes on disk, between master and mirror, and in catch-up.

Decides the layout, version and checksum of each record, and tells a record that is not yet whole from one that is
damaged. It must not know where the bytes come from or go to, nor what a queue makes of a record.

Layout, big-endian: magic (2), version (1), kind (1), crc32 (4), size of the whole record (4), queue id (8), term (8),
then the kind's own body. The checksum covers everything behind it and is seeded with version and kind.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, starmap
from typing import ClassVar
from zlib import crc32

from broker.wire.message import Run
from broker.wire.packed_run import Buffer, PackedRun, pack_shared, pack_text, unpack_text

MAGIC = b"\xd7W"
VERSION = 1
HEAD = struct.Struct(">2sBBIIQQ")
HEAD_BYTES = HEAD.size
_UNCHECKED_HEAD = struct.Struct(">2sBBI")
_CHECKED_HEAD = struct.Struct(">IQQ")

PositionRanges = list[tuple[int, int]]
"""Positions as (first, last), both included."""


class TornRecord(ValueError):
    """The bytes end before the record does: more must come, or the writer died here."""


class DamagedRecord(ValueError):
    """The bytes are not a record, or not the one that was written."""


class UnknownRecord(ValueError):
    """A sound record of a version or kind that only a newer release can read."""


@dataclass(slots=True)
class Publish:
    """The messages of `run` stand at its positions, written under `term`."""

    KIND: ClassVar[int] = 1
    queue_id: int
    term: int
    run: Run


@dataclass(slots=True)
class Volatile:
    """As a Publish, of messages that need not outlive the node: without room in memory, in a later life void."""

    KIND: ClassVar[int] = 12
    queue_id: int
    term: int
    run: Run


@dataclass(slots=True)
class Outline:
    """A Publish whose contents were left out: what recovery has to know of messages that may be dead."""

    queue_id: int
    term: int
    first: int
    count: int
    origin: str | None
    sequence: int
    priority: int = 0
    expires: bool = False
    body_bytes: int = 0

    @property
    def last(self) -> int:
        """The position of the last message."""
        return self.first + self.count - 1


@dataclass(slots=True)
class Settle:
    """The messages at these positions have left for good; kills what was written before this record."""

    KIND: ClassVar[int] = 2
    queue_id: int
    term: int
    ranges: PositionRanges


@dataclass(slots=True)
class Term:
    """From `first` on positions belong to `term`: what an older term wrote there is void (DESIGN S4).

    Also the promise of a replica: it has accepted `term` and will refuse lower ones.
    """

    KIND: ClassVar[int] = 3
    queue_id: int
    term: int
    first: int


@dataclass(slots=True)
class Mark:
    """Messages of priority `level` up to position `upto` may have been delivered (DESIGN S7)."""

    KIND: ClassVar[int] = 4
    queue_id: int
    term: int
    level: int
    upto: int


@dataclass(slots=True)
class Hole:
    """All positions that this copy knows to lack; each such record replaces the one before, an empty one ends it."""

    KIND: ClassVar[int] = 5
    queue_id: int
    term: int
    ranges: PositionRanges


@dataclass(slots=True)
class Origin:
    """What the queue has from a confirming channel: the highest sequence taken, and those refused (DESIGN S6).

    Replaces what was known of this origin; `highest` 0 forgets it.
    """

    KIND: ClassVar[int] = 6
    queue_id: int
    term: int
    origin: str
    highest: int
    refused: PositionRanges = field(default_factory=list)


@dataclass(slots=True)
class Drop:
    """This copy of the queue is gone: everything of the queue id before this record is void."""

    KIND: ClassVar[int] = 7
    queue_id: int
    term: int = 0


@dataclass(slots=True)
class Opening:
    """The first record of a journal segment: its number, and (number, size in bytes) of the others still in use."""

    KIND: ClassVar[int] = 8
    number: int
    present: list[tuple[int, int]]


@dataclass(slots=True)
class Batch:
    """Stands before all that was written and synced together, and names its own place.

    Everything in front of a batch was synced before the batch was written; so a bad record with a batch behind it
    is damage, one without is the torn tail of a writer that died. A message body that holds copies of records
    cannot be taken for records, because the batches in it name another place.
    """

    KIND: ClassVar[int] = 9
    number: int
    offset: int


@dataclass(slots=True)
class Gone:
    """The journal segment `number` is no longer in use, whether or not its file has vanished yet."""

    KIND: ClassVar[int] = 10
    number: int


@dataclass(slots=True)
class Returned:
    """So often (first, last, times) consumers have given these messages back; counts only grow."""

    KIND: ClassVar[int] = 11
    queue_id: int
    term: int
    counts: list[tuple[int, int, int]]


QueueRecord = Publish | Volatile | Settle | Term | Mark | Hole | Origin | Drop | Returned
JournalRecord = Opening | Batch | Gone
Record = QueueRecord | JournalRecord

# -- writing -----------------------------------------------------------------------------------------------------------

_POSITION = struct.Struct(">Q")
_MARK = struct.Struct(">BQ")
_COUNT = struct.Struct(">I")
_TIMES = struct.Struct(">QQI")


def encode_publish(queue_id: int, term: int, run: Run) -> bytes:
    """The Publish record of a run: a few C calls, whatever its length."""
    return _seal(Publish.KIND, queue_id, term, pack_shared(run), run.contents)


def encode(record: Record) -> bytes:
    """The bytes of any record."""
    if isinstance(record, Publish):  # almost all are: they do not go through the cases below
        return encode_publish(record.queue_id, record.term, record.run)
    if isinstance(record, Volatile):
        return _seal(Volatile.KIND, record.queue_id, record.term, pack_shared(record.run), record.run.contents)
    match record:
        case Settle(queue_id, term, ranges) | Hole(queue_id, term, ranges):
            body = _pack_ranges(ranges)
        case Term(queue_id, term, first):
            body = _POSITION.pack(first)
        case Mark(queue_id, term, level, upto):
            body = _MARK.pack(level, upto)
        case Origin(queue_id, term, origin, highest, refused):
            body = pack_text(origin) + _POSITION.pack(highest) + _pack_ranges(refused)
        case Drop(queue_id, term):
            body = b""
        case Returned(queue_id, term, counts):
            body = _COUNT.pack(len(counts)) + b"".join(starmap(_TIMES.pack, counts))
        case Opening(number, present):
            queue_id, term, body = number, 0, _pack_ranges(present)
        case Batch(number, offset):
            queue_id, term, body = number, offset, b""
        case Gone(number):
            queue_id, term, body = number, 0, b""
    return _seal(record.KIND, queue_id, term, body)


def _seal(kind: int, queue_id: int, term: int, body: bytes, contents: Sequence[bytes] = ()) -> bytes:
    """Head, checksum, body and contents in one piece."""
    # Joined twice on purpose: freeing the first copy before the second is made is faster than keeping both.
    joined = contents[0] if len(contents) == 1 else b"".join(contents)
    checked = _CHECKED_HEAD.pack(HEAD_BYTES + len(body) + len(joined), queue_id, term) + body
    crc = crc32(joined, crc32(checked, VERSION << 8 | kind))
    del joined
    return b"".join((_UNCHECKED_HEAD.pack(MAGIC, VERSION, kind, crc), checked, *contents))


def _pack_ranges(ranges: PositionRanges) -> bytes:
    return _COUNT.pack(len(ranges)) + struct.pack(f">{2 * len(ranges)}Q", *chain.from_iterable(ranges))


# -- reading -----------------------------------------------------------------------------------------------------------


def decode(buffer: Buffer, offset: int = 0) -> tuple[Record, int]:
    """The record at `offset` and the offset behind it.

    Raises TornRecord if the buffer ends too early, DamagedRecord if the bytes are not what was written, UnknownRecord
    if they are sound but newer than this release.
    """
    kind, queue_id, term, end = _check(buffer, offset)
    try:
        return _PARSERS[kind](buffer, offset + HEAD_BYTES, end, queue_id, term), end
    except (struct.error, IndexError, ValueError) as error:
        raise DamagedRecord(f"the body of a record of kind {kind} at {offset} makes no sense: {error}") from error


def skim(buffer: Buffer, offset: int = 0) -> tuple[Record | Outline, int]:
    """As `decode`, but a Publish comes as its Outline, so that no content is copied; of a Volatile everything comes."""
    if len(buffer) > offset + 3 and buffer[offset + 3] != Publish.KIND:
        return decode(buffer, offset)
    _, queue_id, term, end = _check(buffer, offset)
    try:
        body = PackedRun(buffer, offset + HEAD_BYTES)
        body_bytes = body.body_bytes(buffer, end)
    except (struct.error, IndexError, ValueError) as error:
        raise DamagedRecord(f"the body of a publish record at {offset} makes no sense: {error}") from error
    traits = body.traits
    return Outline(
        queue_id,
        term,
        body.first,
        body.count,
        body.origin,
        body.sequence,
        traits.priority,
        traits.expiration_ms is not None,
        body_bytes,
    ), end


def _check(buffer: Buffer, offset: int) -> tuple[int, int, int, int]:
    """Kind, queue id, term and end of the record at `offset`, if its checksum is right."""
    if len(buffer) - offset < HEAD_BYTES:
        raise TornRecord(f"{len(buffer) - offset} bytes at {offset} are less than the head of a record")
    magic, version, kind, crc, size, queue_id, term = HEAD.unpack_from(buffer, offset)
    if magic != MAGIC or size < HEAD_BYTES:
        raise DamagedRecord(f"no record starts at {offset}")
    end = offset + size
    if end > len(buffer):
        raise TornRecord(f"the record at {offset} should end at {end}, the bytes end at {len(buffer)}")
    if crc32(memoryview(buffer)[offset + _UNCHECKED_HEAD.size : end], version << 8 | kind) != crc:
        raise DamagedRecord(f"the checksum of the record at {offset} is wrong")
    if version != VERSION or kind not in _PARSERS:
        raise UnknownRecord(f"the record at {offset} has version {version} and kind {kind}: written by a newer release")
    return kind, queue_id, term, end


def skip(buffer: Buffer, offset: int) -> tuple[int, int, int]:
    """Kind, queue id and end of the record at `offset`, which is believed to be sound as far as its head goes."""
    if len(buffer) - offset < HEAD_BYTES:
        raise TornRecord(f"{len(buffer) - offset} bytes at {offset} are less than the head of a record")
    magic, _, kind, _, size, queue_id, _ = HEAD.unpack_from(buffer, offset)
    if magic != MAGIC or size < HEAD_BYTES:
        raise DamagedRecord(f"no record starts at {offset}")
    return kind, queue_id, offset + size


def _parse_publish(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Publish:
    return Publish(queue_id, term, PackedRun(buffer, at).unpack(buffer, end))


def _unpack_ranges(buffer: Buffer, at: int) -> PositionRanges:
    numbers = struct.unpack_from(f">{2 * _COUNT.unpack_from(buffer, at)[0]}Q", buffer, at + _COUNT.size)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _parse_mark(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Mark:
    level, upto = _MARK.unpack_from(buffer, at)
    return Mark(queue_id, term, level, upto)


def _parse_origin(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Origin:
    origin, at = unpack_text(buffer, at)
    highest = _POSITION.unpack_from(buffer, at)[0]
    return Origin(queue_id, term, origin, highest, _unpack_ranges(buffer, at + _POSITION.size))


def _parse_returned(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Returned:
    if at + _COUNT.size + _COUNT.unpack_from(buffer, at)[0] * _TIMES.size != end:
        raise ValueError("the counts do not fill their place")
    return Returned(queue_id, term, list(_TIMES.iter_unpack(memoryview(buffer)[at + _COUNT.size : end])))


_Parser = Callable[[Buffer, int, int, int, int], Record]
_PARSERS: dict[int, _Parser] = {
    Publish.KIND: _parse_publish,
    Volatile.KIND: lambda buffer, at, end, queue_id, term: Volatile(
        queue_id, term, PackedRun(buffer, at).unpack(buffer, end)
    ),
    Settle.KIND: lambda buffer, at, end, queue_id, term: Settle(queue_id, term, _unpack_ranges(buffer, at)),
    Term.KIND: lambda buffer, at, end, queue_id, term: Term(queue_id, term, _POSITION.unpack_from(buffer, at)[0]),
    Mark.KIND: _parse_mark,
    Hole.KIND: lambda buffer, at, end, queue_id, term: Hole(queue_id, term, _unpack_ranges(buffer, at)),
    Origin.KIND: _parse_origin,
    Drop.KIND: lambda buffer, at, end, queue_id, term: Drop(queue_id, term),
    Returned.KIND: _parse_returned,
    Opening.KIND: lambda buffer, at, end, queue_id, term: Opening(queue_id, _unpack_ranges(buffer, at)),
    Batch.KIND: lambda buffer, at, end, queue_id, term: Batch(queue_id, term),
    Gone.KIND: lambda buffer, at, end, queue_id, term: Gone(queue_id),
}
