"""Writes what a connection has to say: at once if the kernel takes it, else in a task that waits.

Decides when the outbox is taken, that everything in it leaves together, and when a client that does not read is given
up, because what waits for it would wait for ever. It must not know what the bytes mean. Consumers that found the outbox
too full are woken when it has drained.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import trio

if TYPE_CHECKING:
    from broker.amqp.connection import ServerConnection
    from broker.world.network import Stream

RELIEF_BYTES = 64 * 1024
"""Starved consumers are woken when no more than so many bytes wait."""
SLICE_BYTES = 64 * 1024
SEND_TIMEOUT_S = 30.0
"""A client that takes nothing within this time is hung up on (RabbitMQ's send_timeout of its sockets)."""

Bytes = bytes | bytearray | memoryview


@runtime_checkable
class Prompt(Protocol):
    """A stream that can also write without waiting."""

    def send_now(self, data: Bytes) -> int:
        """Send what the kernel takes at once; how many bytes that were. Nothing is sent over a broken connection."""


class Writer:
    """The outgoing half of a session."""

    def __init__(self, stream: "Stream", connection: "ServerConnection", on_broken: Callable[[], None]) -> None:
        self.sent_bytes = 0
        self.writes = 0
        self._stream = stream
        self._prompt = stream if isinstance(stream, Prompt) else None
        self._connection = connection
        self._on_broken = on_broken
        self._rest: Bytes = b""
        self._idle = False
        self._broken = False
        self._work = trio.lowlevel.ParkingLot()
        self._done = trio.lowlevel.ParkingLot()

    def wake_writer(self) -> None:
        """See `turn.Writer`."""
        if self._idle:
            self._idle = False
            self._work.unpark()

    def flush_now(self) -> None:
        """See `turn.Writer`."""
        if self._prompt is None or not self._idle:
            self.wake_writer()
            return
        data = self._take()
        if data:
            sent = self._prompt.send_now(data)
            self._sent(sent)
            if sent < len(data):
                self._rest = memoryview(data)[sent:]
        if self._rest or self._connection.starved:
            self.wake_writer()

    async def run(self) -> None:
        """Write until cancelled, or until the connection breaks."""
        while not self._broken:
            self._relieve()
            data = self._rest or self._take()
            if not data:
                self._idle = True
                self._done.unpark_all()
                await self._work.park()
                continue
            self._rest = b""
            await self._send(memoryview(data))
            self._sent(len(data))
        self._done.unpark_all()
        self._on_broken()

    async def drained(self) -> None:
        """Return once everything is written, or never will be."""
        while self._connection.outbox_bytes and not self._broken:
            await self._done.park()

    def _take(self) -> Bytes:
        chunks = self._connection.take_output()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _send(self, data: memoryview) -> None:
        sent = 0 if self._prompt is None else self._prompt.send_now(data)
        if sent == len(data):  # mostly: then no time limit has to be set up
            await trio.lowlevel.checkpoint()
            return
        try:
            with trio.fail_after(SEND_TIMEOUT_S) as patience:
                while sent < len(data):
                    sent += await self._send_some(data[sent:])
                    patience.deadline = trio.current_time() + SEND_TIMEOUT_S
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            self._broken = True

    async def _send_some(self, data: memoryview) -> int:
        """Send a part as soon as the client takes one; its size."""
        if self._prompt is not None:
            await self._stream.wait_send_all_might_not_block()
            if sent := self._prompt.send_now(data):
                return sent
        part = data[:SLICE_BYTES]
        await self._stream.send_all(part)  # says what is wrong, if something is
        return len(part)

    def _sent(self, count: int) -> None:
        self.sent_bytes += count
        self.writes += 1
        self._connection.written(count, trio.current_time())

    def _relieve(self) -> None:
        connection = self._connection
        if connection.starved and connection.outbox_bytes <= RELIEF_BYTES:
            starved = tuple(connection.starved)
            connection.starved.clear()
            for consumer in starved:
                consumer.wake()
