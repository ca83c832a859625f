"""Publishers and consumers that go on through every fault, and the ledger of what they saw.

A body is `queue/producer/session:number`: numbers count up within one connection of one producer, which is what AMQP
promises an order for. Nobody publishes a message twice, so every repeat is the broker's.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from random import Random

import trio

from broker.wire.content import body_of
from broker.wire.events import Delivered
from tests.simulation.client import Client, Lost, Refused, connect
from tests.simulation.world import USER, World

PAUSE_S = 0.2
"""Between two attempts to connect."""


@dataclass(slots=True)
class Delivery:
    """One delivery as a consumer saw it."""

    body: bytes
    consumer: str
    redelivered: bool


class Ledger:
    """What clients know."""

    def __init__(self) -> None:
        self.published: set[bytes] = set()
        self.confirmed: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.deliveries: list[Delivery] = []
        self.seen: Counter[bytes] = Counter()

    def answered(self, body: bytes, acked: bool) -> None:
        """A confirm came."""
        (self.confirmed if acked else self.refused).add(body)

    def delivered(self, body: bytes, consumer: str, redelivered: bool) -> None:
        """A message came."""
        self.deliveries.append(Delivery(body, consumer, redelivered))
        self.seen[body] += 1


class Workload:
    """All clients of a run."""

    def __init__(self, world: World, queues: list[str], *, persistent: bool = True) -> None:
        self.world = world
        self.queues = queues
        self.ledger = Ledger()
        self.publishing = True
        self.active = 0
        """Publishers that have not finished."""
        self.persistent = persistent
        self.held: defaultdict[str, int] = defaultdict(int)
        """Deliveries that a consumer has not acknowledged."""

    def client_host(self, name: str) -> "Home":
        """Where a client lives."""
        return Home(self.world, name)

    def start(self, publishers: int, consumers: int) -> None:
        """Let so many of each work on every queue."""
        for queue in self.queues:
            for number in range(publishers):
                self.active += 1
                self.world.nursery.start_soon(self._publish, f"{queue}/p{number}", queue)
            for number in range(consumers):
                self.world.nursery.start_soon(self._consume, f"{queue}/c{number}", queue)

    async def declare(self) -> None:
        """Declare the queues, each through another node."""
        names = list(self.world.hosts)
        for number, queue in enumerate(self.queues):
            client = await self.client_host(f"declarer-{queue}").connect(names[number % len(names)])
            await client.declare(queue)
            client.close()

    # ------------------------------------------------------------------ publishers

    async def _publish(self, name: str, queue: str) -> None:
        chance = Random(f"{name} {self.world.seed}")
        home = self.client_host(name)
        session = 0
        while self.publishing:
            session += 1
            try:
                client = await home.connect(chance.choice(list(self.world.hosts)))
                await client.confirm_select()
                await self._publish_on(client, f"{name}/{session}", queue, chance)
            except (Lost, Refused) as reason:
                self.world.note(f"{name} loses {session}: {reason}")
                await trio.sleep(PAUSE_S * chance.random())
        self.active -= 1

    async def _publish_on(self, client: Client, producer: str, queue: str, chance: Random) -> None:
        world, ledger = self.world, self.ledger

        def confirmed(body: bytes, acked: bool) -> None:
            ledger.answered(body, acked)
            world.note(f"{'confirmed' if acked else 'refused'} {body.decode()}")

        client.on_confirm = confirmed
        number = 0
        leaves_after = chance.randrange(10, 100)
        while self.publishing and number < leaves_after:
            for _ in range(chance.randint(1, 8)):
                number += 1
                body = b"%s:%d" % (producer.encode(), number)
                ledger.published.add(body)
                client.publish(queue, body, persistent=self.persistent)
            await client.flush()
            await client.wait_for(lambda: len(client.unconfirmed) < 30)
            await trio.sleep(chance.choice([0.0, 0.1, 0.3, 0.8]))
        await client.wait_for(lambda: not client.unconfirmed)
        client.close()

    # ------------------------------------------------------------------ consumers

    async def _consume(self, name: str, queue: str) -> None:
        chance = Random(f"{name} {self.world.seed}")
        home = self.client_host(name)
        session = 0
        while True:
            session += 1
            try:
                client = await home.connect(chance.choice(list(self.world.hosts)))
                await self._consume_on(client, f"{name}/{session}", queue, chance)
            except (Lost, Refused) as reason:
                self.world.note(f"{name} loses {session}: {reason}")
                await trio.sleep(PAUSE_S * chance.random())
            finally:
                self.held.pop(f"{name}/{session}", None)

    async def _consume_on(self, client: Client, consumer: str, queue: str, chance: Random) -> None:
        world, ledger = self.world, self.ledger
        last_tag = 0

        def delivered(event: Delivered) -> None:
            nonlocal last_tag
            for content in event.contents:
                body = body_of(content)
                ledger.delivered(body, consumer, event.redelivered)
                world.note(f"{consumer} gets {body.decode()}{' again' if event.redelivered else ''}")
            last_tag = event.first_tag + len(event.contents) - 1
            self.held[consumer] += len(event.contents)

        client.on_deliver = delivered
        acknowledged = 0

        def something_to_do() -> bool:
            return last_tag > acknowledged or bool(client.cancelled)

        await client.consume(queue, chance.choice([1, 5, 20]))
        for _ in range(chance.randrange(10, 100)):
            await client.wait_for(something_to_do, float("inf"))
            if client.cancelled:
                break
            if self.publishing:  # afterwards the queues are drained
                await trio.sleep(chance.choice([0.0, 0.1, 0.5]))
            tag = chance.randint(acknowledged + 1, last_tag)
            self.held[consumer] -= tag - acknowledged
            client.acknowledge(tag, multiple=True)
            acknowledged = tag
            await client.flush()
        client.close()


class Home:
    """A client's machine."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._network = world.network.host(name)

    async def connect(self, node: str, **options: dict[str, bool]) -> Client:
        """Log in at a node. Raises Lost and Refused."""
        return await connect(self._world.nursery, self._network, f"{node}:5672", USER, **options)
