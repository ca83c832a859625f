"""The publishers and consumers of a drill: one of each at home on every node, moving on when their node dies.

Decides what they do with a connection and where they go without one. It must not know which fault is coming nor what is
made of it: they tell the judge everything. Times are the trio clock's.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import trio

from broker.perf.client import Client, Closed, Target
from broker.perf.confirms import Confirms
from broker.perf.judge import Judge, Stream
from broker.wire.basic_methods import (
    BasicAck,
    BasicCancel,
    BasicConsume,
    BasicNack,
    BasicPublish,
    BasicQos,
    ConfirmSelect,
)
from broker.wire.content import make_content
from broker.wire.events import Acks, Delivered
from broker.wire.methods import ChannelOpen
from broker.wire.properties import Properties
from broker.world.network import Network

PUBLISH_INTERVAL_S = 0.005
UNANSWERED_MAX = 2000
PREFETCH = 500
OPEN_TIMEOUT_S = 1.5
RETRY_S = 0.02
LAST_ANSWERS_S = 5.0
FIRST_CHANNEL = 2

BODY = struct.Struct(">QQ")
_PERSISTENT = Properties(delivery_mode=2)


class Lane:
    """One channel of a publisher: one queue, one stream of numbers."""

    def __init__(self, channel: int, stream: Stream) -> None:
        self.channel = channel
        self.stream = stream
        self.confirms = Confirms()
        frames = BasicPublish(routing_key=stream.queue).frame(channel)
        self._head = (frames + make_content(channel, _PERSISTENT, bytes(BODY.size), 0))[: -BODY.size - 1]

    def next(self, now: float) -> bytes:
        """The next message's frames; nothing while too many wait for their confirm."""
        if len(self.stream.published_at) - self.confirms.answered >= UNANSWERED_MAX:
            return b""
        number = self.stream.publish(now)
        return self._head + BODY.pack(self.stream.identity, number) + b"\xce"

    def answer(self, first: int, last: int, now: float, *, multiple: bool, refused: bool) -> None:
        """The broker confirmed or refused."""
        for start, stop in self.confirms.answer(first, last, multiple=multiple):
            if refused:
                self.stream.refuse(start, stop)
            else:
                self.stream.confirm(start, stop, now)

    @property
    def owed(self) -> bool:
        """Whether an answer is outstanding."""
        return len(self.stream.published_at) > self.confirms.answered


class Place(NamedTuple):
    """Where a connection leads."""

    node: str
    target: Target


class Crew:
    """Everybody who publishes and consumes in a drill. Queues may be added, or retired: then only consumed."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        judge: Judge,
        network: Network | None = None,
        *,
        interval_s: float = PUBLISH_INTERVAL_S,
    ) -> None:
        self.queues: list[str] = []
        self.retired: list[str] = []
        self.lost_at: dict[str, float] = {}
        self._places = [Place(node, target) for node, target in targets.items()]
        self._judge = judge
        self._network = network
        self.interval_s = interval_s
        self._stopping = False
        self._calls_home = 0
        self._subscriptions = 0
        self._publishers = len(self._places)
        self._at_home: set[tuple[str, str]] = set()

    async def work(self) -> None:
        """Publish and consume until `stop` and the last answers, and then until cancelled."""
        async with trio.open_nursery() as nursery:
            for index in range(len(self._places)):
                round_trip = self._places[index:] + self._places[:index]
                nursery.start_soon(self._stay_connected, "publisher", round_trip)
                nursery.start_soon(self._stay_connected, "consumer", round_trip)

    def stop(self) -> None:
        """No more publishes; consumers go on."""
        self._stopping = True

    def call_home(self) -> None:
        """Whoever is not on its own node goes back to it."""
        self._calls_home += 1

    @property
    def is_complete(self) -> bool:
        """Whether everybody works on the node where it is at home."""
        return len(self._at_home) == 2 * len(self._places)

    @property
    def is_publishing(self) -> bool:
        """Whether a publisher is still at work, or waits for its last answers."""
        return self._publishers > 0

    async def _stay_connected(self, role: str, places: list[Place]) -> None:
        """A connection to the first node that has one; the next when it ends."""
        home, index, heard = places[0].node, 0, self._calls_home
        while not (self._stopping and role == "publisher"):
            place = places[index % len(places)]
            with suppress(Closed):
                client = await Client.open(place.target, self._network, timeout_s=OPEN_TIMEOUT_S)
                member = (Publisher if role == "publisher" else Consumer)(self, client, place.node, self._judge)
                if place.node == home:
                    self._at_home.add((role, home))
                try:
                    await self._employ(member, None if place.node == home else heard)
                except* Closed:
                    self.lost_at[place.node] = trio.current_time()
                finally:
                    self._at_home.discard((role, home))
                    client.close_now()
            index += 1
            if heard != self._calls_home:
                index, heard = 0, self._calls_home
            await trio.sleep(RETRY_S)
        self._publishers -= 1

    async def _employ(self, member: "Publisher | Consumer", heard: int | None) -> None:
        """Let it work until it is called home (if it can be), or everything ends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.listen)
            nursery.start_soon(member.work)
            while not (self._stopping and isinstance(member, Publisher)):
                if heard is not None and heard != self._calls_home:
                    break
                await trio.sleep(0.02)
            await member.leave()
            nursery.cancel_scope.cancel()

    def new_subscription(self) -> int:
        """A number for one basic.consume."""
        self._subscriptions += 1
        return self._subscriptions


