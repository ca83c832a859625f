"""How much is read at once."""

import pytest

from broker.server.reader import RECEIVE_BYTES, RECEIVE_BYTES_MAX, Reader


class Asked:
    """A stream that remembers how much was asked for."""

    def __init__(self):
        self.bytes = []

    async def receive_some(self, max_bytes):
        self.bytes.append(max_bytes)
        return b"x"


@pytest.mark.parametrize(
    ("length_bytes", "events", "asked"),
    [
        (RECEIVE_BYTES, 1, RECEIVE_BYTES),  # much of one kind needs no more
        (RECEIVE_BYTES, 15, RECEIVE_BYTES),
        (RECEIVE_BYTES - 1, 60, RECEIVE_BYTES),  # there was no more, so nothing has to change
        (RECEIVE_BYTES, 60, RECEIVE_BYTES_MAX),  # about 1 KiB each
        (RECEIVE_BYTES, 300, RECEIVE_BYTES * 10 // 3),  # a thousand of these
        (RECEIVE_BYTES, 5000, RECEIVE_BYTES),  # more than a thousand as it is
        (RECEIVE_BYTES_MAX, 900, RECEIVE_BYTES_MAX),
    ],
)
async def test_so_much_is_read_that_queues_can_gather_what_comes_together(length_bytes, events, asked):
    stream = Asked()
    reader = Reader(stream, lambda: None)
    await reader.receive()
    reader.expect(length_bytes, events)
    await reader.receive()
    reader.expect(1, 1)
    await reader.receive()
    reader.expect(RECEIVE_BYTES, 1)
    await reader.receive()
    assert stream.bytes == [RECEIVE_BYTES, asked, asked, RECEIVE_BYTES]
