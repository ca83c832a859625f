"""An AMQP client in the simulation: the pure `ClientConnection` over a simulated stream.

One channel, number 1. `connect` logs in; a task reads until the connection ends, and whatever waits then gets `Lost`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import trio

from broker.amqp.client import CAPABILITIES, ClientConnection, ClientEvent
from broker.amqp.errors import AmqpException
from broker.server.writer import Prompt
from broker.wire.basic_methods import (
    BasicAck,
    BasicCancel,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicNack,
    BasicQos,
    BasicQosOk,
    BasicRecoverOk,
    ConfirmSelect,
    ConfirmSelectOk,
)
from broker.wire.content import body_of
from broker.wire.events import Acks, Content, Delivered
from broker.wire.method_fields import Method
from broker.wire.methods import (
    ChannelClose,
    ChannelOpen,
    ChannelOpenOk,
    ConnectionBlocked,
    ConnectionUnblocked,
    ExchangeDeclare,
    ExchangeDeclareOk,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
)
from broker.wire.properties import Properties
from broker.world.network import DialFailure, Network, Stream

CHANNEL = 1
PATIENCE_S = 8.0
"""After so long without an answer a client gives its connection up."""
PERSISTENT = Properties(delivery_mode=2)
TRANSIENT = Properties(delivery_mode=1)


class Lost(Exception):
    """The connection is gone, or it does not answer."""


class Refused(Exception):
    """The broker closed the channel or the connection; the text says why."""


class Client:
    """One connection. Callbacks run in its reader's task."""

    def __init__(self, stream: Stream, user: str, capabilities: dict[str, bool]) -> None:
        self.lost = False
        self.cancelled: list[str] = []
        """Consumer tags that the broker cancelled."""
        self.blocked = ""
        """Why publishes wait, as the broker says."""
        self.unconfirmed: dict[int, bytes] = {}
        self.on_confirm: Callable[[bytes, bool], None] = lambda body, acked: None
        self.on_deliver: Callable[[Delivered], None] = lambda delivered: None
        self.on_recovered: Callable[[], None] = lambda: None
        """All that was not acknowledged comes again from now on."""
        self._connection = ClientConnection(user, user, capabilities=capabilities)
        self._stream = stream
        self._prompt = stream if isinstance(stream, Prompt) else None
        self._published = 0
        self._heard: deque[ClientEvent] = deque()
        self._news = trio.Event()
        self._sending = trio.Lock()

    # ------------------------------------------------------------------ talk

    async def call(self, method: Method, *answers: type) -> Any:
        """Send a method and wait for one of these answers. Raises Lost and Refused."""
        self._connection.call(CHANNEL, method)
        await self.flush()
        return await self.wait_for(lambda: self._answer(answers))

    def _answer(self, kinds: tuple[type, ...]) -> ClientEvent | None:
        while self._heard:
            event = self._heard.popleft()
            if isinstance(event, kinds):
                return event
            if isinstance(event, ChannelClose):
                raise Refused(f"{event.reply_code} {event.reply_text}")
        return None

    async def wait_for(self, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """Wait until something that the broker says makes it true. Raises Lost and Refused."""
        with trio.move_on_after(patience_s):
            while True:
                result = condition()
                if result:
                    return result
                if self._connection.state == "closed":
                    raise Refused(self._connection.closed)
                if self.lost:
                    raise Lost
                await self._news.wait()
        self.close()
        raise Lost

    async def flush(self) -> None:
        """Send what is to be sent. Raises Lost."""
        data = b"".join(self._connection.take_output())
        if self._prompt is not None and not self._sending.locked():
            data = data[self._prompt.send_now(data) :]
        if not data:  # mostly: then no time limit has to be set up
            await trio.lowlevel.checkpoint()
            return
        try:
            async with self._sending:
                with trio.fail_after(PATIENCE_S):
                    await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            self.close()
            raise Lost from None

    async def read(self) -> None:
        """Hear what the broker says, to the end."""
        try:
            while data := await self._stream.receive_some():
                for channel, event in self._connection.feed(data):
                    self._hear(channel, event)
                out = self._connection.take_output()
                if out:
                    await self._stream.send_all(b"".join(out))
                self._ring()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.close()

    def _hear(self, channel: int, event: ClientEvent) -> None:
        if isinstance(event, Delivered):
            self.on_deliver(event)
        elif isinstance(event, Acks):
            self._confirm(event.first_tag, event.last_tag, event.multiple, acked=True)
        elif isinstance(event, BasicNack):
            self._confirm(event.delivery_tag, event.delivery_tag, event.multiple, acked=False)
        elif isinstance(event, BasicCancel):
            self.cancelled.append(event.consumer_tag)
        elif isinstance(event, ConnectionBlocked | ConnectionUnblocked):
            self.blocked = getattr(event, "reason", "")
        elif isinstance(event, Content) or channel == CHANNEL:
            if isinstance(event, BasicRecoverOk):
                self.on_recovered()
            self._heard.append(event)

    def _confirm(self, first: int, last: int, multiple: bool, *, acked: bool) -> None:
        tags = [tag for tag in self.unconfirmed if tag <= last] if multiple else range(first, last + 1)
        for tag in tags:
            body = self.unconfirmed.pop(tag, None)
            if body is None:
                raise AssertionError(f"delivery tag {tag} is answered twice")
            self.on_confirm(body, acked)

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def close(self) -> None:
        """Drop the connection, as a client that dies."""
        if not self.lost:
            self.lost = True
            self._stream.close_now()
            self._ring()

    # ------------------------------------------------------------------ verbs

    async def declare(self, queue: str, *, durable: bool = True, **fields: Any) -> QueueDeclareOk:
        """queue.declare. Raises Refused."""
        declared = await self.call(QueueDeclare(queue=queue, durable=durable, **fields), QueueDeclareOk)
        assert isinstance(declared, QueueDeclareOk)
        return declared

    async def delay(self, exchange: str, key: str, queues: Iterable[str]) -> None:
        """Declare an exchange that holds messages back, and bind queues to it."""
        arguments = {"x-delayed-type": "direct"}
        declare = ExchangeDeclare(exchange=exchange, type="x-delayed-message", durable=True, arguments=arguments)
        await self.call(declare, ExchangeDeclareOk)
        for queue in queues:
            await self.call(QueueBind(queue=queue, exchange=exchange, routing_key=key), QueueBindOk)

    async def count(self, queue: str) -> int:
        """How many messages are ready, by a passive declare."""
        return (await self.declare(queue, passive=True)).message_count

    async def confirm_select(self) -> None:
        """confirm.select."""
        await self.call(ConfirmSelect(), ConfirmSelectOk)

    def publish(self, queue: str, body: bytes, *, persistent: bool = True) -> None:
        """Say it; `flush` sends."""
        self.publish_to("", queue, body, PERSISTENT if persistent else TRANSIENT)

    def publish_to(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """As `publish`, to any exchange."""
        self._published += 1
        self.unconfirmed[self._published] = body
        self._connection.publish(CHANNEL, exchange, key, body, properties)

    async def publish_all(self, queue: str, bodies: list[bytes], *, persistent: bool = True) -> None:
        """Publish and wait until all of it is answered."""
        for body in bodies:
            self.publish(queue, body, persistent=persistent)
        await self.flush()
        await self.wait_for(lambda: not self.unconfirmed)

    async def consume(
        self, queue: str, prefetch: int, *, tag: str = "c", no_ack: bool = False, shared: bool = False, **arguments: Any
    ) -> None:
        """basic.qos, for this consumer or `shared` by all of the channel, and basic.consume."""
        await self.call(BasicQos(prefetch_count=prefetch, is_global=shared), BasicQosOk)
        await self.call(BasicConsume(queue=queue, consumer_tag=tag, no_ack=no_ack, arguments=arguments), BasicConsumeOk)

    async def get(self, queue: str, *, no_ack: bool = True) -> Content | None:
        """basic.get; None if it is empty."""
        answer = await self.call(BasicGet(queue=queue, no_ack=no_ack), Content, BasicGetEmpty)
        return answer if isinstance(answer, Content) else None

    async def drain(self, queue: str) -> list[bytes]:
        """Get everything that is ready, oldest first."""
        bodies = []
        while (got := await self.get(queue)) is not None:
            bodies.append(body_of(got.content))
        return bodies

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        """Say it; `flush` sends."""
        self._connection.call(CHANNEL, BasicAck(tag, multiple))

    def say(self, method: Method) -> None:
        """Any method without an answer; `flush` sends."""
        self._connection.call(CHANNEL, method)


async def connect(
    nursery: trio.Nursery, network: Network, address: str, user: str, capabilities: dict[str, bool] = CAPABILITIES
) -> Client:
    """Log in and open the channel. Raises Lost and Refused."""
    try:
        stream = await network.dial(address, PATIENCE_S)
    except DialFailure:
        raise Lost from None
    client = Client(stream, user, capabilities)
    nursery.start_soon(client.read)
    try:
        await client.flush()
        await client.wait_for(lambda: client._connection.state == "open")
        await client.call(ChannelOpen(), ChannelOpenOk)
    except AmqpException as error:
        client.close()
        raise Refused(str(error)) from None
    return client
