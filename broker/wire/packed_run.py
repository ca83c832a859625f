"""How a run of messages lies in bytes, without the head that makes a record of it.

Decides the layout: what all messages share, then their contents one behind the other, or, if they differ in length,
behind a table of lengths. It must not know checksums, queues or files. Big-endian: first position (8), stamp in ms
(8), flags (1), priority (1), count (4), length of each content or 0 (4), bytes of extra parts (2); then the address as
it is, the extra parts, the table of lengths if there is one, the contents.
"""

import struct
from functools import lru_cache
from itertools import accumulate, pairwise

from broker.wire.content import bodies_size
from broker.wire.message import Run, Traits
from broker.wire.properties import PROPERTIES_AT

Buffer = bytes | bytearray | memoryview

_FIXED = struct.Struct(">QQBBIIH")
_NUMBER = struct.Struct(">Q")
_COUNT = struct.Struct(">I")
_PERSISTENT, _REDELIVERED, _HEADERS, _EXPIRES, _ORIGIN, _USER, _RETURNED = 1, 2, 4, 8, 16, 32, 64


def pack_shared(run: Run) -> bytes:
    """Everything of the run but its contents, which are to follow as they are."""
    contents = run.contents
    count, uniform, lengths = len(contents), len(contents[0]) if contents else 0, b""
    if not uniform or (count > 1 and len(set(map(len, contents))) > 1):
        uniform, lengths = 0, struct.pack(f">{count}I", *map(len, contents))
    flags, extra = _extra_of(run)
    fixed = _FIXED.pack(run.first, run.stamp_ms, flags, run.traits.priority, count, uniform, len(extra))
    return b"".join((fixed, run.address, extra, lengths))


class PackedRun:
    """A run in a buffer, of which everything but the contents was read; they start at `contents_at`.

    Raises struct.error, IndexError or ValueError if the bytes make no sense.
    """

    __slots__ = (
        "address",
        "contents_at",
        "count",
        "first",
        "flags",
        "origin",
        "returned",
        "sequence",
        "stamp_ms",
        "traits",
        "uniform",
    )

    def __init__(self, buffer: Buffer, at: int) -> None:
        self.first, self.stamp_ms, flags, priority, self.count, self.uniform, extra = _FIXED.unpack_from(buffer, at)
        at += _FIXED.size
        key_at = at + 1 + buffer[at]
        extra_at = key_at + 1 + buffer[key_at]
        self.address = bytes(buffer[at:extra_at])
        self.flags = flags
        self.contents_at = extra_at + extra
        expiration_ms, self.origin, self.sequence, self.returned, user_id = None, None, 0, 0, None
        if flags & _EXPIRES:
            expiration_ms = _NUMBER.unpack_from(buffer, extra_at)[0]
            extra_at += _NUMBER.size
        if flags & _ORIGIN:
            self.origin, extra_at = unpack_text(buffer, extra_at)
            self.sequence = _NUMBER.unpack_from(buffer, extra_at)[0]
            extra_at += _NUMBER.size
        if flags & _USER:
            user_id, extra_at = unpack_text(buffer, extra_at)
        if flags & _RETURNED:
            self.returned = _COUNT.unpack_from(buffer, extra_at)[0]
        self.traits = _traits(bool(flags & _PERSISTENT), priority, expiration_ms, bool(flags & _HEADERS), user_id)

    def unpack(self, buffer: Buffer, end: int) -> Run:
        """The run itself; its contents must end exactly at `end`."""
        return Run(
            self._cut_contents(buffer, end),
            self.address,
            self.traits,
            first=self.first,
            stamp_ms=self.stamp_ms,
            redelivered=bool(self.flags & _REDELIVERED),
            origin=self.origin,
            sequence=self.sequence,
            returned=self.returned,
        )

    def body_bytes(self, buffer: Buffer, end: int) -> int:
        """About the length of all bodies: see `bodies_size`."""
        at, size_bytes, first_bytes = self.contents_at, end - self.contents_at, self.uniform
        if not first_bytes and self.count:
            first_bytes = _COUNT.unpack_from(buffer, at)[0]
            at += _COUNT.size * self.count
            size_bytes -= _COUNT.size * self.count
        return bodies_size(buffer[at : at + PROPERTIES_AT], first_bytes, self.count, size_bytes)

    def _cut_contents(self, buffer: Buffer, end: int) -> list[bytes]:
        at = self.contents_at
        if self.uniform:
            if at + self.uniform * self.count != end:
                raise ValueError("the contents do not fill their place")
            return list(struct.unpack_from(f"{self.uniform}s" * self.count, buffer, at))
        lengths = struct.unpack_from(f">{self.count}I", buffer, at)
        bounds = list(accumulate(lengths, initial=at + 4 * self.count))
        if bounds[-1] != end:
            raise ValueError("the contents do not fill their place")
        return [bytes(buffer[start:stop]) for start, stop in pairwise(bounds)]


@lru_cache(maxsize=1024)
def _traits(persistent: bool, priority: int, expiration_ms: int | None, headers: bool, user_id: str | None) -> Traits:
    return Traits(
        persistent=persistent, priority=priority, expiration_ms=expiration_ms, has_headers=headers, user_id=user_id
    )


def _extra_of(run: Run) -> tuple[int, bytes]:
    """The flags, and the parts of a run that most runs lack."""
    traits, extra = run.traits, b""
    flags = (traits.persistent and _PERSISTENT) | (run.redelivered and _REDELIVERED) | (traits.has_headers and _HEADERS)
    if traits.expiration_ms is not None:
        flags |= _EXPIRES
        extra = _NUMBER.pack(traits.expiration_ms)
    if run.origin is not None:
        flags |= _ORIGIN
        extra += pack_text(run.origin) + _NUMBER.pack(run.sequence)
    if traits.user_id is not None:
        flags |= _USER
        extra += pack_text(traits.user_id)
    if run.returned:
        flags |= _RETURNED
        extra += _COUNT.pack(run.returned)
    return flags, extra


@lru_cache(maxsize=1024)
def pack_text(text: str) -> bytes:
    """A short text: one byte of length, then UTF-8 (surrogates stand for bytes that are none)."""
    raw = text.encode("utf-8", "surrogateescape")
    return bytes((len(raw),)) + raw


def unpack_text(buffer: Buffer, at: int) -> tuple[str, int]:
    """The short text at `at`, and the offset behind it."""
    end = at + 1 + buffer[at]
    return bytes(buffer[at + 1 : end]).decode("utf-8", "surrogateescape"), end
