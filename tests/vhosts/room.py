"""One hall without a cluster: the real procedures on a tree that commits at once, a journal on a disk of memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from broker.cluster import schema
from broker.cluster.overlay import Overlay
from broker.cluster.procedures import prepare
from broker.cluster.tree import Tree
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import Links
from broker.storage.journal import SEGMENT_BYTES, Journal
from broker.vhosts.hall import Hall
from broker.vhosts.properties import server_properties
from broker.vhosts.switchboard import Switchboard
from broker.world.clock import Clock, RealClock
from broker.world.disk import Disk, MemoryDisk
from broker.world.network import TcpNetwork


class OneNodeTree:
    """A SharedTree whose node is alone: what is proposed is committed."""

    def __init__(self) -> None:
        self.tree = Tree(schema.index)
        self._overlay = Overlay(self.tree)
        self._chance = Random(1)
        self._zxid = 0

    async def propose(self, request: dict[str, Any]) -> dict[str, Any]:
        self._zxid += 1
        outcome = prepare(self._overlay, request, self._zxid, self._chance)
        self.tree.apply(self._zxid, outcome.operations)
        return outcome.answer

    async def sync(self) -> None:
        await self.propose({"do": "sync"})

    def lease_valid(self) -> bool:
        return True


GUEST = {
    "name": "guest",
    "password": "guest",
    "tags": ["administrator"],
    "permissions": {"/": [".*", ".*", ".*"]},
}


@asynccontextmanager
async def open_hall(
    clock: Clock | None = None, disk: Disk | None = None, *, segment_bytes: int = SEGMENT_BYTES
) -> AsyncIterator[Hall]:
    """A running hall of a cluster of one node; its wall clock is the machine's and its disk keeps nothing unless
    another is given."""
    tree = OneNodeTree()
    await tree.propose({"do": "found", "name": "test", "id": "1", "members": ["n1"], "users": [GUEST]})
    await tree.propose({"do": "register_life", "node": "n1", "life": 1, "folder": "f"})
    journal = Journal(disk or MemoryDisk(), segment_bytes=segment_bytes)
    await journal.recover()
    links = Links(TcpNetwork(), Credentials(Identity("n1", 1, "f"), cluster="test", cookie="c"), {}, Random(2))
    switchboard = Switchboard(
        node="n1", life=1, journal=journal, links=links, clock=clock or RealClock(), lease_valid=tree.lease_valid
    )
    hall = Hall(switchboard, tree, Random(3), {}, server_properties("test"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        await nursery.start(hall.run)
        yield hall
        nursery.cancel_scope.cancel()
