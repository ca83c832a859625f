"""Publishers and consumers that go on through every fault, and the ledger of what they saw.

A body is `road/producer/session:number`, filled up with spaces on some roads: numbers count up within one connection of
one producer, which is what AMQP promises an order for. Nobody publishes a message twice, so every repeat is the
broker's.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count, cycle
from random import Random
from typing import Any

import trio

from broker.wire.basic_methods import BasicNack
from broker.wire.content import body_of
from broker.wire.delay import delay_ms
from broker.wire.events import Delivered
from broker.wire.properties import REPLY_TO, Properties, headers_of
from tests.simulation.client import Client, Lost, Refused, connect
from tests.simulation.roads import ACKNOWLEDGE, LEAVE, ONLY_ACKNOWLEDGE, REQUEUE, Road
from tests.simulation.world import USER, World

PAUSE_S = 0.2
"""Between two attempts to connect."""
ANSWER_S = 1.0
"""So long an asker waits before it asks for something else."""


@dataclass(slots=True)
class Delivery:
    """One delivery as a consumer saw it."""

    body: bytes
    queue: str
    consumer: str
    redelivered: bool
    headers: dict[str, Any]
    time: float

    @property
    def direct(self) -> bool:
        """Whether it came from the queue that it was published to."""
        return self.body.startswith(self.queue.encode() + b"/")


class Ledger:
    """What clients know."""

    def __init__(self) -> None:
        self.published: set[bytes] = set()
        self.confirmed: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.acknowledged: set[bytes] = set()
        """Consumers have said that they need it no more."""
        self.dues: dict[bytes, float] = {}
        """When a message with a delay may come at the earliest."""
        self.deliveries: list[Delivery] = []
        self.seen: Counter[bytes] = Counter()
        self.strays: list[tuple[bytes, str]] = []
        """Answers that came to somebody who had not asked."""
        self.surfeits: list[tuple[str, int, int]] = []
        """Consumers that held more than the limit of their channel: how many, and the limit."""

    def answered(self, body: bytes, acked: bool) -> None:
        """A confirm came."""
        (self.confirmed if acked else self.refused).add(body)

    def delivered(self, delivery: Delivery) -> None:
        """A message came."""
        self.deliveries.append(delivery)
        self.seen[delivery.body] += 1


class Workload:
    """All clients of a run."""

    def __init__(self, world: World, roads: Iterable[Road], *, persistent: bool = True) -> None:
        self.world = world
        self.roads = list(roads)
        self.ledger = Ledger()
        self.publishing = True
        self.active = 0
        """Publishers that have not finished."""
        self.persistent = persistent
        self._satisfied: set[str] = set()
        """Those who had an answer to what they asked last."""
        self._going_on = trio.Event()
        self._going_on.set()

    def hold_still(self) -> None:
        """Let consumers answer nothing, until they `go_on`."""
        self._going_on = trio.Event()

    def go_on(self) -> None:
        """Let consumers answer again; they acknowledge from now on what they would have given back."""
        self._going_on.set()

    def is_read(self, queue: str) -> bool:
        """Whether it has consumers."""
        return any(queue in road.consumers for road in self.roads)

    def client_host(self, name: str) -> "Home":
        """Where a client lives."""
        return Home(self.world, name)

    def start(self, publishers: int, consumers: int) -> None:
        """Let so many of each work on every road and queue."""
        for road in self.roads:
            for number in range(publishers):
                self.active += 1
                self.world.nursery.start_soon(self._publish, f"{road.name}/p{number}", road)
            for queue in road.consumers:
                for number in range(consumers):
                    self.world.nursery.start_soon(self._consume, f"{queue}/c{number}", queue, road)

    async def declare(self) -> None:
        """Declare the queues and exchanges, each through another node."""
        nodes = cycle(self.world.hosts)
        for road in self.roads:
            for queue, arguments in road.queues.items():
                client = await self.client_host(f"declarer-{queue}").connect(next(nodes))
                await client.declare(queue, arguments=dict(arguments))
                client.close()
            if road.exchange:
                client = await self.client_host(f"declarer-{road.exchange}").connect(next(nodes))
                await client.delay(road.exchange, road.name, road.queues)
                client.close()

    # ------------------------------------------------------------------ publishers

    async def _publish(self, name: str, road: Road) -> None:
        chance = Random(f"{name} {self.world.seed}")
        home = self.client_host(name)
        session = 0
        while self.publishing or (road.asks and name not in self._satisfied):
            session += 1
            try:
                client = await home.connect(chance.choice(list(self.world.hosts)))
                if road.asks:
                    await self._ask_on(client, f"{name}/{session}", road, chance)
                    self._satisfied.add(name)
                else:
                    await client.confirm_select()
                    await self._publish_on(client, f"{name}/{session}", road, chance)
            except (Lost, Refused) as reason:
                self.world.note(f"{name} loses {session}: {reason}")
                await trio.sleep(PAUSE_S * chance.random())
        self.active -= 1

    async def _publish_on(self, client: Client, producer: str, road: Road, chance: Random) -> None:
        world, ledger = self.world, self.ledger

        def confirmed(body: bytes, acked: bool) -> None:
            ledger.answered(body, acked)
            world.note(f"{'confirmed' if acked else 'refused'} {text_of(body)}")

        client.on_confirm = confirmed
        number = 0
        leaves_after = chance.randrange(10, 100)
        while self.publishing and number < leaves_after:
            for _ in range(chance.randint(1, 8)):
                number += 1
                body = b"%s:%d" % (producer.encode(), number)
                if road.sizes != (0,):
                    body = body.ljust(chance.choice(road.sizes))
                ledger.published.add(body)
                properties = road.properties(chance, persistent=self.persistent)
                if road.delays_ms:
                    ledger.dues[body] = trio.current_time() + delay_ms(properties.headers or {}) / 1000
                client.publish_to(road.exchange, road.name, body, properties)
            await client.flush()
            await client.wait_for(lambda: len(client.unconfirmed) < 30)
            await trio.sleep(chance.choice([0.0, 0.1, 0.3, 0.8]))
        await client.wait_for(lambda: not client.unconfirmed)
        client.close()

    async def _ask_on(self, client: Client, asker: str, road: Road, chance: Random) -> None:
        """Ask until publishing has ended and an answer came after that; an answer may be lost, but it never strays."""
        ledger, heard = self.ledger, set[bytes]()

        def delivered(event: Delivered) -> None:
            for body in map(body_of, event.contents):
                heard.add(body)
                self.world.note(f"{asker} hears {text_of(body)}")
                if not body.startswith(asker.encode() + b":"):
                    ledger.strays.append((body, asker))

        client.on_deliver = delivered
        await client.consume(REPLY_TO, 0, no_ack=True)
        for number in count(1):
            is_last = not self.publishing
            body = b"%s:%d" % (asker.encode(), number)
            ledger.published.add(body)
            client.publish_to("", road.name, body, road.properties(chance, persistent=self.persistent))
            await client.flush()
            with trio.move_on_after(ANSWER_S):
                await client.wait_for(lambda body=body: body in heard, float("inf"))
            if is_last and body in heard:
                break
            await trio.sleep(chance.choice([0.0, 0.1, 0.3]))
        client.close()

    # ------------------------------------------------------------------ consumers

    async def _consume(self, name: str, queue: str, road: Road) -> None:
        chance = Random(f"{name} {self.world.seed}")
        home = self.client_host(name)
        session = 0
        while True:
            session += 1
            try:
                client = await home.connect(chance.choice(list(self.world.hosts)))
                await self._consume_on(client, f"{name}/{session}", queue, road, chance)
            except (Lost, Refused) as reason:
                self.world.note(f"{name} loses {session}: {reason}")
                await trio.sleep(PAUSE_S * chance.random())

    async def _consume_on(self, client: Client, consumer: str, queue: str, road: Road, chance: Random) -> None:
        world, ledger = self.world, self.ledger
        got: list[bytes] = []
        askers: list[str | None] = []
        prefetch = chance.choice([1, 5, 20])

        def delivered(event: Delivered) -> None:
            for content in event.contents:
                body = body_of(content)
                got.append(body)
                askers.append(Properties.of(content).reply_to if road.asks else None)
                if road.shares_prefetch and len(got) - answered > prefetch:
                    ledger.surfeits.append((consumer, len(got) - answered, prefetch))
                time, headers = trio.current_time(), headers_of(content)
                ledger.delivered(Delivery(body, queue, consumer, event.redelivered, headers, time))
                world.note(f"{consumer} gets {text_of(body)}{' again' if event.redelivered else ''}")

        answered = 0
        client.on_deliver = delivered

        def something_to_do() -> bool:
            return len(got) > answered or bool(client.cancelled)

        answers = road.consumers[queue]
        await client.consume(queue, prefetch, shared=road.shares_prefetch)
        if road.shares_prefetch:
            await client.consume(queue, prefetch, shared=True, tag="d")
        for _ in range(chance.randrange(10, 100)):
            await client.wait_for(something_to_do, float("inf"))
            if client.cancelled:
                break
            if self.publishing:  # afterwards the queues are drained
                await trio.sleep(chance.choice([0.0, 0.1, 0.5]))
            await self._going_on.wait()
            answer = ACKNOWLEDGE
            if answers != ONLY_ACKNOWLEDGE and self.publishing:
                answer = chance.choice(answers)
            if answer == LEAVE:
                break
            tag = chance.randint(answered + 1, len(got))
            if answer == ACKNOWLEDGE:
                ledger.acknowledged.update(got[answered:tag])
                for body, asker in zip(got[answered:tag], askers[answered:tag], strict=True):
                    if asker is not None:
                        client.publish_to("", asker, body, Properties())
                client.acknowledge(tag, multiple=True)
            else:
                client.say(BasicNack(tag, multiple=True, requeue=answer == REQUEUE))
            answered = tag
            await client.flush()
        client.close()


def text_of(body: bytes) -> str:
    """What identifies a message, for people."""
    return body.decode().rstrip()


class Home:
    """A client's machine."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._network = world.network.host(name)

    async def connect(self, node: str, **options: dict[str, bool]) -> Client:
        """Log in at a node. Raises Lost and Refused."""
        return await connect(self._world.nursery, self._network, f"{node}:5672", USER, **options)
