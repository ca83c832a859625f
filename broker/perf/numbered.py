"""Messages that carry a number, and whether they come out of a broker complete and in order.

Decides where the number stands (the first 8 bytes of the body) and what counts as out of order. It must not know
sockets or clocks. Numbers are written and compared a column at a time: a message costs a few nanoseconds at either end.
"""

import struct
from functools import lru_cache

from broker.perf.blocks import BLOCK_BYTES, CHANNEL
from broker.perf.tally import Interrupted, delivery_at
from broker.wire.basic_methods import BasicPublish
from broker.wire.columns import column_into, tags_into
from broker.wire.content import make_content
from broker.wire.properties import Properties

NUMBER_BYTES = 8


class NumberedBlock:
    """Publishes to one queue, numbered from `first` on; to be taken like a `Block`."""

    def __init__(self, queue: str, size: int, frame_max: int, *, persistent: bool, first: int = 1) -> None:
        """`size`: bytes of a body, at least 8."""
        method = BasicPublish(routing_key=queue).frame(CHANNEL)
        content = make_content(CHANNEL, Properties(delivery_mode=2 if persistent else 1), bytes(size), frame_max)
        self._length = len(method) + len(content)
        self._place = len(method) + int.from_bytes(content[3:7]) + 15
        self._next = first
        self.count = max(1, BLOCK_BYTES // self._length)
        self._data = bytearray((method + content) * self.count)

    def take(self, most: int, stamp: int) -> tuple[memoryview, int]:
        """At most that many messages, and how many; good until the next call. They carry no time."""
        count, first = min(most, self.count), self._next
        column_into(self._data, self._place, self._length, first.to_bytes(NUMBER_BYTES), count)
        tags_into(self._data, self._place, self._length, first, count)
        self._next += count
        return memoryview(self._data)[: count * self._length], count


class Sequence:
    """The deliveries of one connection, in the manner of a `Tally`: all equally long, numbered from `first` on."""

    def __init__(self, first: int = 1) -> None:
        self.count = 0
        self.disorders = 0
        """Messages whose number is not the one behind that before."""
        self._expected = first
        self._rest = b""
        self._length = 0
        self._place = 0

    def feed(self, data: bytes) -> list[int]:
        """Count and compare; no stamps. Raises Interrupted as a `Tally` does."""
        if self._rest:
            data = self._rest + data
        at = 0
        if not self._length:
            end, body_at, body_size = delivery_at(data, 0, len(data))
            if not end:
                self._rest = data
                return []
            if body_size < NUMBER_BYTES:
                raise Interrupted(f"a body of {body_size} bytes carries no number")
            self._length, self._place = end, body_at
        while count := min(_PIECE_MAX, (len(data) - at) // self._length):
            self._compare(data, at, count)
            at += count * self._length
        self._rest = data[at:]
        if self._rest:
            delivery_at(self._rest, 0, len(self._rest))  # the end of the channel is shorter than a delivery
        return []

    def _compare(self, data: bytes, at: int, count: int) -> None:
        length, expected = self._length, self._expected
        for place in (at, at + (count - 1) * length):
            end, body_at, _ = delivery_at(data, place, len(data))
            if end != place + length or body_at != place + self._place:
                raise Interrupted("the deliveries are not all equally long")
        numbers = _column(self._place, length, count).unpack_from(data, at)
        if numbers != tuple(range(expected, expected + count)):
            for number in numbers:
                self.disorders += number != expected
                expected = number + 1
        self._expected = numbers[-1] + 1
        self.count += count


_PIECE_MAX = 512


@lru_cache(maxsize=1024)
def _column(before: int, length: int, count: int) -> struct.Struct:
    return struct.Struct(">" + f"{before}xQ{length - before - NUMBER_BYTES}x" * count)
