"""A broker of a hundred lines: queues in memory, confirms, acknowledgements; enough to load it and to drill it.

`lose` makes it a bad one: it confirms every so-many-th message and keeps it to itself.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from broker.perf.client import Target
from broker.wire.basic_methods import BasicAck, BasicConsume, BasicDeliver, BasicQos
from broker.wire.content import rechannel
from broker.wire.events import Acks, Medley, MethodFrame, Publish
from broker.wire.frames import FrameReader
from broker.wire.message import split_address
from broker.wire.method_fields import METHODS
from broker.wire.methods import (
    ChannelClose,
    ConnectionStart,
    ConnectionTune,
    QueueDeclare,
    QueueDeclareOk,
    QueuePurge,
    QueuePurgeOk,
    decode,
)
from broker.world.network import Stream, TcpNetwork

FRAME_BYTES_MAX = 131072


class Message(NamedTuple):
    """A message at its position in a queue."""

    position: int
    content: bytes
    redelivered: bool = False


class FakeBroker:
    """Any number of connections, direct delivery by the default exchange only. Queues in `held` answer nobody."""

    def __init__(self, *, lose: Callable[[int], bool] = lambda _: False, allowed: set[str] | None = None) -> None:
        self.queues: dict[str, list[Message]] = {}
        self.consumers: dict[str, deque[Session]] = {}
        self.held: dict[str, list[tuple[Session, Publish]]] = {}
        self.lose = lose
        self.allowed = allowed
        self.published = 0
        self.acknowledged = 0
        self.deleted: list[str] = []
        self.declared: dict[str, str] = {}

    async def serve(self, stream: Stream, node: str = "") -> None:
        """One client until it hangs up."""
        session = Session(self, stream, node)
        try:
            await session.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # hung up without a word, or killed
        finally:
            stream.close_now()
            for waiting in self.consumers.values():
                while session in waiting:
                    waiting.remove(session)
            for queue, message in session.unacked.values():
                self.queues[queue].append(message._replace(redelivered=True))
                self.queues[queue].sort()
            for queue in list(self.queues):
                self.pump(queue)

    def publish(self, session: "Session", event: Publish) -> None:
        """Into the queue, and to consumers; then confirm. Unless the queue is held."""
        _, queue = split_address(event.address)
        if queue in self.held:
            self.held[queue].append((session, event))
            return
        for content in event.contents:
            self.published += 1
            if not self.lose(self.published):
                self.queues.setdefault(queue, []).append(Message(self.published, content))
        self.pump(queue)
        session.confirm(event.channel, len(event.contents))

    def release(self, queue: str) -> None:
        """Let a held queue go on."""
        for session, event in self.held.pop(queue, []):
            self.publish(session, event)
        self.pump(queue)

    def pump(self, queue: str) -> None:
        """Deliver in turn what is ready."""
        line, waiting = self.queues.setdefault(queue, []), self.consumers.get(queue)
        while line and waiting and queue not in self.held:
            taker = next((session for session in waiting if session.has_room), None)
            if taker is None:
                return
            waiting.remove(taker)
            waiting.append(taker)
            taker.deliver(queue, line.pop(0))


@asynccontextmanager
async def serving(broker: FakeBroker) -> AsyncIterator[Target]:
    """The broker at an address of this machine."""
    listener = await TcpNetwork().listen("127.0.0.1:0")

    async def accept() -> None:
        while True:
            nursery.start_soon(broker.serve, await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        yield Target(listener.address)
        nursery.cancel_scope.cancel()
        listener.close_now()


class Session:
    """One connection."""

    def __init__(self, broker: FakeBroker, stream: Stream, node: str) -> None:
        self.broker = broker
        self.node = node
        self.stream = stream
        self.out: list[bytes] = []
        self.ready = trio.Event()
        self.tags: dict[str, str] = {}
        self.delivered: dict[int, int] = {}
        self.unacked: dict[tuple[int, int], tuple[str, Message]] = {}
        self.confirming: dict[int, int] = {}
        self.channels: dict[str, int] = {}
        self.automatic: set[str] = set()
        self.prefetch = 0

    @property
    def has_room(self) -> bool:
        """Whether it may be given one more."""
        return not self.prefetch or len(self.unacked) < self.prefetch

    async def run(self) -> None:
        """Read, act, answer."""
        header = b""
        while len(header) < 8:
            header += await self.stream.receive_some(8 - len(header))
        assert header == b"AMQP\0\0\x09\x01"
        await self.stream.send_all(ConnectionStart().frame(0))
        reader = FrameReader(FRAME_BYTES_MAX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.write)
            while data := await self.stream.receive_some(65536):
                for event in reader.feed(data):
                    if isinstance(event, Publish):
                        self.broker.publish(self, event)
                    elif isinstance(event, Medley):
                        for publish in event.publishes():
                            self.broker.publish(self, publish)
                    elif isinstance(event, Acks):
                        self.acknowledge(event)
                    elif isinstance(event, MethodFrame):
                        self.method(event.channel, event.class_id, event.method_id, event.payload)
            nursery.cancel_scope.cancel()

    async def write(self) -> None:
        """Send what has gathered, a little later than it gathered."""
        while True:
            await self.ready.wait()
            await trio.sleep(0.0005)
            data, self.out, self.ready = b"".join(self.out), [], trio.Event()
            await self.stream.send_all(data)

    def say(self, data: bytes) -> None:
        """Put something into the outbox."""
        self.out.append(data)
        self.ready.set()

    def acknowledge(self, event: Acks) -> None:
        """Forget what is acknowledged."""
        self.broker.acknowledged = event.last_tag
        for channel, tag in list(self.unacked):
            if channel == event.channel and tag <= event.last_tag and (event.multiple or tag >= event.first_tag):
                del self.unacked[channel, tag]
        for queue in self.tags:
            self.broker.pump(queue)

    def confirm(self, channel: int, count: int) -> None:
        """So many more publishes are safe."""
        if channel in self.confirming:
            self.confirming[channel] += count
            self.say(BasicAck(delivery_tag=self.confirming[channel], multiple=True).frame(channel))

    def deliver(self, queue: str, message: Message) -> None:
        """One message to the consumer of this session."""
        channel = self.channels[queue]
        self.delivered[channel] = tag = self.delivered.get(channel, 0) + 1
        if queue not in self.automatic:
            self.unacked[channel, tag] = (queue, message)
        deliver = BasicDeliver(
            consumer_tag=self.tags[queue], delivery_tag=tag, redelivered=message.redelivered, routing_key=queue
        )
        self.say(deliver.frame(channel) + rechannel(message.content, channel))

    def method(self, channel: int, class_id: int, method_id: int, payload: bytes) -> None:
        """Anything else: note it, and answer with its -ok."""
        method = decode(class_id, method_id, payload)
        name = str(getattr(method, "queue", ""))
        if method.name == "connection.start_ok":
            self.say(ConnectionTune(channel_max=2047, frame_max=FRAME_BYTES_MAX, heartbeat=60).frame(0))
        elif isinstance(method, QueueDeclare):
            if self.broker.allowed is not None and name not in self.broker.allowed:
                refusal = ChannelClose(reply_code=403, reply_text=f"ACCESS_REFUSED - queue {name!r}")
                self.say(refusal.frame(channel))
            else:
                self.broker.declared[name] = self.node
                ready = len(self.broker.queues.get(name, ()))
                self.say(QueueDeclareOk(queue=name, message_count=ready, consumer_count=0).frame(channel))
        elif isinstance(method, QueuePurge):
            purged = self.broker.queues.pop(name, [])
            self.say(QueuePurgeOk(message_count=len(purged)).frame(channel))
        elif isinstance(method, BasicConsume):
            self.tags[name], self.channels[name] = method.consumer_tag, channel
            if method.no_ack:
                self.automatic.add(name)
            if not method.nowait:
                self.say(METHODS[60, 21](consumer_tag=method.consumer_tag).frame(channel))
            self.broker.consumers.setdefault(name, deque()).append(self)
            self.broker.pump(name)
        elif (class_id, method_id + 1) in METHODS:
            if isinstance(method, BasicQos):
                self.prefetch = method.prefetch_count
            elif method.name == "confirm.select":
                self.confirming[channel] = 0
            elif method.name == "queue.delete":
                self.broker.deleted.append(name)
                self.broker.queues.pop(name, None)
            self.say(METHODS[class_id, method_id + 1]().frame(channel))
