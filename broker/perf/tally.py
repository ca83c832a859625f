"""Counts deliveries as they come from the wire, without parsing what need not be parsed.

It decides how many messages some bytes hold, and samples the time stamps that publishers put into bodies (`blocks.py`).
It must not know sockets or clocks. If all deliveries of a connection are equally long, as they are when all bodies,
routing keys and consumer tags are, then counting is a division; else the heads of the frames are walked.
"""

import struct

from broker.wire.methods import decode

SAMPLES_PER_PIECE = 8
_HEAD = struct.Struct(">BHI")
_METHOD = struct.Struct(">HH")
_BODY_SIZE = struct.Struct(">Q")
_STAMP = struct.Struct(">Q")
_DELIVERY = _METHOD.pack(60, 60)
_END = 0xCE


class Interrupted(Exception):
    """The broker sent something else than a delivery; the text is what it said."""


class Tally:
    """The deliveries of one connection from the first byte after `basic.consume` with no-wait."""

    def __init__(self, *, uniform: bool) -> None:
        self.count = 0
        self._uniform = uniform
        self._rest = b""
        self._length = 0
        self._body_at = 0
        self._body_size = 0
        self._bytes = 0

    def feed(self, data: bytes) -> list[int]:
        """Count what is in `data`; the stamps of a few of the messages that ended in it.

        Raises Interrupted if the broker closes the channel or the connection, or cancels the consumer.
        """
        if self._length:
            return self._divide(data)
        if self._rest:
            data = self._rest + data
        return self._walk(data)

    @property
    def between(self) -> bool:
        """Whether no delivery has begun that has not ended."""
        return not self._rest and not (self._length and self._bytes % self._length)

    def _divide(self, data: bytes) -> list[int]:
        length, before = self._length, self._bytes
        self._bytes = before + len(data)
        self.count = self._bytes // length
        # Where the first delivery begins that begins in these bytes.
        start = -before % length
        whole = max(0, (len(data) - start) // length)
        if 0 < start <= len(data) and data[start - 1] != _END:
            raise Interrupted("the deliveries are not all equally long")
        for place in (start, start + max(0, whole - 1) * length, start + whole * length):
            if len(data) - place >= 11 and not data.startswith(_DELIVERY, place + 7):
                raise Interrupted(_words_of(data, place))
        if self._body_size < _STAMP.size or not whole:
            return []
        step = length * max(1, whole // SAMPLES_PER_PIECE)
        places = range(start + self._body_at, start + whole * length, step)
        return [_STAMP.unpack_from(data, place)[0] for place in places]

    def _walk(self, data: bytes) -> list[int]:
        """Count by the heads of the frames, and learn the length of the first delivery if all are like it."""
        stamps: list[int] = []
        place, size = 0, len(data)
        while True:
            end, body_at, body_size = delivery_at(data, place, size)
            if not end:
                self._rest = data[place:]
                return stamps
            self.count += 1
            if body_size >= _STAMP.size and len(stamps) < SAMPLES_PER_PIECE:
                stamps.append(_STAMP.unpack_from(data, body_at)[0])
            if self._uniform:
                self._length, self._body_at, self._body_size = end - place, body_at - place, body_size
                self._bytes, self.count, self._rest = end - place, 1, b""
                return stamps + self._divide(data[end:])
            place = end


def delivery_at(data: bytes, place: int, size: int) -> tuple[int, int, int]:
    """(end, where the body begins, its size) of the delivery at `place`; end 0 if it is not complete.

    Raises Interrupted if something else stands there.
    """
    if size - place < 11:
        return 0, 0, 0
    kind, _, length = _HEAD.unpack_from(data, place)
    if kind != 1 or not data.startswith(_DELIVERY, place + 7):
        if kind == 8:
            return delivery_at(data, place + 8, size)
        if size - place < length + 8:
            return 0, 0, 0
        raise Interrupted(_words_of(data, place))
    header = place + length + 8
    if size - header < 19:
        return 0, 0, 0
    wanted = body_size = _BODY_SIZE.unpack_from(data, header + 11)[0]
    end = header + _HEAD.unpack_from(data, header)[2] + 8
    body_at = end + 7
    while wanted and size - end >= 7:
        piece = _HEAD.unpack_from(data, end)[2]
        wanted -= piece
        end += piece + 8
    return (end, body_at, body_size) if not wanted and end <= size else (0, 0, 0)


def _words_of(data: bytes, place: int) -> str:
    """What the broker said instead of a delivery."""
    kind, _, length = _HEAD.unpack_from(data, place)
    if kind != 1:
        return f"a frame of type {kind} where a delivery should begin"
    class_id, method_id = _METHOD.unpack_from(data, place + 7)
    said = decode(class_id, method_id, data[place + 11 : place + 7 + length])
    return f"{said.name}: {getattr(said, 'reply_code', '')} {getattr(said, 'reply_text', '')}".rstrip(": ")