class Publisher:
    """One connection with a channel for each queue, a message on each every few milliseconds."""

    def __init__(self, crew: Crew, client: Client, node: str, judge: Judge) -> None:
        self._crew = crew
        self._client = client
        self._node = node
        self._judge = judge
        self._lanes: dict[str, Lane] = {}
        self._channels = FIRST_CHANNEL
        self._leaving = False
        self._heard = trio.Event()

    async def work(self) -> None:
        """Publish at a steady pace. Raises Closed."""
        due = trio.current_time()
        while not self._leaving:
            for queue in self._crew.queues:
                if queue not in self._lanes:
                    await self._open_lane(queue)
            now = trio.current_time()
            data = b"".join(self._lanes[queue].next(now) for queue in self._crew.queues if queue in self._lanes)
            if data:
                await self._client.send(data)
            due = max(due + self._crew.interval_s, now)
            await trio.sleep_until(due)

    async def leave(self) -> None:
        """Publish no more, and wait for the answers."""
        self._leaving = True
        with trio.move_on_after(LAST_ANSWERS_S):
            while any(lane.owed for lane in self._lanes.values()):
                self._heard = trio.Event()
                await self._heard.wait()

    async def listen(self) -> None:
        """Tell the judge of each answer. Raises Closed."""
        while True:
            events = await self._client.receive()
            now = trio.current_time()
            self._heard.set()
            lanes = {lane.channel: lane for lane in self._lanes.values()}
            for channel, event in events:
                if isinstance(event, Acks):
                    first, last = event.first_tag, event.last_tag
                    lanes[channel].answer(first, last, now, multiple=event.multiple, refused=False)
                elif isinstance(event, BasicNack):
                    tag = event.delivery_tag
                    lanes[channel].answer(tag, tag, now, multiple=event.multiple, refused=True)

    async def _open_lane(self, queue: str) -> None:
        channel, self._channels = self._channels, self._channels + 1
        await self._client.call(ChannelOpen(), channel)
        await self._client.call(ConfirmSelect(), channel)
        self._lanes[queue] = Lane(channel, self._judge.open_stream(queue, self._node))


class Consumer:
    """One connection with a channel for each queue; acknowledges whatever it gets."""

    def __init__(self, crew: Crew, client: Client, node: str, judge: Judge) -> None:
        self._crew = crew
        self._client = client
        self._judge = judge
        self._channels = FIRST_CHANNEL
        self._queues: dict[str, int] = {}
        # Channel -> the number of its subscription.
        self._subscriptions: dict[int, int] = {}

    async def work(self) -> None:
        """Consume from every queue, from new ones, and again where the broker cancelled. Raises Closed."""
        while True:
            for queue in self._crew.queues + self._crew.retired:
                if queue not in self._queues:
                    await self._consume(queue)
            await trio.sleep(0.02)

    async def leave(self) -> None:
        """Nothing to wait for: what is not acknowledged is delivered again."""
        await trio.lowlevel.checkpoint()

    async def listen(self) -> None:
        """Tell the judge of each delivery, acknowledge it. Raises Closed."""
        while True:
            answers: dict[int, int] = {}
            for channel, event in await self._client.receive():
                if isinstance(event, Delivered):
                    self._judge_run(event)
                    answers[channel] = event.first_tag + len(event.contents) - 1
                elif isinstance(event, BasicCancel):
                    self._cancelled(event.consumer_tag)
            if answers:
                acks = [BasicAck(delivery_tag=tag, multiple=True).frame(number) for number, tag in answers.items()]
                await self._client.send(b"".join(acks))

    def _judge_run(self, run: Delivered) -> None:
        subscription, deliver = self._subscriptions[run.channel], self._judge.deliver
        for content in run.contents:
            identity, number = BODY.unpack(content[-BODY.size - 1 : -1])
            deliver(subscription, identity, number, redelivered=run.redelivered)

    def _cancelled(self, queue: str) -> None:
        # The consumer tag is the queue's name; `work` consumes again, on a new channel.
        self._queues.pop(queue, None)

    async def _consume(self, queue: str) -> None:
        channel, self._channels = self._channels, self._channels + 1
        self._queues[queue] = channel
        self._subscriptions[channel] = self._crew.new_subscription()
        await self._client.call(ChannelOpen(), channel)
        await self._client.call(BasicQos(prefetch_count=PREFETCH), channel)
        await self._client.call(BasicConsume(queue=queue, consumer_tag=queue), channel)
