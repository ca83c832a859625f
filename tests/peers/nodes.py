"""Nodes that are nothing but links, on a network of dice: what they heard, in the order in which they heard it."""

from contextlib import asynccontextmanager
from random import Random

import trio

from broker.peers.introduction import Credentials, Identity
from broker.peers.links import Links
from tests.simulation.network import SimNetwork

COOKIE = "a cookie"
NOTE = 16
LANES = ("control", "data")


def address_of(name):
    return f"{name}:25672"


class Node:
    """One life of a node. `heard` has lines such as "up n2 1 data", "dead n2 1", "data n2 hello"."""

    def __init__(self, links, network, name, life):
        self.links = links
        self.name = name
        self.life = life
        self.heard = []
        self.offsets = []
        self.news = trio.Event()
        self.scope = trio.CancelScope()
        self._network = network
        for event in ("up", "down", "incoming", "incoming_closed"):
            getattr(links, f"on_{event}").append(self._lane_watcher(event))
        links.on_dead.append(lambda peer, life: self._hear(f"dead {peer} {life}"))
        links.handle(NOTE, self._note)

    async def run(self, listener, admin=None):
        with self.scope:
            await self.links.run(listener, admin)

    async def until(self, *lines):
        """Wait until all these lines were heard."""
        while not set(lines) <= set(self.heard):
            await self.news.wait()

    async def until_up(self, peer, life=1):
        """Wait until both lanes are up both ways."""
        await self.until(*(f"{event} {peer} {life} {lane}" for event in ("up", "incoming") for lane in LANES))

    def _lane_watcher(self, event):
        return lambda peer, life, lane: self._hear(f"{event} {peer} {life} {lane}")

    def _note(self, peer, payload, offset):
        self.offsets.append(offset)
        self._hear(f"note {peer} {payload.decode()}")

    def _hear(self, line):
        self.heard.append(line)
        self.news.set()
        self.news = trio.Event()


class Cluster:
    """Nodes n1, n2, … that know each other, started and killed at will."""

    def __init__(self, nursery, size=2, seed=1, **options):
        self.network = SimNetwork(Random(seed))
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.nodes = {}
        self.options = options
        self._nursery = nursery
        self._chance = Random(seed)

    async def start(self, name, life=1, *, folder=None, cookie=COOKIE, cluster="test", admin=None, link="", known=None):
        host = self.network.host(name)
        me = Identity(name, life, folder or f"folder of {name}")
        credentials = Credentials(me, cluster=cluster, cookie=cookie, link=link)
        others = {other: address_of(other) for other in self.names if other != name} | (known or {})
        links = Links(host, credentials, others, self._chance, **self.options)
        node = self.nodes[name] = Node(links, host, name, life)
        self._nursery.start_soon(node.run, await host.listen(address_of(name)), admin)
        return node

    async def start_all(self):
        nodes = [await self.start(name) for name in self.names]
        for node in nodes:
            for other in self.names:
                if other != node.name:
                    await node.until_up(other)
        for node in nodes:
            node.heard.clear()
        return nodes

    def kill(self, name):
        self.nodes.pop(name).scope.cancel()
        self.network.kill(name)


@asynccontextmanager
async def cluster_of(size=2, seed=1, **options):
    async with trio.open_nursery() as nursery:
        yield Cluster(nursery, size, seed, **options)
        nursery.cancel_scope.cancel()
