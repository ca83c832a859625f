"""The server's side of one connection: greeting, limits, channels, goodbye, and what goes out.

Decides what a client may say when, and answers whatever needs no knowledge of users, queues or exchanges. It must not
know sockets or time: bytes are fed in, bytes are taken out of the outbox, `now` is in seconds of any clock that only
goes forward. The rules:

1. `feed` reports only what the session must act upon, in order; act on each before asking for the next.
2. After a channel error only channel.close and channel.close-ok count on that channel, after a connection error only
   connection.close and connection.close-ok count at all.
3. The outbox counts bytes until they are written, so that consumers see how much a slow client is behind.

States: header -> starting -> securing -> tuning -> opening -> running -> closing (the client was told) -> closed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from broker.amqp.channel import Channel, Starved
from broker.amqp.errors import AmqpException, ChannelException, ConnectionException
from broker.amqp.handshake import (
    INITIAL_FRAME_MAX,
    MECHANISMS,
    PROTOCOL_HEADER,
    Limits,
    check_tune,
    read_capabilities,
    read_login,
)
from broker.amqp.requests import CloseRequest, Ended, Failed, Login, NewSecret, Open, OpenChannel, Request
from broker.meters.traffic import Traffic
from broker.wire import methods
from broker.wire.basic_methods import BasicAck, BasicPublish
from broker.wire.events import Acks, Fault, Medley, MethodFrame, Oversize, Publish, WireEvent
from broker.wire.fields import Table
from broker.wire.frames import FrameReader
from broker.wire.malformed import Malformed, erlang_binary
from broker.wire.method_fields import METHODS, Method

_HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"
_REFUSED_LINGER_S = 3.0
"""How long a client that does not learn why it was refused must wait, as with RabbitMQ."""
_CLOSED_LINGER_MAX_S = 30.0
"""How long a client that has closed its connection may take to close the socket; less if its heartbeat is shorter."""
_HOT: dict[type[WireEvent], type[Method]] = {
    Publish: BasicPublish,
    Medley: BasicPublish,
    Oversize: BasicPublish,
    Acks: BasicAck,
}
"""Methods that arrive as events of their own."""

ChannelEvent = Publish | Medley | Acks | Oversize | Method
Event = tuple[Channel, ChannelEvent] | tuple[None, Request]


class ServerConnection:
    """One client. `on_output` is called when there is something to write, once until it is taken."""

    def __init__(
        self,
        properties: Table,
        limits: Limits,
        on_output: Callable[[], None],
        mechanisms: Sequence[str] = MECHANISMS,
        traffic: Traffic | None = None,
    ) -> None:
        """`mechanisms`: of SASL, as they are offered. `traffic`: where its channels are counted."""
        self.state = "header"
        self.channels: dict[int, Channel] = {}
        self.client_properties: dict[str, Any] = {}
        self.capabilities: frozenset[str] = frozenset()
        self.mechanism = ""
        self.channel_max = limits.channel_max
        self.frame_max = INITIAL_FRAME_MAX
        self.heartbeat_s = 0.0
        self.outbox_bytes = 0
        """Bytes that wait to be written, including those that have been taken."""
        self.starved: set[Starved] = set()
        """Consumers that found the outbox too full; the session wakes them."""
        self._properties = properties
        self._mechanisms = " ".join(mechanisms).encode()
        self._limits = limits
        self._on_output = on_output
        self._reader = FrameReader(INITIAL_FRAME_MAX, message_bytes_max=limits.message_bytes_max)
        self._header = b""
        self._outbox: list[bytes | bytearray] = []
        self._confirming: set[Channel] = set()
        self._told = False
        self.heard_at = 0.0
        """When it was fed last."""
        self._traffic = Traffic() if traffic is None else traffic
        self.confirmed: list[tuple[float, int]] = []
        """When publishes came whose confirms are about to leave, and how many of each time."""
        self._last_heard = self._last_said = 0.0

    # What comes in

    def feed(self, data: bytes, now: float) -> Iterator[Event]:
        """What the client did, as far as the session must act: (channel, event), or (None, request)."""
        self._last_heard = self.heard_at = now
        if self.state == "header":
            data = self._greet(data)
            if self.state == "closed":
                yield None, Ended("no AMQP 0-9-1 protocol header", 0.0)
                return
        for event in self._reader.feed(data):
            if isinstance(event, (Publish, Acks, Medley)):
                channel = self.channels.get(event.channel)
                if channel is not None and channel.state == "open" and self.state == "running":
                    yield channel, event
                    continue
            yield from self._attend(event)
        if self._reader.assembling and self.state == "running":
            for number in self._reader.assembling:
                if number not in self.channels:
                    yield self._fail(ConnectionException(504, "expected 'channel.open'"), BasicPublish)
                    return

    def _greet(self, data: bytes) -> bytes:
        """Look at the protocol header; the bytes behind it."""
        self._header += data
        if len(self._header) < len(PROTOCOL_HEADER):
            if not PROTOCOL_HEADER.startswith(self._header[:4]):
                self._refuse_header()
            return b""
        header, rest = self._header[:8], self._header[8:]
        self._header = b""
        if header not in (PROTOCOL_HEADER, b"AMQP\1\1\0\x09"):
            self._refuse_header()
            return b""
        self.state = "starting"
        self._send_method(0, methods.ConnectionStart(0, 9, self._properties, self._mechanisms, b"en_US"))
        return rest

    def _refuse_header(self) -> None:
        self.state = "closed"
        self._header = b""
        self.send(PROTOCOL_HEADER)

    def _attend(self, event: WireEvent) -> Iterator[Event]:
        """Everything that is not a publish or an ack on an open channel."""
        if isinstance(event, Fault):
            if self.state not in ("closing", "closed"):
                error = ConnectionException(event.code, event.why)
                self.fail(error, BasicPublish if event.publishing else None)
                yield None, Failed(error, deaf=event.fatal)
            return
        if not isinstance(event, (MethodFrame, Publish, Medley, Acks, Oversize)) or self.state == "closed":
            return
        try:
            method: Method | None = None
            if isinstance(event, MethodFrame):
                method = methods.decode(event.class_id, event.method_id, event.payload)
            if event.channel == 0:
                yield from self._on_connection(method)
            elif self.state == "running":
                yield from self._on_channel(event.channel, method, event)
            elif self.state != "closing":
                octets = event.octets if isinstance(event, MethodFrame) else b""
                yield self._fail(ConnectionException(505, f"type 1, all octets = {erlang_binary(octets)}"))
        except Malformed as error:
            if self.state != "closing" and isinstance(event, MethodFrame):
                cause = METHODS.get((event.class_id, event.method_id))
                yield self._fail(ConnectionException(error.code, error.why), cause)
        except ConnectionException as error:
            yield self._fail(error, type(method) if method else _HOT.get(type(event)))

    # Channel 0

    def _on_connection(self, method: Method | None) -> Iterator[Event]:
        state = self.state
        match method:
            case methods.ConnectionCloseOk() if state == "closing":
                self.state = "closed"
                yield None, Ended("the client confirmed", 0.0)
            case methods.ConnectionClose() if state == "closing":
                self._send_method(0, methods.ConnectionCloseOk())
            case _ if state == "closing":
                return
            case methods.ConnectionClose() if state == "running":
                yield None, CloseRequest()
            case methods.ConnectionStartOk() if state == "starting":
                yield self._login(method)
            case methods.ConnectionTuneOk() if state == "tuning":
                check_tune(method, self._limits)
                self.frame_max = self._reader.frame_max = method.frame_max
                self.channel_max = method.channel_max
                self.heartbeat_s = float(method.heartbeat)
                self.state = "opening"
            case methods.ConnectionOpen() if state == "opening":
                yield None, Open(method.virtual_host)
            case methods.ConnectionUpdateSecret() if state == "running":
                yield None, NewSecret(method.new_secret.decode("utf-8", "surrogateescape"))
            case _:
                raise ConnectionException(504, f"unexpected method in connection state {state}")

    def _login(self, method: methods.ConnectionStartOk) -> Event:
        self.client_properties = method.client_properties
        self.capabilities = read_capabilities(method.client_properties)
        self.mechanism = method.mechanism
        user, password = read_login(method.mechanism, method.response)
        self.state = "securing"
        return None, Login(method.mechanism, user, password)

    def accept_login(self) -> None:
        """The user is who they say: offer limits."""
        self.state = "tuning"
        limits = self._limits
        self._send_method(0, methods.ConnectionTune(limits.channel_max, limits.frame_max, limits.heartbeat_s))

    def refuse_login(self) -> Ended | None:
        """The user is not: say so, if the client can hear it; what to do if it cannot."""
        if "authentication_failure_close" not in self.capabilities:
            self.state = "closed"
            return Ended("login refused", _REFUSED_LINGER_S)
        why = f"Login was refused using authentication mechanism {self.mechanism}. For details see the broker logfile."
        self.fail(ConnectionException(403, why))
        return None

    def accept_open(self) -> None:
        """The virtual host is there for this user."""
        self.state = "running"
        self._send_method(0, methods.ConnectionOpenOk())

    def accept_secret(self) -> None:
        """The new password is right."""
        self._send_method(0, methods.ConnectionUpdateSecretOk())

    def accept_close(self) -> Ended:
        """All is cleaned up after a CloseRequest."""
        self._close_channels()
        self.state = "closed"
        self._send_method(0, methods.ConnectionCloseOk())
        return Ended("the client closed it", min(self.heartbeat_s or _CLOSED_LINGER_MAX_S, _CLOSED_LINGER_MAX_S))

    # Other channels

    def _on_channel(self, number: int, method: Method | None, event: WireEvent) -> Iterator[Event]:
        channel = self.channels.get(number)
        if channel is None and self.channel_max and len(self.channels) >= self.channel_max:
            yield self._fail(ConnectionException(530, self._too_many_channels()))
        elif isinstance(method, methods.ChannelOpen):
            if channel is not None:  # also while it waits for close-ok
                raise ConnectionException(504, "second 'channel.open' seen")
            yield None, OpenChannel(number)
        elif channel is None:
            raise ConnectionException(504, "expected 'channel.open'")
        elif channel.state == "open":
            if method is not None:
                yield channel, method
            elif isinstance(event, (Publish, Medley, Acks, Oversize)):
                yield channel, event
        elif isinstance(method, methods.ChannelCloseOk):
            del self.channels[number]
        elif isinstance(method, methods.ChannelClose):
            self._send_method(number, methods.ChannelCloseOk())

    def accept_channel(self, number: int) -> None:
        """The client may have this channel."""
        if self.state == "running":
            self.channels[number] = Channel(number, self, self._traffic)
            self._send_method(number, methods.ChannelOpenOk())

    def _too_many_channels(self) -> str:
        return (
            f"number of channels opened ({len(self.channels)}) has reached "
            f"the negotiated channel_max ({self.channel_max})"
        )

    def accept_channel_close(self, channel: Channel) -> None:
        """All is cleaned up after the client's channel.close."""
        channel.flush()
        channel.close()
        del self.channels[channel.number]
        self._send_method(channel.number, methods.ChannelCloseOk())

    def fail_channel(self, channel: Channel, error: ChannelException, cause: type[Method] | None = None) -> None:
        """Close a channel because of an error that `cause` met; the caller cleans up."""
        channel.flush()
        channel.close(closing=True)
        class_id, method_id = (cause.class_id, cause.method_id) if cause else (0, 0)
        self._send_method(channel.number, methods.ChannelClose(error.code, error.text, class_id, method_id))

    # Failure and farewell

    def fail(self, error: AmqpException, cause: type[Method] | None = None) -> None:
        """Close the connection because of an error that `cause` met; the caller cleans up."""
        if self.state in ("closing", "closed"):
            return
        self._close_channels()
        # Nobody who has not agreed on limits is told anything but that the login failed, as with RabbitMQ.
        told = self.state in ("running", "opening") or error.code == 403
        self.state = "closing" if told else "closed"
        if told:
            class_id, method_id = (cause.class_id, cause.method_id) if cause else (0, 0)
            self._send_method(0, methods.ConnectionClose(error.code, error.text, class_id, method_id))

    def _fail(self, error: ConnectionException, cause: type[Method] | None = None) -> Event:
        self.fail(error, cause)
        return None, Failed(error)

    def _close_channels(self) -> None:
        for channel in self.channels.values():
            channel.flush()
            channel.close()
        self._confirming.clear()

    # What goes out

    def send(self, data: bytes | bytearray) -> None:
        """Append bytes to the outbox."""
        self._outbox.append(data)
        self.outbox_bytes += len(data)
        if not self._told:
            self._told = True
            self._on_output()

    def send_method(self, channel: Channel, method: Method) -> None:
        """Append a method on an open channel; nothing on any other."""
        if channel.state == "open":
            self._send_method(channel.number, method)

    def block(self, reason: str) -> None:
        """Tell the client, if it can hear it, that its publishes wait, and why."""
        if "connection.blocked" in self.capabilities and self.state == "running":
            self._send_method(0, methods.ConnectionBlocked(reason))

    def unblock(self) -> None:
        """Tell the client, if it can hear it, that its publishes are taken again."""
        if "connection.blocked" in self.capabilities and self.state == "running":
            self._send_method(0, methods.ConnectionUnblocked())

    def confirm_soon(self, channel: Channel) -> None:
        """A channel has confirms to write at the end of this turn."""
        self._confirming.add(channel)
        if not self._told:
            self._told = True
            self._on_output()

    def take_output(self) -> list[bytes | bytearray]:
        """Everything to be written, confirms last; `written` must be told of it."""
        if self._confirming:
            for channel in self._confirming:
                channel.flush()
            self._confirming.clear()
        self._told = False
        taken, self._outbox = self._outbox, []
        return taken

    def written(self, count: int, now: float) -> None:
        """So many of the bytes taken have left."""
        self.outbox_bytes -= count
        self._last_said = now
        if self.confirmed:
            for since, confirmed in self.confirmed:
                self._traffic.confirm_s.observe(now - since, confirmed)
            self.confirmed.clear()

    def _send_method(self, number: int, method: Method) -> None:
        self.send(method.frame(number))

    # Signs of life

    def excuse(self, now: float) -> None:
        """The client could not be heard until now, through no fault of its own."""
        self._last_heard = now

    def tick(self, now: float) -> bool:
        """Send a heartbeat if it is time; whether the client has been heard within two intervals."""
        if not self.heartbeat_s or self.state in ("closing", "closed"):
            return True
        if now - self._last_said >= self.heartbeat_s / 2 and not self.outbox_bytes:
            self._last_said = now
            self.send(_HEARTBEAT)
        return now - self._last_heard < self.heartbeat_s * 2
