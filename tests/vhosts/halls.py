"""Several halls on one tree: real links on a network of dice, real journals on simulated disks, agreement by decree.

Whatever a node proposes is committed everywhere at once; who is dead is said by the test. Clients talk AMQP to any
node.
"""

from contextlib import asynccontextmanager
from random import Random

import trio
import trio.testing

from broker.amqp.handshake import Limits
from broker.cluster import schema
from broker.cluster.overlay import Overlay
from broker.cluster.procedures import prepare
from broker.cluster.tree import Tree
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import Links
from broker.server.door import Door
from broker.server.gate import Gate
from broker.server.session import Session
from broker.storage.journal import Journal
from broker.vhosts.hall import Hall
from broker.vhosts.properties import server_properties
from broker.vhosts.switchboard import Switchboard
from broker.vhosts.upkeep import EVERY_S
from tests.server.fakes import FakeStream, Talker
from tests.simulation.disk import SimDisk
from tests.simulation.network import SimNetwork
from tests.vhosts.room import GUEST


class Decree:
    """The tree of every node: one leader's mind, applied to all of them in the order of deciding."""

    def __init__(self):
        self.trees = {}
        self.decided = Tree(schema.index)
        self._overlay = Overlay(self.decided)
        self._history = []
        self._chance = Random(1)

    def join(self, node):
        """A node's own tree, with everything that was decided so far."""
        tree = self.trees[node] = Tree(schema.index)
        for zxid, operations in self._history:
            tree.apply(zxid, operations)
        return tree

    def decide(self, **request):
        zxid = len(self._history) + 1
        outcome = prepare(self._overlay, request, zxid, self._chance)
        self._history.append((zxid, outcome.operations))
        for tree in (self.decided, *self.trees.values()):
            tree.apply(zxid, outcome.operations)
        return outcome.answer


class NodeTree:
    """A SharedTree of one node."""

    def __init__(self, decree, node):
        self.tree = decree.join(node)
        self._decree = decree

    async def propose(self, request):
        await trio.sleep(0.001)
        return self._decree.decide(**request)

    async def sync(self):
        await self.propose({"do": "sync"})

    def lease_valid(self):
        return True


class VirtualClock:
    def stamp_ms(self):
        return 1_700_000_000_000 + int(trio.current_time() * 1000)


class Node:
    """One life of one node."""

    def __init__(self, cluster, name, life):
        self.name = name
        self.life = life
        self.scope = trio.CancelScope()
        self._host = cluster.network.host(name)
        credentials = Credentials(Identity(name, life, f"f{name}"), cluster="test", cookie="c")
        others = {other: f"{other}:25672" for other in cluster.names if other != name}
        self.links = Links(self._host, credentials, others, Random(life))
        self.journal = Journal(SimDisk(Random(life)))
        switchboard = Switchboard(
            node=name,
            life=life,
            journal=self.journal,
            links=self.links,
            clock=VirtualClock(),
            lease_valid=lambda: True,
        )
        tree = NodeTree(cluster.decree, name)
        self.hall = Hall(switchboard, tree, Random(life), {}, server_properties("test"))
        self.door = Door(self.hall, Gate(), VirtualClock(), Random(5), Limits())
        self._clients = 0
        self._nursery = None

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        with self.scope:
            await self.journal.recover()
            listener = await self._host.listen(f"{self.name}:25672")
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self.journal.run)
                self._nursery.start_soon(self.links.run, listener)
                await self._nursery.start(self.hall.run)
                self._nursery.start_soon(self._keep_entering)
                task_status.started()

    async def _keep_entering(self):
        """Of two mirrors that enter at once one loses the race for the record, and is proposed again; see `Upkeep`."""
        while True:
            await trio.sleep(EVERY_S)
            self.hall.followers.progress()

    async def client(self, channels=(1,), **settings):
        """Somebody who is logged in at this node."""
        return await self.caller(**settings).open(channels)

    def caller(self, **settings):
        """Somebody who has not said anything yet."""
        ours, theirs = trio.testing.memory_stream_pair()
        self._clients += 1
        session = Session(FakeStream(ours, f"127.0.0.1:{50000 + self._clients}"), self.door, "127.0.0.1:5672")
        self._nursery.start_soon(session.run)
        return Talker(FakeStream(theirs, "127.0.0.1:5672"), **settings)

    def handle(self, name):
        return self.hall.catalogue.vhosts["/"].handles[name]

    def copy(self, name):
        """What this node holds of a queue as its mirror."""
        return self.hall.mirrors.mirrors[self.handle(name).record.id].copy


class Cluster:
    def __init__(self, nursery, size):
        self.network = SimNetwork(Random(1))
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.decree = Decree()
        self.decree.decide(do="found", name="test", id="1", members=self.names, users=[GUEST])
        self.nodes = {}
        self._nursery = nursery

    async def start(self, name, life=1):
        node = self.nodes[name] = Node(self, name, life)
        facts = {"node": name, "life": life, "folder": f"f{name}", "blank": True}
        self.decree.decide(do="register_life", **facts)
        await self._nursery.start(node.run)
        return node

    def kill(self, name):
        """Its process dies, and everybody knows."""
        node = self.nodes.pop(name)
        node.scope.cancel()
        self.network.kill(name)
        del self.decree.trees[name]
        self.decree.decide(do="end_life", node=name, life=node.life, why="failure")

    def mirror(self, **definition):
        """A policy for every queue."""
        policy = {"name": "ha", "vhost": "/", "pattern": ".*", "definition": {"ha-mode": "all", **definition}}
        self.decree.decide(do="put_policy", **policy)

    def queue(self, name):
        """The record of a queue."""
        return schema.queue(self.decree.decided, "/", name)

    async def until(self, condition, within_s=10):
        """Wait in virtual time until it is so."""
        with trio.fail_after(within_s):
            while not condition():  # noqa: ASYNC110 - the time is virtual, and nothing rings when it is so
                await trio.sleep(0.001)

    async def until_in_sync(self, name, *nodes):
        await self.until(lambda: {life.node for life in self.queue(name).in_sync} == set(nodes))


@asynccontextmanager
async def open_cluster(size=2):
    """Nodes n1, n2, … that serve, and whose links are up."""
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nursery, size)
        for name in cluster.names:
            await cluster.start(name)
        ups = [
            (node, other, lane)
            for node in cluster.nodes.values()
            for other in cluster.names
            for lane in ("control", "data")
            if other != node.name
        ]
        await cluster.until(lambda: all(node.links.is_up(other, lane) for node, other, lane in ups))
        yield cluster
        nursery.cancel_scope.cancel()
