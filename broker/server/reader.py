"""Reads what a client says, and notices that it has gone even while nobody has time to listen.

Decides when bytes are received. It must not know what they mean. While the session is busy with something slow (a
queue whose master is being found, a gate that is closed) one read is made ahead: if it finds the end, the session is
hung up instead of being served to the end; if it finds bytes, they wait.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from broker.world.network import Stream

RECEIVE_BYTES = 65536
RECEIVE_BYTES_MAX = 1024 * 1024
EVENTS_PER_READ = 1000
"""Where a client does many different things in little space, so many of them are read at once, if there are as many."""
LOOK_AFTER_S = 1.0
"""How long a session is busy before somebody looks whether its client is still there."""


class Reader:
    """The incoming half of a session."""

    def __init__(self, stream: "Stream", hang_up: Callable[[], None]) -> None:
        self.waiting = False
        """Whether the client is being listened to."""
        self.busy_since = 0.0
        """When the session last got something to do."""
        self.received_bytes = 0
        self.reads = 0
        self._stream = stream
        self._most_bytes = RECEIVE_BYTES
        self._hang_up = hang_up
        self._ahead = b""
        self._looked: trio.Event | None = None

    async def receive(self) -> bytes:
        """The next bytes; none at the end, however it came."""
        self.waiting = True
        try:
            if self._looked is None:
                data = await self._receive()
            else:
                await self._looked.wait()
                self._looked = None
                data, self._ahead = self._ahead, b""
        finally:
            self.waiting = False
        self.received_bytes += len(data)
        self.reads += 1
        return data

    def expect(self, length_bytes: int, events: int) -> None:
        """So much was read, and so many events it was: neighbours that are much the same are one. Decides how much is
        read next: queues gather what comes together. A little says nothing of what will come."""
        if length_bytes >= RECEIVE_BYTES:
            wanted = length_bytes * EVENTS_PER_READ // events if events >= 16 else 0
            self._most_bytes = min(max(RECEIVE_BYTES, wanted), RECEIVE_BYTES_MAX)

    def look_ahead(self, now: float, nursery: trio.Nursery) -> None:
        """Find out in the nursery whether the client is still there, if the session has been busy for long."""
        if not self.waiting and self._looked is None and now - self.busy_since > LOOK_AFTER_S:
            self._looked = trio.Event()
            nursery.start_soon(self._look, self._looked)

    async def _look(self, looked: trio.Event) -> None:
        self._ahead = await self._receive()
        looked.set()
        if not self._ahead:
            self._hang_up()

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive_some(self._most_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
