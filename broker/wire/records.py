"""The records of a queue's log: the same bytes on disk, between master and mirror, and in catch-up.

Decides the kinds and the layout of each one's body; head and checksum are told in `sealed`, what stands at the end of
a journal segment in `footers`. It must not know where the bytes come from or go to, nor what a queue makes of a record.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import starmap
from typing import ClassVar

from broker.wire.message import Run
from broker.wire.packed_run import Buffer, PackedRun, pack_shared, pack_text, unpack_text
from broker.wire.sealed import (
    HEAD_BYTES,
    DamagedRecord,
    PositionRanges,
    check,
    pack_ranges,
    seal,
    unpack_ranges,
)


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
class Extent:
    """Neighbouring messages that were written to one segment, without contents; the bytes are those of all of them."""

    queue_id: int
    term: int
    first: int
    count: int
    priority: int
    expires: bool
    body_bytes: int
    size_bytes: int = 0

    @property
    def last(self) -> int:
        """The position of the last message."""
        return self.first + self.count - 1

    def cut(self, first: int, last: int) -> "Extent":
        """These positions of it; their bytes are their share."""
        count = last - first + 1
        body_bytes, size_bytes = self.body_bytes * count // self.count, self.size_bytes * count // self.count
        return Extent(self.queue_id, self.term, first, count, self.priority, self.expires, body_bytes, size_bytes)


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


@dataclass(slots=True)
class Summary:
    """A part of what a closed segment's records add up to, and where the part stands; `left` parts follow."""

    KIND: ClassVar[int] = 13
    number: int
    offset: int
    left: int
    entries: bytes


@dataclass(slots=True)
class Index:
    """Where in a closed segment the records are that hold living messages, and where that stands itself."""

    KIND: ClassVar[int] = 14
    number: int
    offset: int
    places: bytes


@dataclass(slots=True)
class Closing:
    """The last bytes of a closed segment: its summary begins at `offset`, and what is before is all of its records."""

    KIND: ClassVar[int] = 15
    number: int
    offset: int


QueueRecord = Publish | Volatile | Settle | Term | Mark | Hole | Origin | Drop | Returned
FooterRecord = Summary | Index | Closing
JournalRecord = Opening | Batch | Gone | FooterRecord
Record = QueueRecord | JournalRecord

# -- writing -----------------------------------------------------------------------------------------------------------

_POSITION = struct.Struct(">Q")
_MARK = struct.Struct(">BQ")
_COUNT = struct.Struct(">I")
_TIMES = struct.Struct(">QQI")


def encode_publish(queue_id: int, term: int, run: Run) -> bytes:
    """The Publish record of a run: a few C calls, whatever its length."""
    return seal(Publish.KIND, queue_id, term, pack_shared(run), run.contents)


def encode(record: Record) -> bytes:
    """The bytes of any record."""
    if isinstance(record, Publish):  # almost all are: they do not go through the cases below
        return encode_publish(record.queue_id, record.term, record.run)
    if isinstance(record, Volatile):
        return seal(Volatile.KIND, record.queue_id, record.term, pack_shared(record.run), record.run.contents)
    return seal(record.KIND, *pack_body(record))


def pack_body(record: Record) -> tuple[int, int, bytes]:
    """Queue id, term and body of a record without messages; the journal's own use the head for what they name."""
    match record:
        case Settle(queue_id, term, ranges) | Hole(queue_id, term, ranges):
            return queue_id, term, pack_ranges(ranges)
        case Term(queue_id, term, first):
            return queue_id, term, _POSITION.pack(first)
        case Mark(queue_id, term, level, upto):
            return queue_id, term, _MARK.pack(level, upto)
        case Origin(queue_id, term, origin, highest, refused):
            return queue_id, term, pack_text(origin) + _POSITION.pack(highest) + pack_ranges(refused)
        case Drop(queue_id, term):
            return queue_id, term, b""
        case Returned(queue_id, term, counts):
            return queue_id, term, _COUNT.pack(len(counts)) + b"".join(starmap(_TIMES.pack, counts))
        case Opening(number, present):
            return number, 0, pack_ranges(present)
        case Batch(number, offset) | Closing(number, offset):
            return number, offset, b""
        case Gone(number):
            return number, 0, b""
        case Summary(number, offset, left, entries):
            return number, offset, _COUNT.pack(left) + entries
        case Index(number, offset, places):
            return number, offset, places
    raise TypeError(f"{record} has messages")


