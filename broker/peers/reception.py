"""Who dials this node: greeted, and then a peer, a command, or refused.

Decides who may come in and how many may be in the doorway; it must not know what they say afterwards. A stranger costs
one log line, a socket and a task for at most the time of a greeting. Behind a pretended cut a greeting is not answered,
so that the dialler sees silence.
"""

import logging
from collections.abc import Callable, Mapping

import trio

from broker.peers.admin import AdminHandler, serve_admin
from broker.peers.connection import Handler, Incoming
from broker.peers.greeting import receive_hello, secure_link, welcome
from broker.peers.introduction import ADMIN, GREETING_TIMEOUT_S, Credentials, Identity, Stranger, Tls
from broker.peers.peer import Peer
from broker.wire.peer_frames import Greeting
from broker.world.network import Listener, Stream

log = logging.getLogger("warren.peers")

GREETINGS_MAX = 128
"""So many connections may be in the doorway; the next ones are closed at once."""
COMMANDS_MAX = 64

TOLD_AGAIN_S = 60.0
TOLD_MAX = 256
"""So many strangers are remembered as already logged; one that keeps dialling must not fill the log either."""


Objection = Callable[[Identity, bool], str | None]
"""Why another node may not come in, although it holds the cookie; told whether it is a peer."""


class Reception:
    """Takes every connection that comes to the link address."""

    def __init__(
        self,
        credentials: Credentials,
        peers: Mapping[str, Peer],
        handlers: Mapping[int, Handler],
        *,
        tls: Tls | None,
        admin: AdminHandler | None,
        objection: "Objection | None" = None,
    ) -> None:
        """`objection`: see `Objection`."""
        self._credentials = credentials
        self._peers = peers
        self._handlers = handlers
        self._tls = tls
        self._admin = admin
        self._further = objection or _not_a_member
        self._greetings = 0
        self._commands = 0
        self._told: dict[tuple[str, str], float] = {}

    async def run(self, listener: Listener) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                stream = await listener.accept()
                if self._greetings >= GREETINGS_MAX:
                    self._tell(stream.peer_address, "too many greetings")
                    stream.close_now()
                else:
                    self._greetings += 1
                    nursery.start_soon(self._receive, stream)

    async def _receive(self, stream: Stream) -> None:
        address = stream.peer_address
        greeting = None
        try:
            try:
                with trio.fail_after(GREETING_TIMEOUT_S):
                    if self._tls is not None:
                        stream = await secure_link(stream, self._tls.listener)
                    greeting = await self._greet(stream)
            except Stranger as reason:
                self._tell(address, str(reason))
            except trio.TooSlowError:
                self._tell(address, f"no greeting within {GREETING_TIMEOUT_S:g} s")
            except trio.BrokenResourceError as reason:
                log.debug("greeting_broken address=%s reason=%r", address, str(reason))
            finally:
                self._greetings -= 1
            if greeting is not None:
                await self._serve(stream, greeting)
        finally:
            stream.close_now()

    async def _greet(self, stream: Stream) -> Greeting:
        greeting, hello = await receive_hello(stream, self._credentials)
        peer = self._peers.get(greeting.node)
        if peer is not None and greeting.lane != ADMIN and (peer.deaf or peer.mute):
            await peer.mended.wait()
            raise trio.BrokenResourceError("a greeting from behind a cut")
        return await welcome(stream, self._credentials, hello, self._objection)

    def _objection(self, greeting: Greeting) -> str | None:
        """Why somebody who holds the cookie may not come in, None if there is no reason."""
        if greeting.lane == ADMIN:
            if self._admin is None:
                return "no commands here"
            return "too many commands at once" if self._commands >= COMMANDS_MAX else None
        if greeting.node == self._credentials.me.node:
            return f"{greeting.node} is this node's own name"
        peer = self._peers.get(greeting.node)
        if (further := self._further(_identity(greeting), peer is not None)) is not None:
            return further
        if peer is None:
            return _not_a_member(_identity(greeting), False)
        if not peer.evidence.believes(_identity(greeting), dialled=False):
            return f"a newer life of {greeting.node} was seen here (is its data folder an older copy? then remove it)"
        return None

    async def _serve(self, stream: Stream, greeting: Greeting) -> None:
        if greeting.lane == ADMIN:
            assert self._admin is not None
            self._commands += 1
            try:
                await serve_admin(stream, self._admin)
            finally:
                self._commands -= 1
            return
        peer = self._peers.get(greeting.node)
        if peer is None:  # removed while it was greeted
            return
        half = Incoming(stream, _identity(greeting), greeting.lane, offset=greeting.offset)
        try:
            if peer.opens(half):
                peer.move(greeting.link)  # it has proved who it is, and knows best
                peer.kick()
                await half.run(self._handlers)
        finally:
            peer.closes(half, "stopped")

    def _tell(self, address: str, reason: str) -> None:
        """Log that somebody was refused: once a minute for each host and reason."""
        now = trio.current_time()
        stranger = (address.rpartition(":")[0], reason)
        if now - self._told.get(stranger, -TOLD_AGAIN_S) < TOLD_AGAIN_S:
            return
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        self._told[stranger] = now
        log.warning("stranger_refused address=%s reason=%r", address, reason)


def _not_a_member(stranger: Identity, is_peer: bool) -> str | None:
    return None if is_peer else f"{stranger.node} is not a member"


def _identity(greeting: Greeting) -> Identity:
    return Identity(greeting.node, greeting.life, greeting.folder)
