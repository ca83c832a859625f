"""Commands over the link port: the road that `warren status`, `ctl` and the others take, as rabbitmqctl does.

Decides how a request and its answer travel (one JSON object each, one request at a time on a connection); it must not
know any command. The greeting has the lane "admin": who holds the cookie may ask.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Self

import trio

from broker.peers.greeting import dial_and_greet
from broker.peers.introduction import ADMIN, GREETING_TIMEOUT_S, Credentials, Identity, Stranger
from broker.wire.peer_frames import (
    KIND_ADMIN_ANSWER,
    KIND_ADMIN_REQUEST,
    FrameReader,
    PeerFrameError,
    decode_object,
    encode_object,
)
from broker.world.network import DialFailure, Network, Stream, Unreachable

log = logging.getLogger("warren.peers")

REQUEST_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES = 65536
DIAL_TIMEOUT_S = 2.0
"""For the way to a node and its greeting."""

AdminHandler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one request. It reports what the user did wrong in its answer; what it raises is a bug and climbs."""


async def serve_admin(stream: Stream, handler: AdminHandler) -> None:
    """Answer the requests of one greeted command until it hangs up."""
    reader = FrameReader(frame_bytes_max=REQUEST_BYTES_MAX)
    try:
        while data := await stream.receive_some(READ_BYTES):
            for kind, payload, _ in reader.feed(data):
                answer = await handler(decode_object(kind, payload, KIND_ADMIN_REQUEST))
                await stream.send_all(encode_object(KIND_ADMIN_ANSWER, answer))
    except PeerFrameError as reason:
        log.warning("command_refused address=%s reason=%r", stream.peer_address, str(reason))
    except trio.BrokenResourceError as reason:
        log.debug("command_gone address=%s reason=%r", stream.peer_address, str(reason))


class AdminClient:
    """A command's connection to one node. `node` is the name of the node that answers."""

    def __init__(self, stream: Stream, node: str) -> None:
        self.node = node
        self._stream = stream
        self._reader = FrameReader()

    @classmethod
    async def connect(
        cls,
        network: Network,
        address: str,
        *,
        cluster: str,
        cookie: str,
        timeout_s: float = GREETING_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Dial a node's link address and prove the cookie; raises Refused, Unreachable, or Stranger with the reason."""
        credentials = Credentials(Identity("", 0, ""), cluster=cluster, cookie=cookie)
        stream, identity = await dial_and_greet(
            network, address, credentials, ADMIN, expected=None, timeout_s=timeout_s, tls=tls
        )
        return cls(stream, identity.node)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request, one answer; one at a time. Raises Unreachable if the node goes away before it has answered."""
        try:
            await self._stream.send_all(encode_object(KIND_ADMIN_REQUEST, request))
            while data := await self._stream.receive_some(READ_BYTES):
                for kind, payload, _ in self._reader.feed(data):
                    return decode_object(kind, payload, KIND_ADMIN_ANSWER)
        except (trio.BrokenResourceError, PeerFrameError) as failure:
            raise Unreachable(f"{self.node}: {failure}") from None
        raise Unreachable(f"{self.node}: hung up before it answered")

    async def aclose(self) -> None:
        """Hang up."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class NoAnswer(Exception):
    """Whoever was asked is not there, belongs to somebody else, or did not answer in time; the text says which."""


async def ask_once(
    network: Network,
    address: str,
    request: dict[str, Any],
    *,
    cluster: str,
    cookie: str,
    timeout_s: float,
    tls: ssl.SSLContext | None = None,
) -> dict[str, Any]:
    """Dial, ask one thing, hang up. Raises NoAnswer."""
    dial_s = min(DIAL_TIMEOUT_S, timeout_s)
    try:
        with trio.fail_after(timeout_s):
            async with await AdminClient.connect(
                network, address, cluster=cluster, cookie=cookie, timeout_s=dial_s, tls=tls
            ) as client:
                return await client.ask(request)
    except (DialFailure, Stranger) as failure:
        raise NoAnswer(str(failure)) from None
    except trio.TooSlowError:
        raise NoAnswer(f"{address}: no answer within {timeout_s:g} s") from None
