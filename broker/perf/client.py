"""The client's side of AMQP on trio: connects, asks, sends, receives.

Decides how a connection is opened and how its end is told (`Closed`, with the broker's own words). It must not know
what is measured or judged; the dialogue itself is `amqp/client.py`.
"""

import ssl
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

import trio

from broker.amqp.client import ClientConnection, ClientEvent
from broker.amqp.errors import AmqpException
from broker.perf.blocks import CHANNEL
from broker.wire.malformed import Malformed
from broker.wire.method_fields import METHODS, Method
from broker.wire.methods import ChannelClose, ChannelOpen, ConnectionClose, ConnectionCloseOk
from broker.world.network import DialFailure, Network, Stream, TcpNetwork, secure

RECEIVE_BYTES = 65536
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


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

    def __init__(self, stream: Stream, dialogue: ClientConnection) -> None:
        self.stream = stream
        self._dialogue = dialogue
        self._backlog: list[tuple[int, ClientEvent]] = []
        self._reading: trio.Event | None = None
        self._answers: dict[tuple[int, type[Method]], Method | None] = {}

    @classmethod
    async def open(cls, target: Target, network: Network | None = None, *, timeout_s: float = OPEN_TIMEOUT_S) -> Self:
        """Connect, log in, open channel 1. Raises Closed."""
        try:
            with trio.fail_after(timeout_s):
                stream = await (network or TcpNetwork()).dial(target.address, timeout_s)
                try:
                    if target.tls:
                        stream = await secure(stream, _trusting(), server_hostname=target.address.rpartition(":")[0])
                    client = cls(stream, ClientConnection(target.user, target.password, target.vhost))
                    await client._shake_hands()
                except BaseException:
                    stream.close_now()
                    raise
                return client
        except DialFailure as failure:
            raise Closed(str(failure)) from None
        except trio.TooSlowError:
            raise Closed(f"{target.address}: no answer within {timeout_s:g} s") from None

    async def _shake_hands(self) -> None:
        await self._flush()
        while self._dialogue.state != "open":
            await self._read()
        self._backlog.clear()
        await self.call(ChannelOpen(), CHANNEL)

    @property
    def frame_max(self) -> int:
        """Bytes of the largest frame that may be sent."""
        return self._dialogue.frame_max

    async def call(self, method: Method, channel: int = CHANNEL) -> Method:
        """Send a method and wait for its -ok. Raises Closed if the broker refuses."""
        # The -ok of a method is the next number, but for exchange.unbind, which nobody here sends.
        key = (channel, METHODS[method.class_id, method.method_id + 1])
        self._answers[key] = None
        await self.send(method.frame(channel))
        while (answer := self._answers[key]) is None:
            await self._read()
        del self._answers[key]
        return answer

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes. Raises Closed."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            raise Closed(str(failure)) from None

    async def receive(self) -> list[tuple[int, ClientEvent]]:
        """What came, with its channel: at least one event that is no answer to a `call`. Raises Closed."""
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
            if not data:
                raise Closed("the broker closed the connection")
            events = self._dialogue.feed(data)
            self._backlog += [(channel, event) for channel, event in events if not self._is_answer(channel, event)]
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            raise Closed(str(failure)) from None
        except (AmqpException, Malformed) as failure:
            raise Closed(f"the broker sent what is no AMQP: {failure.why}") from None
        finally:
            self._reading.set()
            self._reading = None
        await self._flush()

    def _is_answer(self, channel: int, event: ClientEvent) -> bool:
        if isinstance(event, ChannelClose | ConnectionClose):
            raise Closed(f"the broker closed: {event.reply_code} {event.reply_text}")
        if not isinstance(event, Method) or (channel, type(event)) not in self._answers:
            return False
        self._answers[channel, type(event)] = event
        return True

    async def _flush(self) -> None:
        if output := self._dialogue.take_output():
            await self.send(b"".join(output))

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


def _trusting() -> ssl.SSLContext:
    """For measuring: any certificate will do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
