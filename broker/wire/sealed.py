"""The head and the checksum around the body of a record.

Decides how a record that is not yet whole is told from one that is damaged, and an old from a newer release. It must
not know what is in a body.

Layout, big-endian: magic (2), version (1), kind (1), crc32 (4), size of the whole record (4), queue id (8), term (8),
then the kind's own body. The checksum covers everything behind it and is seeded with version and kind.
"""

import struct
from collections.abc import Container, Sequence
from itertools import chain
from zlib import crc32

from broker.wire.packed_run import Buffer

MAGIC = b"\xd7W"
VERSION = 1
HEAD = struct.Struct(">2sBBIIQQ")
HEAD_BYTES = HEAD.size
_UNCHECKED_HEAD = struct.Struct(">2sBBI")
_CHECKED_HEAD = struct.Struct(">IQQ")
_COUNT = struct.Struct(">I")

PositionRanges = list[tuple[int, int]]
"""Positions as (first, last), both included."""


class TornRecord(ValueError):
    """The bytes end before the record does: more must come, or the writer died here."""


class DamagedRecord(ValueError):
    """The bytes are not a record, or not the one that was written."""


class UnknownRecord(ValueError):
    """A sound record of a version or kind that only a newer release can read."""


def seal(kind: int, queue_id: int, term: int, body: bytes, contents: Sequence[bytes] = ()) -> bytes:
    """Head, checksum, body and contents in one piece."""
    # Joined twice on purpose: freeing the first copy before the second is made is faster than keeping both.
    joined = contents[0] if len(contents) == 1 else b"".join(contents)
    checked = _CHECKED_HEAD.pack(HEAD_BYTES + len(body) + len(joined), queue_id, term) + body
    crc = crc32(joined, crc32(checked, VERSION << 8 | kind))
    del joined
    return b"".join((_UNCHECKED_HEAD.pack(MAGIC, VERSION, kind, crc), checked, *contents))


def check(buffer: Buffer, offset: int, kinds: Container[int]) -> tuple[int, int, int, int]:
    """Kind, queue id, term and end of the record at `offset`, if its checksum is right and its kind is one of these."""
    _, version, kind, crc, size_bytes, queue_id, term = _head(buffer, offset)
    end = offset + size_bytes
    if end > len(buffer):
        raise TornRecord(f"the record at {offset} should end at {end}, the bytes end at {len(buffer)}")
    if crc32(memoryview(buffer)[offset + _UNCHECKED_HEAD.size : end], version << 8 | kind) != crc:
        raise DamagedRecord(f"the checksum of the record at {offset} is wrong")
    if version != VERSION or kind not in kinds:
        raise UnknownRecord(f"the record at {offset} has version {version} and kind {kind}: written by a newer release")
    return kind, queue_id, term, end


def skip(buffer: Buffer, offset: int) -> tuple[int, int, int]:
    """Kind, queue id and end of the record at `offset`, which is believed to be sound as far as its head goes."""
    _, _, kind, _, size_bytes, queue_id, _ = _head(buffer, offset)
    return kind, queue_id, offset + size_bytes


def _head(buffer: Buffer, offset: int) -> tuple[bytes, int, int, int, int, int, int]:
    if len(buffer) - offset < HEAD_BYTES:
        raise TornRecord(f"{len(buffer) - offset} bytes at {offset} are less than the head of a record")
    head: tuple[bytes, int, int, int, int, int, int] = HEAD.unpack_from(buffer, offset)
    if head[0] != MAGIC or head[4] < HEAD_BYTES:
        raise DamagedRecord(f"no record starts at {offset}")
    return head


def pack_ranges(ranges: PositionRanges) -> bytes:
    """Ranges as a part of a body."""
    return _COUNT.pack(len(ranges)) + struct.pack(f">{2 * len(ranges)}Q", *chain.from_iterable(ranges))


def unpack_ranges(buffer: Buffer, at: int) -> PositionRanges:
    """The ranges at `at`."""
    numbers = struct.unpack_from(f">{2 * _COUNT.unpack_from(buffer, at)[0]}Q", buffer, at + _COUNT.size)
    return list(zip(numbers[::2], numbers[1::2], strict=True))
