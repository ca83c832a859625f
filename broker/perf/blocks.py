"""What a load publisher sends: messages encoded once, laid side by side, and sent again and again.

It decides how many messages make a block of about 64 KiB and where in it the time stamps stand. It must not know
sockets or clocks. Because all messages of a block are bytes already, a publisher spends nothing on a message but its
share of a system call; the stamps of equally long messages are changed by eight strided slices.
"""

from collections.abc import Sequence
from itertools import accumulate

from broker.wire.basic_methods import BasicPublish
from broker.wire.content import make_content
from broker.wire.properties import Properties

BLOCK_BYTES = 65536
STAMP_BYTES = 8
CHANNEL = 1


class Block:
    """Messages one behind the other in one buffer; `take` hands out whole ones, stamped with one time."""

    def __init__(
        self, addresses: Sequence[tuple[str, str]], sizes: Sequence[int], frame_max: int, *, persistent: bool = False
    ) -> None:
        """`addresses` (exchange, routing key) and `sizes` (bytes of a body) are cycled through, each message the next
        address, each round of addresses the next size."""
        properties = Properties(delivery_mode=2) if persistent else Properties()
        turn: list[bytes] = []
        places: list[int] = []
        for size in sizes:
            for exchange, key in addresses:
                method = BasicPublish(exchange=exchange, routing_key=key).frame(CHANNEL)
                content = make_content(CHANNEL, properties, bytes(size), frame_max)
                places.append(len(method) + int.from_bytes(content[3:7]) + 15 if size >= STAMP_BYTES else -1)
                turn.append(method + content)
        turns = max(1, BLOCK_BYTES // sum(map(len, turn)))
        self.count = turns * len(turn)
        self._data = bytearray(b"".join(turn) * turns)
        self._ends = [0, *accumulate(len(message) for message in turn * turns)]
        self._places = places * turns
        self._uniform = len({len(message) for message in turn}) == 1 and len(set(places)) == 1
        self._next = 0

    def take(self, most: int, stamp: int) -> tuple[memoryview, int]:
        """At most that many messages, and how many; it goes on where the last call ended, up to the end of the block.

        `stamp` stands in the first 8 bytes of every body that has as many. The view is good until the next call.
        """
        first = self._next
        last = min(first + most, self.count)
        self._next = last % self.count
        value = stamp.to_bytes(STAMP_BYTES)
        start, end = self._ends[first], self._ends[last]
        if not self._uniform:
            for index in range(first, last):
                if self._places[index] >= 0:
                    place = self._ends[index] + self._places[index]
                    self._data[place : place + STAMP_BYTES] = value
        elif self._places[0] >= 0:
            stride = self._ends[1]
            for offset in range(STAMP_BYTES):
                place = start + self._places[0] + offset
                self._data[place:end:stride] = value[offset : offset + 1] * (last - first)
        return memoryview(self._data)[start:end], last - first
