"""What stands at the end of a closed journal segment, so that nobody has to read the segment: its summary, its index.

Decides the layout inside of their records. A summary is the shortest log that says what the segment's records say: its
entries are records without checksum and magic of their own, so nobody takes them for records of the log, and extents
in place of messages. It must not know how records add up.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from broker.wire.packed_run import pack_text, unpack_text
from broker.wire.records import Drop, Extent, Hole, Mark, Origin, Returned, Settle, Term, pack_body, parse
from broker.wire.sealed import DamagedRecord


@dataclass(slots=True)
class Raised:
    """The messages told of by extents have raised an origin's sequence to this."""

    KIND: ClassVar[int] = 17
    queue_id: int
    term: int
    origin: str
    highest: int


Entry = Extent | Raised | Settle | Term | Mark | Hole | Origin | Drop | Returned

_EXTENTS = 16
_ENTRY = struct.Struct(">BQQI")
_EXTENT = struct.Struct(">QIBBII")
_POSITION = struct.Struct(">Q")
_COUNT = struct.Struct(">I")
_NUMBER_MAX = 2**32 - 1


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """The entries of a part of a summary."""
    parts: list[bytes] = []
    for (is_extent, queue_id, term), group in groupby(entries, _kinship):
        if is_extent:
            body = b"".join(_pack_extent(entry) for entry in group if isinstance(entry, Extent))
            parts += (_ENTRY.pack(_EXTENTS, queue_id, term, len(body)), body)
            continue
        for entry in group:
            assert not isinstance(entry, Extent)
            if isinstance(entry, Raised):
                body = pack_text(entry.origin) + _POSITION.pack(entry.highest)
            else:
                body = pack_body(entry)[2]
            parts += (_ENTRY.pack(entry.KIND, queue_id, term, len(body)), body)
    return b"".join(parts)


def unpack_entries(data: bytes) -> Iterator[Entry]:
    """The same entries again; raises DamagedRecord."""
    at = 0
    try:
        while at < len(data):
            kind, queue_id, term, size_bytes = _ENTRY.unpack_from(data, at)
            at += _ENTRY.size
            end = at + size_bytes
            if end > len(data):
                raise DamagedRecord(f"the entry at {at} of a summary ends too early")
            if kind == _EXTENTS:
                for first, count, priority, expires, body_bytes, own_bytes in _EXTENT.iter_unpack(data[at:end]):
                    yield Extent(queue_id, term, first, count, priority, bool(expires), body_bytes, own_bytes)
            elif kind == Raised.KIND:
                origin, at = unpack_text(data, at)
                yield Raised(queue_id, term, origin, _POSITION.unpack_from(data, at)[0])
            else:
                record = parse(kind, data, at, end, queue_id, term)
                if not isinstance(record, Settle | Term | Mark | Hole | Origin | Drop | Returned):
                    raise DamagedRecord(f"a record of kind {kind} does not belong into a summary")
                yield record
            at = end
    except (struct.error, IndexError, UnicodeError) as error:
        raise DamagedRecord(f"the entry at {at} of a summary makes no sense: {error}") from error


def _kinship(entry: Entry) -> tuple[bool, int, int]:
    return isinstance(entry, Extent), entry.queue_id, entry.term


def _pack_extent(extent: Extent) -> bytes:
    body_bytes, size_bytes = min(extent.body_bytes, _NUMBER_MAX), min(extent.size_bytes, _NUMBER_MAX)
    return _EXTENT.pack(extent.first, extent.count, extent.priority, extent.expires, body_bytes, size_bytes)


@dataclass(slots=True)
class IndexTable:
    """Per queue so many (`counts`) neighbouring entries: positions first to last lie in the bytes offset to end."""

    queue_ids: "array[int]"
    counts: "array[int]"
    firsts: "array[int]"
    lasts: "array[int]"
    offsets: "array[int]"
    ends: "array[int]"


_COLUMNS = "QIQQII"


def pack_index(table: IndexTable) -> bytes:
    """The table as bytes."""
    columns = (table.queue_ids, table.counts, table.firsts, table.lasts, table.offsets, table.ends)
    sizes = (len(table.queue_ids), len(table.firsts))
    return b"".join((_COUNT.pack(sizes[0]), _COUNT.pack(sizes[1]), *map(_big_endian, columns)))


def unpack_index(data: bytes) -> IndexTable:
    """The table again; raises DamagedRecord."""
    try:
        queues, entries = _COUNT.unpack_from(data, 0)[0], _COUNT.unpack_from(data, _COUNT.size)[0]
        columns: list[array[int]] = []
        at = 2 * _COUNT.size
        for code, length in zip(_COLUMNS, (queues, queues, entries, entries, entries, entries), strict=True):
            column = array(code)
            column.frombytes(data[at : at + length * column.itemsize])
            at += length * column.itemsize
            if sys.byteorder == "little":
                column.byteswap()
            if len(column) != length:
                raise ValueError("it ends too early")
            columns.append(column)
    except (struct.error, ValueError) as error:
        raise DamagedRecord(f"an index makes no sense: {error}") from error
    return IndexTable(*columns)


def _big_endian(column: "array[int]") -> bytes:
    if sys.byteorder == "little":
        column = column[:]
        column.byteswap()
    return column.tobytes()
