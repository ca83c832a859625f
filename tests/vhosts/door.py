"""The real hall behind the real AMQP door, and clients that come in over pipes of memory."""

from contextlib import asynccontextmanager
from random import Random

import trio
import trio.testing

from broker.amqp.handshake import Limits
from broker.server.door import Door
from broker.server.gate import Gate
from broker.server.session import Session
from tests.server.fakes import FakeStream, Talker
from tests.vhosts.halls import VirtualClock
from tests.vhosts.room import open_hall


class House:
    """One node, as its clients see it."""

    def __init__(self, hall, nursery):
        self.hall = hall
        self.door = Door(hall, Gate(), VirtualClock(), Random(5), Limits())
        self._nursery = nursery
        self._clients = 0

    @property
    def vhost(self):
        return self.hall.catalogue.vhosts["/"]

    async def client(self, channels=(1,)):
        """Somebody who is logged in."""
        ours, theirs = trio.testing.memory_stream_pair()
        self._clients += 1
        session = Session(FakeStream(ours, f"127.0.0.1:{50000 + self._clients}"), self.door, "127.0.0.1:5672")
        self._nursery.start_soon(session.run)
        return await Talker(FakeStream(theirs, "127.0.0.1:5672")).open(channels)


@asynccontextmanager
async def open_house():
    async with open_hall(VirtualClock()) as hall, trio.open_nursery() as nursery:
        yield House(hall, nursery)
        nursery.cancel_scope.cancel()