# -- reading -----------------------------------------------------------------------------------------------------------


def decode_publish(buffer: Buffer, offset: int = 0) -> Publish:
    """The Publish record at `offset`. Raises as `decode`, and DamagedRecord if another record is there."""
    record, _ = decode(buffer, offset)
    if not isinstance(record, Publish):
        raise DamagedRecord(f"{type(record).__name__} at {offset}, where messages should be")
    return record


def decode(buffer: Buffer, offset: int = 0) -> tuple[Record, int]:
    """The record at `offset` and the offset behind it.

    Raises TornRecord if the buffer ends too early, DamagedRecord if the bytes are not what was written, UnknownRecord
    if they are sound but newer than this release.
    """
    kind, queue_id, term, end = check(buffer, offset, _PARSERS)
    return parse(kind, buffer, offset + HEAD_BYTES, end, queue_id, term), end


def parse(kind: int, buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Record:
    """The record whose body is there; raises DamagedRecord."""
    try:
        return _PARSERS[kind](buffer, at, end, queue_id, term)
    except (struct.error, LookupError, ValueError) as error:
        raise DamagedRecord(f"the body of a record of kind {kind} at {at} makes no sense: {error}") from error


def skim(buffer: Buffer, offset: int = 0) -> tuple[Record | Outline, int]:
    """As `decode`, but a Publish comes as its Outline, so that no content is copied; of a Volatile everything comes."""
    if len(buffer) > offset + 3 and buffer[offset + 3] != Publish.KIND:
        return decode(buffer, offset)
    _, queue_id, term, end = check(buffer, offset, _PARSERS)
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


def _parse_publish(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Publish:
    return Publish(queue_id, term, PackedRun(buffer, at).unpack(buffer, end))


def _parse_mark(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Mark:
    level, upto = _MARK.unpack_from(buffer, at)
    return Mark(queue_id, term, level, upto)


def _parse_origin(buffer: Buffer, at: int, end: int, queue_id: int, term: int) -> Origin:
    origin, at = unpack_text(buffer, at)
    highest = _POSITION.unpack_from(buffer, at)[0]
    return Origin(queue_id, term, origin, highest, unpack_ranges(buffer, at + _POSITION.size))


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
    Settle.KIND: lambda buffer, at, end, queue_id, term: Settle(queue_id, term, unpack_ranges(buffer, at)),
    Term.KIND: lambda buffer, at, end, queue_id, term: Term(queue_id, term, _POSITION.unpack_from(buffer, at)[0]),
    Mark.KIND: _parse_mark,
    Hole.KIND: lambda buffer, at, end, queue_id, term: Hole(queue_id, term, unpack_ranges(buffer, at)),
    Origin.KIND: _parse_origin,
    Drop.KIND: lambda buffer, at, end, queue_id, term: Drop(queue_id, term),
    Returned.KIND: _parse_returned,
    Opening.KIND: lambda buffer, at, end, queue_id, term: Opening(queue_id, unpack_ranges(buffer, at)),
    Batch.KIND: lambda buffer, at, end, queue_id, term: Batch(queue_id, term),
    Gone.KIND: lambda buffer, at, end, queue_id, term: Gone(queue_id),
    Summary.KIND: lambda buffer, at, end, queue_id, term: Summary(
        queue_id, term, _COUNT.unpack_from(buffer, at)[0], bytes(buffer[at + _COUNT.size : end])
    ),
    Index.KIND: lambda buffer, at, end, queue_id, term: Index(queue_id, term, bytes(buffer[at:end])),
    Closing.KIND: lambda buffer, at, end, queue_id, term: Closing(queue_id, term),
}
