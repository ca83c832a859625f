"""Who are you, which cluster, which version: the dialogue before the first frame.

Decides whether the other side holds the cookie and belongs here (S17); it must not know what a connection is used for
afterwards, nor whether a life is current. Four frames, the dialler first:

    dialler   hello    names cluster, node, life, folder, lane; a nonce
    listener  welcome  the same of itself; a nonce
    dialler   proof    HMAC of both greetings under the cookie
    listener  proof    likewise in its own role     (or a refusal, a short text, in place of welcome or proof)

The cookie itself never travels. Who was dialled proves last, so that a stranger who merely knows the port gets nothing
that could be tried against a list of cookies. The caller sets the time limit and closes the stream.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import trio

from broker.wire.peer_frames import (
    GREETING_BYTES_MAX,
    HEAD,
    KIND_HELLO,
    KIND_PROOF,
    KIND_REFUSAL,
    KIND_WELCOME,
    NONCE_BYTES,
    Greeting,
    PeerFrameError,
    encode_frame,
    proof_holds,
    prove,
)
from broker.world.network import Network, Stream, Unreachable, fresh_nonce, secure, split_endpoint

GREETING_TIMEOUT_S = 5.0
"""For the whole dialogue, TLS included."""

LANES = ("control", "data")
ADMIN = "admin"


class Identity(NamedTuple):
    """A run of a node: its name, the life (a counter in its data folder) and the folder."""

    node: str
    life: int
    folder: str


class Credentials:
    """What this node says of itself, and the secret that it shares with its cluster."""

    __slots__ = ("cluster", "cookie", "link", "me")

    def __init__(self, me: Identity, *, cluster: str, cookie: str, link: str = "") -> None:
        """`link`: where other nodes dial this one, empty if it cannot say."""
        self.me = me
        self.cluster = cluster
        self.cookie = cookie.encode()
        self.link = link

    def greeting(self, lane: str, offset: int = 0) -> Greeting:
        """A greeting of this node with a nonce of its own."""
        return Greeting(
            cluster=self.cluster,
            node=self.me.node,
            life=self.me.life,
            folder=self.me.folder,
            lane=lane,
            offset=offset,
            link=self.link,
            nonce=fresh_nonce(NONCE_BYTES),
        )


class Tls(NamedTuple):
    """The two contexts of a node's links, each of which presents this node's certificate."""

    listener: ssl.SSLContext
    dialler: ssl.SSLContext


class Stranger(Exception):
    """The other side does not belong here, or says that we do not; the text says why, without secrets."""


async def secure_link(transport: Stream, context: ssl.SSLContext, *, server_hostname: str | None = None) -> Stream:
    """TLS before the greeting, see `network.secure`; a side that TLS does not like is a Stranger."""
    try:
        return await secure(transport, context, server_hostname=server_hostname)
    except trio.BrokenResourceError as failure:
        if isinstance(failure.__cause__, ssl.SSLError) and not isinstance(failure.__cause__, ssl.SSLEOFError):
            raise Stranger(f"TLS: {failure.__cause__.reason or failure.__cause__}") from None
        raise


async def dial_and_greet(
    network: Network,
    address: str,
    credentials: Credentials,
    lane: str,
    *,
    expected: str | None,
    offset: int = 0,
    timeout_s: float = GREETING_TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
) -> tuple[Stream, Identity]:
    """A greeted connection and who answered; raises Refused, Unreachable or Stranger. See `greet`."""
    stream = await network.dial(address, timeout_s)
    try:
        with trio.fail_after(timeout_s):
            if tls is not None:
                stream = await secure_link(stream, tls, server_hostname=split_endpoint(address)[0])
            return stream, await greet(stream, credentials, lane, expected=expected, offset=offset)
    except BaseException as failure:
        stream.close_now()
        if isinstance(failure, trio.TooSlowError):
            raise Unreachable(f"{address}: no greeting within {timeout_s:g} s") from None
        if isinstance(failure, trio.BrokenResourceError):
            raise Unreachable(f"{address}: {failure}") from None
        raise


async def greet(
    stream: Stream, credentials: Credentials, lane: str, *, expected: str | None, offset: int = 0
) -> Identity:
    """The dialler's part; who answered. `expected` is the node that should be at this address, None for any.

    Raises Stranger, or `trio.BrokenResourceError` if the connection ends in between.
    """
    hello = credentials.greeting(lane, offset).encode()
    await stream.send_all(encode_frame(KIND_HELLO, hello))
    welcome = await _receive(stream, KIND_WELCOME)
    answer = _decode(welcome)
    _check_cluster(answer, credentials)
    if expected is not None and answer.node != expected:
        raise Stranger(f"{expected} was expected, node {_shown(answer.node)} answered")
    await stream.send_all(encode_frame(KIND_PROOF, prove(credentials.cookie, "dialler", hello, welcome)))
    proof = await _receive(stream, KIND_PROOF)
    if not proof_holds(credentials.cookie, "listener", hello, welcome, proof):
        raise Stranger("wrong cookie")
    return Identity(answer.node, answer.life, answer.folder)


async def receive_hello(stream: Stream, credentials: Credentials) -> tuple[Greeting, bytes]:
    """The listener's part up to the dialler's name, of which nothing is proven yet; and the hello's own bytes."""
    hello = await _receive(stream, KIND_HELLO)
    try:
        greeting = _decode(hello)
        _check_cluster(greeting, credentials)
        if greeting.lane not in LANES and greeting.lane != ADMIN:
            raise Stranger(f"there is no lane {_shown(greeting.lane)}")
    except Stranger as reason:
        await _refuse(stream, str(reason))
        raise
    return greeting, hello


