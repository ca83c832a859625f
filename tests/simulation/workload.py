"""All clients of a run: publishers, consumers and visitors that go on through every fault.

A body is `road/producer/session:number`, filled up with spaces on some roads: numbers count up within one connection of
one producer, which is what AMQP promises an order for.
"""

from collections.abc import Awaitable, Callable, Iterable
from itertools import cycle
from random import Random

import trio

from tests.simulation.client import Client, Lost, Refused
from tests.simulation.consumers import Consumer
from tests.simulation.homes import Home
from tests.simulation.ledger import Ledger
from tests.simulation.publishers import Publisher
from tests.simulation.roads import Road
from tests.simulation.visitors import Visitor
from tests.simulation.world import World

PAUSE_S = 0.2
"""Between two attempts to connect."""
On = Callable[[Client, str, Random], Awaitable[None]]
"""What is done on a connection, by whom and with which dice."""


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

    def start(self, publishers: int, consumers: int, visitors: int) -> None:
        """Let so many work on every road and queue, and so many besides."""
        for number in range(visitors):
            self.active += 1
            self.world.nursery.start_soon(self._visit, f"visitor{number}")
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

    # ------------------------------------------------------------------ what they do

    async def _publish(self, name: str, road: Road) -> None:
        def is_done() -> bool:
            return not self.publishing and (not road.asks or name in self._satisfied)

        async def publish(client: Client, session: str, chance: Random) -> None:
            publisher = Publisher(client, session, road, self.world, self.ledger, chance, persistent=self.persistent)
            if road.asks:
                await publisher.ask(self._is_publishing)
                self._satisfied.add(name)
            elif road.transacts:
                await publisher.transact(self._is_publishing)
            else:
                await publisher.publish(self._is_publishing)

        await self._connect_until(is_done, name, publish)
        self.active -= 1

    async def _consume(self, name: str, queue: str, road: Road) -> None:
        async def consume(client: Client, session: str, chance: Random) -> None:
            consumer = Consumer(client, session, queue, road, self.world, self.ledger, chance)
            work = consumer.fetch if road.fetches and self.publishing else consumer.consume
            await work(self._is_publishing, lambda: self._going_on)

        await self._connect_until(lambda: False, name, consume)

    async def _visit(self, name: str) -> None:
        visitor = Visitor(self.world, self.client_host(name), name)
        while self.publishing or visitor.left:
            try:
                await visitor.visit(makes_more=self.publishing)
            except (Lost, Refused) as reason:
                self.world.note(f"{name} gives up: {reason}")
            await trio.sleep(PAUSE_S * visitor.chance.random())
        self.active -= 1

    async def _connect_until(self, is_done: Callable[[], bool], name: str, work: On) -> None:
        chance = Random(f"{name} {self.world.seed}")
        home = self.client_host(name)
        session = 0
        while not is_done():
            session += 1
            try:
                client = await home.connect(chance.choice(list(self.world.hosts)))
                await work(client, f"{name}/{session}", chance)
            except (Lost, Refused) as reason:
                self.world.note(f"{name} loses {session}: {reason}")
                await trio.sleep(PAUSE_S * chance.random())

    def _is_publishing(self) -> bool:
        return self.publishing
