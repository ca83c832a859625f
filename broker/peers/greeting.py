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
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TypeVar, cast

import trio

from broker.peers.introduction import (
    ADMIN,
    GREETING_TIMEOUT_S,
    LANES,
    Credentials,
    Identity,
    Stranger,
    check_cluster,
    decode_greeting,
    introduce,
    receive_frame,
    shown_word,
)
from broker.wire.peer_frames import (
    KIND_HELLO,
    KIND_PROOF,
    KIND_REFUSAL,
    KIND_WELCOME,
    Greeting,
    encode_frame,
    proof_holds,
    prove,
)
from broker.world.network import Network, Stream, Unreachable, secure, split_endpoint

T = TypeVar("T")


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
    return await _walk(stream, introduce(credentials, lane, expected=expected, offset=offset))


async def receive_hello(stream: Stream, credentials: Credentials) -> tuple[Greeting, bytes]:
    """The listener's part up to the dialler's name, of which nothing is proven yet; and the hello's own bytes."""
    hello = await _receive(stream, KIND_HELLO)
    try:
        greeting = decode_greeting(hello)
        check_cluster(greeting, credentials)
        if greeting.lane not in LANES and greeting.lane != ADMIN:
            raise Stranger(f"there is no lane {shown_word(greeting.lane)}")
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
    return await _walk(stream, receive_frame(kind))


async def _walk(stream: Stream, steps: Generator[tuple[bytes, int], bytes, T]) -> T:
    """What comes of these steps."""
    try:
        said, wanted = next(steps)
        while True:
            if said:
                await stream.send_all(said)
            said, wanted = steps.send(await _receive_exactly(stream, wanted))
    except StopIteration as done:
        return cast("T", done.value)


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
