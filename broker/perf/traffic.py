"""Numbered messages into a queue, out of it, or both at once; and how fast that went.

Decides how a scenario moves its messages and when it gives up waiting for them. It must not know what a scenario wants
to show, nor what a broker takes for it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import trio

from broker.perf.blocks import CHANNEL
from broker.perf.client import Client, Target
from broker.perf.flow import Consumer, Pace, Publisher
from broker.perf.meter import Meter, Side
from broker.perf.numbered import NumberedBlock, Sequence
from broker.wire.methods import QueueDeclare, QueueDeclareOk, QueueDelete, QueuePurge

IDLE_S = 30.0
"""No delivery for so long: what is missing will not come."""


@dataclass(frozen=True)
class Freight:
    """What is moved, and how: see the options of a scenario."""

    target: Target
    queue: str
    size: int
    persistent: bool
    window: int
    ack_every: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def durable(self) -> bool:
        """Whether the queue is: with persistent messages, as users have it."""
        return self.persistent


@dataclass(frozen=True)
class Taken:
    """What came out: how many, a second, and how many of them out of order."""

    count: int
    rate: int
    disorders: int


class Slices(Side):
    """Confirms, with the moments at which each tenth of them had come."""

    def __init__(self, total: int, slices: int = 10) -> None:
        super().__init__()
        self._ends = [total * number // slices for number in range(1, slices + 1)]
        self._reached: list[tuple[int, int]] = []

    def add(self, count: int, now_ns: int) -> None:
        """`count` more were confirmed."""
        super().add(count, now_ns)
        while len(self._reached) < len(self._ends) and self.count >= self._ends[len(self._reached)]:
            self._reached.append((self.count, now_ns))

    def rates(self, began_ns: int) -> list[int]:
        """Messages a second in each tenth that came to its end."""
        points = [(0, began_ns), *self._reached]
        return [
            round((upto - count) * 1e9 / (until - since))
            for (count, since), (upto, until) in pairwise(points)
            if until > since
        ]


async def declare(client: Client, freight: Freight, *, afresh: bool = True) -> None:
    """The queue, and nothing in it."""
    if afresh:
        await client.call(QueueDelete(queue=freight.queue), CHANNEL)
    queue = QueueDeclare(queue=freight.queue, durable=freight.durable, arguments=freight.arguments)
    await client.call(queue, CHANNEL)


async def depth(client: Client, queue: str) -> int:
    """Messages ready in a queue. Raises Closed if there is no such queue."""
    answer = await client.call(QueueDeclare(queue=queue, passive=True), CHANNEL)
    assert isinstance(answer, QueueDeclareOk)
    return answer.message_count


async def purge(client: Client, queue: str) -> int:
    """Empty a queue; how many messages were ready in it."""
    answer: Any = await client.call(QueuePurge(queue=queue), CHANNEL)
    return int(answer.message_count)


async def put(freight: Freight, count: int, *, first: int = 1) -> Meter:
    """Publish so many with confirms; what was confirmed, in `Slices`."""
    meter = Meter()
    meter.confirmed = Slices(count)
    async with await Client.open(freight.target) as client:
        await (await _publisher(client, freight, count, first, meter)).run()
    return meter


async def take(freight: Freight, count: int, *, first: int = 1) -> Taken:
    """Consume until so many have come, or no more do; the rate counts from basic.consume on."""
    meter, sequence = Meter(), Sequence(first)
    async with await Client.open(freight.target) as client:
        began_ns = time.monotonic_ns()
        await _consume(client, freight, sequence, meter, lambda: meter.delivered.count >= count)
    return Taken(meter.delivered.count, meter.delivered.rate(began_ns) or 0, sequence.disorders)


async def carry(freight: Freight, count: int, *, first: int = 1) -> Taken:
    """Publish and consume so many at once; the rate counts from the first byte to the last delivery."""
    meter, sequence = Meter(), Sequence(first)
    async with await Client.open(freight.target) as source, await Client.open(freight.target) as sink:
        publisher = await _publisher(source, freight, count, first, meter)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publisher.run)
            await _consume(sink, freight, sequence, meter, lambda: meter.delivered.count >= count)
    return Taken(meter.delivered.count, meter.delivered.rate(meter.published.first_ns) or 0, sequence.disorders)


async def _publisher(client: Client, freight: Freight, count: int, first: int, meter: Meter) -> Publisher:
    block = NumberedBlock(freight.queue, freight.size, client.frame_max, persistent=freight.persistent, first=first)
    publisher = Publisher(client, block, Pace(window=freight.window, count=count), meter)
    await publisher.prepare()
    return publisher


async def _consume(
    client: Client, freight: Freight, sequence: Sequence, meter: Meter, done: Callable[[], bool]
) -> None:
    consumer = Consumer(client, [freight.queue], meter, sequence, ack_every=freight.ack_every)
    await consumer.prepare(4 * freight.ack_every)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer.run)
        seen, idle_since = 0, trio.current_time()
        while not done() and trio.current_time() - idle_since < IDLE_S:
            await trio.sleep(0.002)
            if meter.delivered.count != seen:
                seen, idle_since = meter.delivered.count, trio.current_time()
        nursery.cancel_scope.cancel()
    await consumer.finish()
