"""Lets AMQP clients in, and in the end out.

Decides when connections are accepted and how long their farewell may take. All sessions hang in the nursery of the
listener that accepted them. It must not know what a session does.
"""

import logging
import ssl
from contextlib import suppress

import trio

from broker.server.door import Door
from broker.server.heartbeats import keep_beating
from broker.server.session import Session
from broker.world.network import Listener, Network, Stream, secure

log = logging.getLogger("warren.amqp")

SHUTDOWN_WORDS = "broker forced connection closure with reason 'shutdown'"


class AmqpListener:
    """One open port. `open` it, `run` it; `suspend` lets nobody in until `resume`; `close` ends `run`."""

    def __init__(self, door: Door, network: Network, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        """Where it listens; after `open` with the port that was free if 0 was asked for."""
        self.sessions: set[Session] = set()
        self._door = door
        self._network = network
        self._tls = tls
        self._listener: Listener | None = None
        self._nursery: trio.Nursery | None = None
        self._closing = trio.Event()
        self._resumed = trio.Event()
        self._resumed.set()
        self._last_has_left = trio.Event()

    async def open(self) -> None:
        """Take the port. Raises OSError."""
        self._listener = await self._network.listen(self.address)
        self.address = self._listener.address

    async def run(self) -> None:
        """Serve until `close`, or until cancelled."""
        assert self._listener is not None
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(keep_beating, self.sessions)
            try:
                accepted = None
                while self._listener is not accepted:
                    accepted = self._listener
                    await self._accept(accepted, self._nursery)
                    await self._resumed.wait()
                await trio.sleep_forever()  # the last sessions; `close` cancels
            finally:
                self._listener.close_now()

    async def _accept(self, listener: Listener, nursery: trio.Nursery) -> None:
        """Let in whoever comes, until this port is closed."""
        with suppress(trio.ClosedResourceError):
            while True:
                nursery.start_soon(self._serve, await listener.accept())

    def suspend(self, words: str) -> None:
        """Close the port for the time being, and tell everybody to go."""
        if self._resumed.is_set():
            self._resumed = trio.Event()
        if self._listener is not None:
            self._listener.close_now()
        self._tell_all(words)

    async def resume(self) -> None:
        """Open it again, where it was. Raises OSError if somebody else has taken it."""
        if not self._resumed.is_set():
            await self.open()
            self._resumed.set()

    def _tell_all(self, words: str) -> None:
        for session in tuple(self.sessions):
            session.force_close(words)

    async def _serve(self, stream: Stream) -> None:
        if self._tls is not None:
            secured = await self._secured(stream, self._tls)
            if secured is None:
                return
            stream = secured
        if self._closing.is_set() or not self._resumed.is_set():  # it came while the others were told to go
            stream.close_now()
            return
        session = Session(stream, self._door, self.address)
        self.sessions.add(session)
        try:
            await session.run()
        finally:
            self.sessions.discard(session)
            if self._closing.is_set() and not self.sessions:
                self._last_has_left.set()

    async def _secured(self, stream: Stream, tls: ssl.SSLContext) -> Stream | None:
        try:
            with trio.fail_after(self._door.handshake_timeout_s):
                return await secure(stream, tls)
        except (trio.TooSlowError, trio.BrokenResourceError) as failure:
            log.warning("event=tls_refused peer=%s why=%r", stream.peer_address, failure.__cause__ or failure)
            stream.close_now()
            return None
        except trio.Cancelled:
            stream.close_now()
            raise

    async def close(self, grace_s: float, words: str = SHUTDOWN_WORDS) -> None:
        """Accept nobody any more, tell everybody to go, and return when they have or the time is over."""
        self._closing.set()
        self._resumed.set()
        if self._listener is not None:
            self._listener.close_now()
        self._tell_all(words)
        if self.sessions:
            with trio.move_on_after(grace_s):
                await self._last_has_left.wait()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
