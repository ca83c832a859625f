"""A plain AMQP client on trio: connects, asks, sends, receives.

Decides how a connection is opened and how its end is told (`Closed`, with the broker's own words). It must not know
what is measured or judged.
"""

import ssl
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

import trio

from broker.perf.blocks import CHANNEL
from broker.wire.events import Fault, MethodFrame, WireEvent
from broker.wire.frames import FrameReader
from broker.wire.malformed import Malformed
from broker.wire.method_fields import METHODS, Method
from broker.wire.methods import (
    ChannelClose,
    ChannelOpen,
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionOpen,
    ConnectionStart,
    ConnectionStartOk,
    ConnectionTune,
    ConnectionTuneOk,
    decode,
)
from broker.world.network import DialFailure, Network, Stream, TcpNetwork, secure

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
FRAME_BYTES_MAX = 131072
RECEIVE_BYTES = 65536
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
CLOSES = frozenset({(10, 50), (20, 40)})
PROPERTIES = {"product": "warren perf", "capabilities": {"consumer_cancel_notify": True, "basic.nack": True}}


class Closed(Exception):
    """The connection, or one of its channels, is at its end; the text says why."""


class Target(NamedTuple):
    """Where and as whom to connect."""

    address: str
    user: str = "guest"
    password: str = "guest"
    vhost: str = "/"
    tls: bool = False


def target_of(url: str) -> Target:
    """From `amqp://user:password@host:port/vhost` (or amqps). Raises ValueError that says what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise ValueError(f"{url!r} is no AMQP URL: use amqp://user:password@host:port/vhost")
    tls = parts.scheme == "amqps"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = f"{host}:{parts.port or (5671 if tls else 5672)}"
    user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
    return Target(address, user, password, unquote(parts.path[1:]) or "/", tls)


class Client:
    """One connection with channel 1 open. `stream` may be read directly by one who knows what comes."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.frame_max = FRAME_BYTES_MAX
        self._reader = FrameReader(FRAME_BYTES_MAX, client=True)
        self._backlog: list[WireEvent] = []
        self._reading: trio.Event | None = None
        self._answers: dict[tuple[int, int, int], Method | None] = {}

    @classmethod
    async def open(cls, target: Target, network: Network | None = None, *, timeout_s: float = OPEN_TIMEOUT_S) -> Self:
        """Connect, log in, open channel 1. Raises Closed."""
        try:
            with trio.fail_after(timeout_s):
                stream = await (network or TcpNetwork()).dial(target.address, timeout_s)
                try:
                    if target.tls:
                        stream = await secure(stream, _trusting(), server_hostname=target.address.rpartition(":")[0])
                    client = cls(stream)
                    await client._shake_hands(target)
                except BaseException:
                    stream.close_now()
                    raise
                return client
        except DialFailure as failure:
            raise Closed(str(failure)) from None
        except trio.TooSlowError:
            raise Closed(f"{target.address}: no answer within {timeout_s:g} s") from None
        except trio.BrokenResourceError as failure:
            raise Closed(f"{target.address}: {failure}") from None

    async def _shake_hands(self, target: Target) -> None:
        await self.stream.send_all(PROTOCOL_HEADER)
        await self._answer_to(ConnectionStart, 0)
        response = b"\0" + target.user.encode() + b"\0" + target.password.encode()
        start_ok = ConnectionStartOk(client_properties=PROPERTIES, mechanism="PLAIN", response=response)
        await self.send(start_ok.frame(0))
        tune = await self._answer_to(ConnectionTune, 0)
        assert isinstance(tune, ConnectionTune)
        self.frame_max = min(tune.frame_max or FRAME_BYTES_MAX, FRAME_BYTES_MAX)
        self._reader.frame_max = self.frame_max
        # No heartbeats: a load or a drill sees for itself whether a node is silent.
        await self.send(ConnectionTuneOk(tune.channel_max, self.frame_max, 0).frame(0))
        await self.call(ConnectionOpen(virtual_host=target.vhost), 0)
        await self.call(ChannelOpen(), CHANNEL)

    async def call(self, method: Method, channel: int = CHANNEL) -> Method:
        """Send a method and wait for its -ok. Raises Closed if the broker refuses."""
        await self.send(method.frame(channel))
        return await self._answer_to(_answer_of(type(method)), channel)

    async def _answer_to(self, wanted: type[Method], channel: int) -> Method:
        key = (channel, wanted.class_id, wanted.method_id)
        self._answers[key] = None
        while (answer := self._answers[key]) is None:
            await self._read()
        del self._answers[key]
        return answer

    async def send(self, data: bytes | memoryview) -> None:
        """Send bytes. Raises Closed."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            raise Closed(str(failure)) from None

    async def receive(self) -> list[WireEvent]:
        """What came: at least one event that is no answer to a `call`. Raises Closed."""
        while not self._backlog:
            await self._read()
        events, self._backlog = self._backlog, []
        return events

    async def _read(self) -> None:
        """Let one reading pass: this task's own, or that of another task that was first."""
        if self._reading is not None:
            await self._reading.wait()
            return
        self._reading = trio.Event()
        try:
            data = await self.stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            raise Closed(str(failure)) from None
        finally:
            self._reading.set()
            self._reading = None
        if not data:
            raise Closed("the broker closed the connection")
        self._backlog += [event for event in self._reader.feed(data) if not self._is_answer(event)]

    def _is_answer(self, event: WireEvent) -> bool:
        if isinstance(event, Fault):
            raise Closed(f"the broker sent what is no AMQP: {event.why}")
        if not isinstance(event, MethodFrame):
            return False
        numbers = (event.class_id, event.method_id)
        key = (event.channel, *numbers)
        if numbers in CLOSES:
            raise Closed(_words_of(event))
        if key not in self._answers:
            return False
        self._answers[key] = decode(*numbers, event.payload)
        return True

    async def close(self) -> None:
        """Say good-bye, and wait a moment for the answer; what else comes is thrown away."""
        answer, tail = ConnectionCloseOk().frame(0), b""
        try:
            with trio.move_on_after(CLOSE_TIMEOUT_S):
                await self.stream.send_all(ConnectionClose(reply_code=200, reply_text="done").frame(0))
                while not tail.endswith(answer) and (data := await self.stream.receive_some(RECEIVE_BYTES)):
                    tail = (tail + data)[-len(answer) :]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it is gone already
        finally:
            self.close_now()

    def close_now(self) -> None:
        """Hang up."""
        self.stream.close_now()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _answer_of(request: type[Method]) -> type[Method]:
    """The -ok of a method: the next number, but for exchange.unbind, which nobody here sends."""
    return METHODS[request.class_id, request.method_id + 1]


def _words_of(event: MethodFrame) -> str:
    try:
        said = decode(event.class_id, event.method_id, event.payload)
    except Malformed as malformed:
        return f"the broker closed with what cannot be read: {malformed.why}"
    assert isinstance(said, ConnectionClose | ChannelClose)
    return f"the broker closed: {said.reply_code} {said.reply_text}"


def _trusting() -> ssl.SSLContext:
    """For measuring: any certificate will do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
