"""The client's side of one connection: for shovels, tools and tests.

Decides how one logs in, opens channels and understands what a broker says. It must not know sockets or time: bytes
are fed in and taken out. What a broker sends is reported as it is: methods, deliveries, contents, confirms. A broker's
close is answered and ends the connection or the channel; `closed` says with which words.
"""

from typing import Any

from broker.amqp.errors import ConnectionException
from broker.amqp.handshake import PROTOCOL_HEADER
from broker.wire import methods
from broker.wire.basic_methods import BasicPublish
from broker.wire.content import make_content
from broker.wire.events import Acks, Content, Delivered, Fault, Heartbeat, MethodFrame
from broker.wire.frames import FrameReader
from broker.wire.method_fields import Method
from broker.wire.properties import Properties

CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}

ClientEvent = Delivered | Content | Acks | Method
"""Acks are confirms; a nack is a method."""


class ClientConnection:
    """One connection to a broker. `state` is "starting", "open" or "closed"."""

    def __init__(
        self,
        user: str,
        password: str,
        virtual_host: str = "/",
        *,
        mechanism: str = "PLAIN",
        capabilities: dict[str, bool] = CAPABILITIES,
        frame_max: int = 131072,
        heartbeat_s: int = 0,
    ) -> None:
        """`mechanism` EXTERNAL leaves it to the certificate who this is."""
        self.state = "starting"
        self.closed = ""
        self.server_properties: dict[str, Any] = {}
        self.frame_max = frame_max
        self.heartbeat_s = heartbeat_s
        self._mechanism = mechanism
        self._login = b"" if mechanism == "EXTERNAL" else b"\0" + user.encode() + b"\0" + password.encode()
        self._virtual_host = virtual_host
        self._capabilities = capabilities
        self._reader = FrameReader(0, client=True)
        self._outbox: list[bytes | bytearray] = [PROTOCOL_HEADER]

    def feed(self, data: bytes) -> list[tuple[int, ClientEvent]]:
        """What the broker said, each with its channel; what the greeting needs is answered here."""
        told: list[tuple[int, ClientEvent]] = []
        for event in self._reader.feed(data):
            if isinstance(event, (Delivered, Content, Acks)):
                told.append((event.channel, event))
            elif isinstance(event, MethodFrame):
                method = methods.decode(event.class_id, event.method_id, event.payload)
                self._hear(event.channel, method)
                told.append((event.channel, method))
            elif isinstance(event, Fault):
                raise ConnectionException(event.code, event.why)
            else:
                assert isinstance(event, Heartbeat)
        return told

    def _hear(self, channel: int, method: Method) -> None:
        match method:
            case methods.ConnectionStart():
                self.server_properties = method.server_properties
                properties = {"product": "Warren", "capabilities": self._capabilities}
                self.call(0, methods.ConnectionStartOk(properties, self._mechanism, self._login, "en_US"))
            case methods.ConnectionTune():
                if method.frame_max:
                    self.frame_max = min(self.frame_max, method.frame_max)
                self._reader.frame_max = self.frame_max
                heartbeat = min(self.heartbeat_s, method.heartbeat) or max(self.heartbeat_s, method.heartbeat)
                self.heartbeat_s = heartbeat if self.heartbeat_s else 0
                self.call(0, methods.ConnectionTuneOk(method.channel_max, self.frame_max, self.heartbeat_s))
                self.call(0, methods.ConnectionOpen(self._virtual_host))
            case methods.ConnectionOpenOk():
                self.state = "open"
            case methods.ConnectionClose():
                self.state, self.closed = "closed", f"{method.reply_code} {method.reply_text}"
                self.call(0, methods.ConnectionCloseOk())
            case methods.ConnectionCloseOk():
                self.state = "closed"
            case methods.ChannelClose():
                self.closed = f"{method.reply_code} {method.reply_text}"
                self.call(channel, methods.ChannelCloseOk())

    def call(self, channel: int, method: Method) -> None:
        """Send a method; its answer, if any, comes out of `feed`."""
        self._outbox.append(method.frame(channel))

    def publish(
        self,
        channel: int,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Properties | None = None,
        *,
        mandatory: bool = False,
    ) -> None:
        """Send one message."""
        method = BasicPublish(0, exchange, routing_key, mandatory)
        content = make_content(channel, properties or Properties(), body, self.frame_max)
        self._outbox.append(method.frame(channel) + content)

    def beat(self) -> None:
        """Send a heartbeat: the owner does so at least every `heartbeat_s` seconds of silence."""
        self._outbox.append(b"\x08\0\0\0\0\0\0\xce")

    def take_output(self) -> list[bytes | bytearray]:
        """Everything to be written."""
        taken, self._outbox = self._outbox, []
        return taken
