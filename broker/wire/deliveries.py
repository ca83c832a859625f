"""Builds the bytes of a run of deliveries: one basic.deliver and one content for each message, joined in C.

Decides how a run goes out: all of one size are joined with a constant between them and numbered by columns; others
one by one. It must not know consumers or queues; the caller says which constant bytes stand before and behind the
delivery tag.
"""

import struct
from itertools import chain, repeat

from broker.wire.columns import column_into, is_column, tags_into
from broker.wire.content import rechannel, reframe

_HEAD = struct.Struct(">BHI4s")
_SIZE = struct.Struct(">I")
_TAG = struct.Struct(">Q")
_COLUMNS_MIN = 4
"""Messages from which on columns are cheaper than joining one by one."""


def deliver_frame(channel: int, consumer_tag: bytes, address: bytes, redelivered: bool) -> tuple[bytes, bytes]:
    """What stands before and behind the delivery tag in the basic.deliver frames of one consumer and address."""
    size = 4 + 1 + len(consumer_tag) + 8 + 1 + len(address)
    front = _HEAD.pack(1, channel, size, b"\0<\0<") + bytes((len(consumer_tag),)) + consumer_tag
    return front, (b"\1" if redelivered else b"\0") + address + b"\xce"


def deliveries(
    front: bytes, back: bytes, first_tag: int, contents: list[bytes], channel: int, frame_max: int
) -> bytes | bytearray:
    """The frames of all contents, with the delivery tags first_tag, first_tag + 1, …

    Contents of another channel are put on this one, frames longer than `frame_max` (0 = no limit) are cut.
    """
    if len(contents) == 1:
        content = reframe(contents[0], frame_max) if len(contents[0]) > frame_max > 0 else contents[0]
        return front + _TAG.pack(first_tag) + back + rechannel(content, channel)
    sizes = set(map(len, contents))
    if max(sizes) > frame_max > 0:
        contents = [reframe(content, frame_max) for content in contents]
        sizes = {0, 1}
    if len(sizes) == 1 and len(contents) >= _COLUMNS_MIN:
        frames = _equal_deliveries(front, back, first_tag, contents, channel)
        if frames is not None:
            return frames
    contents = [rechannel(content, channel) for content in contents]
    tags = map(_TAG.pack, range(first_tag, first_tag + len(contents)))
    return b"".join(chain.from_iterable(zip(repeat(front), tags, repeat(back), contents)))


def _equal_deliveries(
    front: bytes, back: bytes, first_tag: int, contents: list[bytes], channel: int
) -> bytearray | None:
    """As `deliveries`, for contents of one length; None if they must be changed and are not built alike."""
    method = front + _TAG.pack(first_tag) + back
    count = len(contents)
    at = len(method)
    stride = at + len(contents[0])
    frames = bytearray(method).join((b"", *contents))
    number = channel.to_bytes(2, "big")
    if not is_column(frames, at + 1, stride, number, count):
        sizes = contents[0][3:19]  # of header and body; class and weight between them are always the same
        body = at + 8 + _SIZE.unpack_from(sizes)[0]
        if not is_column(frames, at + 3, stride, sizes, count):
            return None
        column_into(frames, at + 1, stride, number, count)
        if body < stride:
            length = _SIZE.unpack_from(contents[0], body - at + 3)[0]
            if length + 8 != stride - body:
                return None
            column_into(frames, body + 1, stride, number, count)
    tags_into(frames, len(front), stride, first_tag, count)
    return frames
