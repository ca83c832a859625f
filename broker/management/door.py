"""Opens the HTTP port and serves the API on it with hypercorn.

Decides when the web framework is loaded: when the first visitor knocks, in a thread, so that neither the start of a
node nor its messages wait for half a second of imports. It must not know what is served. A fault in there ends neither
the node nor the door: it is logged, and the door opens again.
"""

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from broker.management.failed import refusing
from broker.world.network import join_endpoint, split_endpoint

if TYPE_CHECKING:
    from broker.management.census import Census
    from broker.management.visit import Command
    from broker.vhosts.hall import Hall

log = logging.getLogger("warren.http")

BACKLOG_CONNECTIONS = 128
FAREWELL_S = 1.0
"""How long requests under way may take when the door closes."""
SILENCE_MAX_S = 30
"""A connection that says nothing for so long is closed."""
AFTER_FAULT_S = 1.0

Serve = Callable[[], Awaitable[None]]
Load = Callable[[], Any]
"""Gives the ASGI application; runs in a thread."""


def api(hall: "Hall", census: "Census", command: "Command") -> Load:
    """What a node that serves has behind its door."""

    def load() -> Any:
        from broker.management.app import make_app

        return make_app(hall, census, command)

    return load


def bad_news(reason: str) -> Load:
    """What a failed one has."""
    return lambda: refusing(reason)


class HttpDoor:
    """One open port. `open` it, `run` it; `close` ends `run`."""

    def __init__(self, load: Load, address: str, security: ssl.SSLContext | None = None) -> None:
        """`security`: of HTTPS; without it the door is for HTTP."""
        self.address = address
        """Where it listens; after `open` with the port that was free if 0 was asked for."""
        self._load = load
        self._security = security
        self._socket: socket.socket | None = None
        self._closing = trio.Event()
        self._closed = trio.Event()

    async def open(self) -> None:
        """Take the port. Raises OSError."""
        host, port = split_endpoint(self.address)
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, *_, target = min(found, key=lambda one: one[0] != socket.AF_INET)
        opened = socket.create_server(
            (str(target[0]), port), family=family, backlog=BACKLOG_CONNECTIONS, dualstack_ipv6=False
        )
        opened.setblocking(False)
        self._socket = opened
        self.address = join_endpoint(*opened.getsockname()[:2])

    async def run(self) -> None:
        """Serve until `close`, or until cancelled."""
        assert self._socket is not None
        try:
            if not await self._somebody_knocks(self._socket):
                return
            serve = await trio.to_thread.run_sync(self._prepare, self._socket)
            while not self._closing.is_set():
                try:
                    await serve()
                except Exception:
                    log.exception("event=http_fault address=%s", self.address)
                    with trio.move_on_after(AFTER_FAULT_S):
                        await self._closing.wait()
        finally:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
            self._closed.set()

    async def close(self, grace_s: float) -> None:
        """Let nobody in any more, and return when those inside have got their answers or the time is over."""
        self._closing.set()
        with trio.move_on_after(grace_s):
            await self._closed.wait()

    async def _somebody_knocks(self, listening: socket.socket) -> bool:
        """True when a connection waits to be accepted; False if the door closes before."""

        async def give_up() -> None:
            await self._closing.wait()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up)
            await trio.lowlevel.wait_readable(listening)
            nursery.cancel_scope.cancel()
        return not self._closing.is_set()

    def _prepare(self, listening: socket.socket) -> Serve:
        """Load the framework. Runs in a thread."""
        from hypercorn.config import Config
        from hypercorn.trio import serve

        class Secured(Config):
            """Has its TLS context from elsewhere."""

            def __init__(self, context: ssl.SSLContext) -> None:
                super().__init__()
                self._context = context

            @property
            def ssl_enabled(self) -> bool:
                return True

            def create_ssl_context(self) -> ssl.SSLContext:
                return self._context

        app, security = self._load(), self._security
        own_log = logging.getLogger("warren.http.hypercorn")
        own_log.setLevel(logging.WARNING)  # it would tell of its port, which `ready` does

        async def serve_once() -> None:
            config = Secured(security) if security is not None else Config()
            config.bind = [f"fd://{listening.dup().detach()}"]  # hypercorn closes what it is given
            config.errorlog = own_log
            config.include_server_header = False
            config.graceful_timeout = FAREWELL_S
            config.read_timeout = SILENCE_MAX_S
            await serve(app, config, shutdown_trigger=self._closing.wait, mode="asgi")

        return serve_once