async def welcome(
    stream: Stream, credentials: Credentials, hello: bytes, admit: Callable[[Greeting], str | None]
) -> Greeting:
    """The rest of the listener's part; who dialled. `admit` says why a dialler with the right cookie is refused.

    Raises Stranger, or `trio.BrokenResourceError` if the connection ends in between.
    """
    greeting = Greeting.decode(hello)
    answer = credentials.greeting(greeting.lane).encode()
    await stream.send_all(encode_frame(KIND_WELCOME, answer))
    proof = await _receive(stream, KIND_PROOF)
    holds = proof_holds(credentials.cookie, "dialler", hello, answer, proof)
    reason = admit(greeting) if holds else "wrong cookie"
    if reason is not None:
        await _refuse(stream, reason)
        raise Stranger(reason)
    await stream.send_all(encode_frame(KIND_PROOF, prove(credentials.cookie, "listener", hello, answer)))
    return greeting


async def _receive(stream: Stream, kind: int) -> bytes:
    """The payload of one frame of that kind, and not a byte more; nothing is taken on trust before its length is."""
    length, received = HEAD.unpack(await _receive_exactly(stream, HEAD.size))
    if length > GREETING_BYTES_MAX or received not in (kind, KIND_REFUSAL):
        raise Stranger("does not greet as a Warren node does")
    payload = await _receive_exactly(stream, length)
    if received == KIND_REFUSAL:
        raise Stranger("refused there: " + _shown(payload.decode("utf-8", "replace")))
    return payload


async def _receive_exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            raise trio.BrokenResourceError("closed during the greeting")
        data += more
    return data


async def _refuse(stream: Stream, reason: str) -> None:
    with suppress(trio.BrokenResourceError):  # a courtesy; the reason is what counts
        await stream.send_all(encode_frame(KIND_REFUSAL, reason.encode()))


def _decode(payload: bytes) -> Greeting:
    try:
        return Greeting.decode(payload)
    except PeerFrameError as reason:
        raise Stranger(str(reason)) from None


def _check_cluster(greeting: Greeting, credentials: Credentials) -> None:
    if greeting.cluster != credentials.cluster:
        raise Stranger(f"another cluster, {_shown(greeting.cluster)}")


def _shown(text: str) -> str:
    """A stranger's word as it may stand in a log line."""
    return ascii(text[:100])
