"""A message's content as bytes: a header frame and its body frames, ready for the wire (AMQP 0-9-1 section 2.3.5.2).

Decides how such bytes are built, taken apart and changed where they must differ: another channel number, a smaller
frame size, other properties. It must not know who asks. Contents that come in here are well-formed: the parser let
them through.
"""

import struct
from typing import TYPE_CHECKING

from broker.wire.properties import PROPERTIES_AT, Properties

if TYPE_CHECKING:
    from broker.wire.message import Run

FRAME_OVERHEAD = 8
"""Bytes of a frame that are not payload: type, channel, size and the end octet."""

_HEAD = struct.Struct(">BHI")
_SIZE = struct.Struct(">I")
_BODY_SIZE = struct.Struct(">Q")
_HEADER = struct.Struct(">BHIHHQ")
_END = b"\xce"


def body_size(content: bytes) -> int:
    """The length of the body in bytes, from the header frame."""
    size: int = _BODY_SIZE.unpack_from(content, 11)[0]
    return size


def bodies_size(head: bytes | bytearray | memoryview, first_bytes: int, count: int, size_bytes: int) -> int:
    """About the length of the bodies of so many contents that come to so many bytes: around each there is taken to be
    as much as around the first, which begins with `head`. 0 if that is nothing that a client sent."""
    if first_bytes < PROPERTIES_AT:
        return 0
    body_bytes: int = _BODY_SIZE.unpack_from(head, 11)[0]
    around = first_bytes - min(body_bytes, first_bytes)
    return max(size_bytes - around * count, 0)


def bodies_size_of(run: "Run") -> int:
    """The same of a run, found out once."""
    if run.bodies_bytes < 0:
        first = run.contents[0] if run.contents else b""
        run.bodies_bytes = bodies_size(first, len(first), run.count, run.size_bytes)
    return run.bodies_bytes


def body_of(content: bytes) -> bytes:
    """The body alone."""
    start = _body_start(content)
    if body_size(content) == len(content) - start - FRAME_OVERHEAD:
        return content[start + 7 : -1]
    return b"".join(content[begin:end] for begin, end in _payloads(content, start))


def make_content(channel: int, properties: Properties, body: bytes, frame_max: int) -> bytes:
    """The frames of one message; no frame is longer than `frame_max` bytes (0 = no limit)."""
    return assemble(channel, properties.encode(), body, frame_max)


def assemble(channel: int, property_bytes: bytes, body: bytes | bytearray, frame_max: int) -> bytes:
    """As `make_content`, from encoded properties."""
    header = _HEADER.pack(2, channel, len(property_bytes) + 12, 60, 0, len(body)) + property_bytes + _END
    if not body:
        return header
    step = frame_max - FRAME_OVERHEAD if frame_max else len(body)
    view = memoryview(body)
    parts: list[bytes | memoryview] = [header]
    for start in range(0, len(body), step):
        piece = view[start : start + step]
        parts += (_HEAD.pack(3, channel, len(piece)), piece, _END)
    return b"".join(parts)


def rechannel(content: bytes, channel: int) -> bytes:
    """The same content on another channel; the very same object if the number is right already."""
    number = channel.to_bytes(2, "big")
    if content[1:3] == number:
        return content
    start = _body_start(content)
    if start == len(content):
        return b"\x02" + number + content[3:]
    if body_size(content) == len(content) - start - FRAME_OVERHEAD:
        return b"".join((b"\x02", number, content[3:start], b"\x03", number, content[start + 3 :]))
    changed = bytearray(content)
    changed[1:3] = number
    for begin, _ in _payloads(content, start):
        changed[begin - 6 : begin - 4] = number
    return bytes(changed)


def reframe(content: bytes, frame_max: int) -> bytes:
    """The same content with no frame longer than `frame_max` bytes (0 = no limit), unchanged if it is so already."""
    start = _body_start(content)
    if not frame_max or all(end - begin + FRAME_OVERHEAD <= frame_max for begin, end in _payloads(content, start)):
        return content
    channel = int.from_bytes(content[1:3], "big")
    return assemble(channel, content[PROPERTIES_AT : start - 1], body_of(content), frame_max)


def _body_start(content: bytes) -> int:
    size: int = _SIZE.unpack_from(content, 3)[0]
    return size + FRAME_OVERHEAD


def _payloads(content: bytes, start: int) -> list[tuple[int, int]]:
    """Where the payload of each body frame begins and ends."""
    spans = []
    while start < len(content):
        end = start + 7 + _SIZE.unpack_from(content, start + 3)[0]
        spans.append((start + 7, end))
        start = end + 1
    return spans
