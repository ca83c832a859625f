"""What a consumer does on one connection: it is given messages, or fetches them, and answers as its road has it.

It writes to the ledger what it saw and what it needs no more. It must not know how connections come about.
"""

from collections.abc import Callable
from random import Random

import trio

from broker.wire.basic_methods import BasicNack, BasicRecover, BasicRecoverOk
from broker.wire.content import body_of
from broker.wire.events import Delivered
from broker.wire.properties import Properties, headers_of
from tests.simulation.client import Client
from tests.simulation.ledger import Delivery, Ledger, Session, text_of
from tests.simulation.roads import ACKNOWLEDGE, LEAVE, ONLY_ACKNOWLEDGE, RECOVER, REQUEUE, Road
from tests.simulation.world import World

FETCH_PAUSE_S = 0.2
"""Before an empty queue is asked again."""


class Consumer:
    """One session of one consumer; `name` is new with each."""

    def __init__(
        self, client: Client, name: str, queue: str, road: Road, world: World, ledger: Ledger, chance: Random
    ) -> None:
        self._client = client
        self._name = name
        self._queue = queue
        self._road = road
        self._world = world
        self._ledger = ledger
        self._chance = chance
        self._got: list[bytes] = []
        self._askers: list[str | None] = []
        self._answered = 0
        self._prefetch = chance.choice([1, 5, 20])

    async def consume(self, publishing: Callable[[], bool], going_on: Callable[[], trio.Event]) -> None:
        """Be given messages, for a while. Raises Lost and Refused."""
        client, road, chance = self._client, self._road, self._chance
        session = Session(self._name, self._queue, trio.current_time(), road.cancels)
        self._ledger.sessions.append(session)
        client.on_deliver = self._delivered
        client.on_recovered = self._recovered
        try:
            await client.consume(self._queue, self._prefetch, shared=road.shares_prefetch, **road.arguments)
            if road.shares_prefetch:
                await client.consume(self._queue, self._prefetch, shared=True, tag="d")
            session.began = trio.current_time()
            for _ in range(chance.randrange(10, 100)):
                await client.wait_for(lambda: len(self._got) > self._answered or client.cancelled, float("inf"))
                if client.cancelled:
                    break
                if publishing():  # afterwards the queues are drained
                    await trio.sleep(chance.choice([0.0, 0.1, 0.5]))
                await going_on().wait()
                if not await self._answer(self._draw(publishing)):
                    break
            client.close()
        finally:
            session.ended = trio.current_time()

    async def fetch(self, publishing: Callable[[], bool], going_on: Callable[[], trio.Event]) -> None:
        """Ask for one message after the other, for a while; a queue is not drained so. Raises Lost and Refused."""
        client, chance = self._client, self._chance
        for _ in range(chance.randrange(10, 100)):
            await going_on().wait()
            if not publishing():
                break
            fetched = await client.get(self._queue, no_ack=False)
            if fetched is None:
                await trio.sleep(FETCH_PAUSE_S)
                continue
            self._take(fetched.content, redelivered=bool(fetched.payload[8]))
            if not await self._answer(self._draw(publishing)):
                break
        client.close()

    def _draw(self, publishing: Callable[[], bool]) -> str:
        answers = self._road.consumers[self._queue]
        return self._chance.choice(answers) if answers != ONLY_ACKNOWLEDGE and publishing() else ACKNOWLEDGE

    def _delivered(self, event: Delivered) -> None:
        for content in event.contents:
            self._take(content, redelivered=event.redelivered)

    def _take(self, content: bytes, *, redelivered: bool) -> None:
        body, ledger, road = body_of(content), self._ledger, self._road
        self._got.append(body)
        self._askers.append(Properties.of(content).reply_to if road.asks else None)
        held = len(self._got) - self._answered
        if road.shares_prefetch and held > self._prefetch:
            ledger.surfeits.append((self._name, held, self._prefetch))
        time, headers = trio.current_time(), headers_of(content)
        ledger.delivered(Delivery(body, self._queue, self._name, redelivered, headers, time))
        self._world.note(f"{self._name} gets {text_of(body)}{' again' if redelivered else ''}")

    def _recovered(self) -> None:
        """What was there so far comes again, under other tags."""
        self._answered = len(self._got)

    async def _answer(self, answer: str) -> bool:
        """False if it leaves, with all that it holds."""
        client, got = self._client, self._got
        if answer == LEAVE:
            return False
        if answer == RECOVER:
            await client.call(BasicRecover(requeue=True), BasicRecoverOk)
            return True
        answered = self._answered
        tag = self._chance.randint(answered + 1, len(got))
        if answer == ACKNOWLEDGE:
            self._ledger.acknowledged.update(got[answered:tag])
            for body, asker in zip(got[answered:tag], self._askers[answered:tag], strict=True):
                if asker is not None:
                    client.publish_to("", asker, body, Properties())
            client.acknowledge(tag, multiple=True)
        else:
            client.say(BasicNack(tag, multiple=True, requeue=answer == REQUEUE))
        self._answered = tag
        await client.flush()
        return True
