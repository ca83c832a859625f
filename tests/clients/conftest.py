"""The cluster that real clients talk to. `amqp_urls` is the only place that knows where it comes from."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from random import Random

import pytest
import trio

from broker.amqp.handshake import Limits
from broker.server.door import Door
from broker.server.gate import Gate
from broker.server.listener import AmqpListener
from broker.world.clock import RealClock
from broker.world.network import TcpNetwork
from tests.vhosts.room import open_hall


@pytest.fixture(scope="session")
def amqp_urls() -> Iterator[list[str]]:
    """One URL per node; whatever is declared at one of them can be used at every other at once."""
    with serving() as urls:
        yield urls


@pytest.fixture(scope="session")
def roads(amqp_urls: list[str]) -> list[tuple[str, str]]:
    """Every way from a node to a node: where one client declares and publishes, and where another consumes."""
    return list(itertools.product(amqp_urls, repeat=2))


@contextmanager
def serving() -> Iterator[list[str]]:
    """A node in a thread of its own."""
    started: SimpleQueue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = SimpleQueue()
    thread = threading.Thread(target=trio.run, args=(_serve, started))
    thread.start()
    address, token, scope = started.get(timeout=10)
    yield [f"amqp://guest:guest@{address}/"]
    trio.from_thread.run_sync(scope.cancel, trio_token=token)
    thread.join(timeout=10)


async def _serve(started: "SimpleQueue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]]") -> None:
    with trio.CancelScope() as scope:
        async with open_hall() as hall:
            door = Door(hall, Gate(), RealClock(), Random(5), Limits())
            listener = AmqpListener(door, TcpNetwork(), "127.0.0.1:0")
            await listener.open()
            started.put((listener.address, trio.lowlevel.current_trio_token(), scope))
            await listener.run()
