"""What a publisher does on one connection: in confirm mode, in transactions, or asking and waiting for answers.

It writes to the ledger what it published, and what it was answered. It must not know how connections come about.
"""

from collections.abc import Callable
from itertools import count
from random import Random

import trio

from broker.wire.basic_methods import TxCommit, TxCommitOk, TxRollback, TxRollbackOk, TxSelect, TxSelectOk
from broker.wire.content import body_of
from broker.wire.delay import delay_ms
from broker.wire.events import Delivered
from broker.wire.properties import REPLY_TO
from tests.simulation.client import Client
from tests.simulation.ledger import Ledger, text_of
from tests.simulation.roads import Road
from tests.simulation.world import World

ANSWER_S = 1.0
"""So long an asker waits before it asks for something else."""


class Publisher:
    """One session of one publisher; `name` stands in its messages."""

    def __init__(
        self, client: Client, name: str, road: Road, world: World, ledger: Ledger, chance: Random, *, persistent: bool
    ) -> None:
        self._client = client
        self._name = name.encode()
        self._road = road
        self._world = world
        self._ledger = ledger
        self._chance = chance
        self._persistent = persistent
        self._number = 0

    async def publish(self, goes_on: Callable[[], bool]) -> None:
        """In confirm mode; some are waited for before others are said. Raises Lost and Refused."""
        client, chance = self._client, self._chance
        client.on_confirm = self._confirmed
        await client.confirm_select()
        leaves_after = chance.randrange(10, 100)
        while goes_on() and self._number < leaves_after:
            self._say_some()
            await client.flush()
            await client.wait_for(lambda: len(client.unconfirmed) < 30)
            await trio.sleep(chance.choice([0.0, 0.1, 0.3, 0.8]))
        await client.wait_for(lambda: not client.unconfirmed)
        client.close()

    async def transact(self, goes_on: Callable[[], bool]) -> None:
        """What is committed counts as confirmed, what is taken back must never come. Raises Lost and Refused."""
        client, chance, ledger = self._client, self._chance, self._ledger
        await client.call(TxSelect(), TxSelectOk)
        leaves_after = chance.randrange(10, 100)
        while goes_on() and self._number < leaves_after:
            bodies = self._say_some()
            if chance.random() < 0.2:
                ledger.taken_back.update(bodies)
                await client.call(TxRollback(), TxRollbackOk)
            else:
                await client.call(TxCommit(), TxCommitOk)
                for body in bodies:
                    self._confirmed(body, True)
            client.unconfirmed.clear()
            await trio.sleep(chance.choice([0.0, 0.1, 0.3]))
        client.close()

    def _say_some(self) -> list[bytes]:
        ledger, road, chance = self._ledger, self._road, self._chance
        bodies = []
        for _ in range(chance.randint(1, 8)):
            self._number += 1
            body = b"%s:%d" % (self._name, self._number)
            if road.sizes != (0,):
                body = body.ljust(chance.choice(road.sizes))
            ledger.publishes(body, trio.current_time())
            properties = road.properties(chance, persistent=self._persistent)
            if road.delays_ms:
                ledger.dues[body] = trio.current_time() + delay_ms(properties.headers or {}) / 1000
            if road.levels:
                ledger.levels[body] = properties.priority or 0
            self._client.publish_to(road.exchange, road.name, body, properties)
            bodies.append(body)
        return bodies

    def _confirmed(self, body: bytes, acked: bool) -> None:
        self._ledger.answered(body, acked)
        self._world.note(f"{'confirmed' if acked else 'refused'} {text_of(body)}")

    async def ask(self, goes_on: Callable[[], bool]) -> None:
        """Ask until publishing has ended and an answer came after that; an answer may be lost, but it never strays.
        Raises Lost and Refused."""
        client, ledger, heard = self._client, self._ledger, set[bytes]()
        asker = self._name.decode()

        def delivered(event: Delivered) -> None:
            for body in map(body_of, event.contents):
                heard.add(body)
                self._world.note(f"{asker} hears {text_of(body)}")
                if not body.startswith(self._name + b":"):
                    ledger.strays.append((body, asker))

        client.on_deliver = delivered
        await client.consume(REPLY_TO, 0, no_ack=True)
        for number in count(1):
            is_last = not goes_on()
            body = b"%s:%d" % (self._name, number)
            ledger.publishes(body, trio.current_time())
            properties = self._road.properties(self._chance, persistent=self._persistent)
            client.publish_to("", self._road.name, body, properties)
            await client.flush()
            with trio.move_on_after(ANSWER_S):
                await client.wait_for(lambda body=body: body in heard, float("inf"))
            if is_last and body in heard:
                break
            await trio.sleep(self._chance.choice([0.0, 0.1, 0.3]))
        client.close()
