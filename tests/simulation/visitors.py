"""Clients that make a queue of their own, look whether it is what it was said to be, and remove it.

What was declared, bound, unbound, purged or deleted through one node is so for whoever uses another one next (S15). A
visitor says `Broken` itself when it is not: only it knows what it was told. What it could not remove is `left`.
"""

from random import Random

import trio

from broker.wire.methods import (
    QueueBind,
    QueueBindOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)
from tests.simulation.client import PERSISTENT, Client, Refused
from tests.simulation.homes import Home
from tests.simulation.judges import Broken
from tests.simulation.world import World

EXCHANGE = "amq.direct"
GONE_S = 20.0
"""So long an exclusive queue may outlive its connection, if that ended with its node."""


class Visitor:
    """One client with a connection at each of two nodes at a time."""

    def __init__(self, world: World, home: Home, name: str) -> None:
        self.chance = Random(f"{name} {world.seed}")
        self.left: list[str] = []
        self._world = world
        self._home = home
        self._name = name
        self._number = 0

    async def visit(self, *, makes_more: bool) -> None:
        """Remove what was left, then make something new. Raises Lost, Refused and Broken."""
        here = await self._connect()
        there = await self._connect()
        try:
            while self.left:
                await here.call(QueueDelete(queue=self.left[-1]), QueueDeleteOk)
                self.left.pop()
            if makes_more:
                self._number += 1
                if self.chance.random() < 0.3:
                    await self._keep_alone(here, there)
                else:
                    await self._make(here, there, f"{self._name}.{self._number}")
        finally:
            here.close()
            there.close()

    async def _connect(self) -> Client:
        return await self._home.connect(self.chance.choice(list(self._world.hosts)))

    async def _make(self, here: Client, there: Client, queue: str) -> None:
        self.left.append(queue)
        await here.declare(queue)
        await here.call(QueueBind(queue=queue, exchange=EXCHANGE, routing_key=queue), QueueBindOk)
        self._world.note(f"{self._name} has bound {queue}")
        await there.confirm_select()
        count = self.chance.randint(1, 4)
        await self._publish(there, queue, count)
        await self._expect(there, queue, count, "was declared and bound")
        if self.chance.random() < 0.5:
            await here.call(QueuePurge(queue=queue), QueuePurgeOk)
            await self._expect(there, queue, 0, "was purged")
            count = 0
        await here.call(QueueUnbind(queue=queue, exchange=EXCHANGE, routing_key=queue), QueueUnbindOk)
        await self._publish(there, queue, 1)
        await self._expect(there, queue, count, "was unbound")
        await here.call(QueueDelete(queue=queue), QueueDeleteOk)
        self._world.note(f"{self._name} has deleted {queue}")
        self.left.remove(queue)
        await self._miss(there, queue)

    async def _keep_alone(self, here: Client, there: Client) -> None:
        """A queue for this connection only; it goes with it."""
        queue = f"{self._name}.{self._number}.own"
        await here.declare(queue, durable=False, exclusive=True)
        await here.confirm_select()
        await here.publish_all(queue, [b"mine"])
        if await here.drain(queue) != [b"mine"]:
            raise Broken(f"declared: {queue} has not what was confirmed")
        try:
            await there.declare(queue, durable=False, passive=True)
        except Refused as refusal:
            if not str(refusal).startswith("405"):
                raise
        else:
            raise Broken(f"declared: {queue} is exclusive and served somebody else")
        here.close()
        closed = trio.current_time()
        while trio.current_time() < closed + GONE_S:
            if await self._is_gone(queue):
                return
            await trio.sleep(0.2)
        raise Broken(f"declared: {queue} is exclusive and outlived its connection by {GONE_S:g} s")

    async def _is_gone(self, queue: str) -> bool:
        client = await self._connect()
        try:
            await client.declare(queue, durable=False, passive=True)
        except Refused as refusal:
            return str(refusal).startswith("404")
        finally:
            client.close()
        return False

    async def _publish(self, client: Client, key: str, count: int) -> None:
        for number in range(count):
            client.publish_to(EXCHANGE, key, b"%d" % number, PERSISTENT)
        await client.flush()
        await client.wait_for(lambda: not client.unconfirmed)

    async def _expect(self, client: Client, queue: str, count: int, what: str) -> None:
        found = await client.count(queue)
        if found != count:
            raise Broken(f"declared: {queue} {what} and holds {found} messages, not {count}")

    async def _miss(self, client: Client, queue: str) -> None:
        try:
            await client.count(queue)
        except Refused as refusal:
            if not str(refusal).startswith("404"):
                raise  # that node has troubles of its own
            if "no queue" not in str(refusal):
                raise Broken(f"declared: {queue} was deleted, and is asked for: {refusal}") from None
        else:
            raise Broken(f"declared: {queue} was deleted and is there")
