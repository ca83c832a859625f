"""Half links broken and nodes killed at random while clients work: nothing is lost, and repeats say so."""

import math
from collections import Counter
from random import Random

import pytest
import trio

from broker.wire import basic_methods as basic
from broker.wire.content import body_of
from broker.wire.events import Acks
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from broker.wire.properties import Properties
from tests.vhosts.halls import open_cluster

MESSAGES = 120
PERSISTENT = Properties(delivery_mode=2)


class Work:
    """A publisher and a consumer per node, and what they saw."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.chance = Random(seed)
        self.confirmed = {}
        self.seen = Counter()
        self.unflagged = Counter()

    async def publish(self, node):
        client = await self.cluster.nodes[node].client()
        client.patience_s = math.inf
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        for number in range(1, MESSAGES + 1):
            client.connection.publish(1, "", "q", f"{node} {number}".encode(), PERSISTENT)
            if self.chance.random() < 0.2:
                await client.flush()
                await trio.sleep(self.chance.random() * 0.01)
        upto = 0
        while upto < MESSAGES:
            _, event = await client.listen()
            assert isinstance(event, Acks), event
            upto = event.last_tag
        self.confirmed[node] = upto

    async def consume(self, node):
        client = await self.cluster.nodes[node].client()
        client.patience_s = math.inf
        await client.ask(1, basic.BasicQos(prefetch_count=self.chance.choice((1, 3, 50))), basic.BasicQosOk)
        await client.ask(1, basic.BasicConsume(queue="q"), basic.BasicConsumeOk)
        while True:
            _, event = await client.listen()
            for offset, content in enumerate(event.contents):
                body = body_of(content).decode()
                self.seen[body] += 1
                self.unflagged[body] += not event.redelivered  # of two clients the second may be read first
                client.connection.call(1, basic.BasicAck(event.first_tag + offset))
            if self.chance.random() < 0.3:
                await trio.sleep(self.chance.random() * 0.01)

    @property
    def silent_repeats(self):
        return [body for body, count in self.unflagged.items() if count > 1]

    def break_half(self):
        """Close one direction of one data lane; what was on its way is lost."""
        node = self.chance.choice(list(self.cluster.nodes.values()))
        peer = node.links._peers[self.chance.choice([name for name in self.cluster.nodes if name != node.name])]
        half = peer.outgoing.get("data")
        if half is not None:
            peer.closes(half, "a test")


@pytest.mark.parametrize("seed", range(5))
async def test_broken_halves_and_a_killed_master_cost_nothing_but_time(autojump_clock, seed):
    async with open_cluster(3) as cluster, trio.open_nursery() as nursery:
        work = Work(cluster, seed)
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        client = await cluster.nodes["n1"].client()
        await client.ask(1, QueueDeclare(queue="q", durable=True), QueueDeclareOk)
        for node in ("n2", "n3"):
            nursery.start_soon(work.publish, node)
            nursery.start_soon(work.consume, node)
        kill_at = work.chance.randrange(10, 60)
        for turn in range(60):
            await trio.sleep(work.chance.random() * 0.02)
            if turn == kill_at:
                cluster.kill("n1")
            else:
                work.break_half()
        wanted = {f"{node} {number}" for node in ("n2", "n3") for number in range(1, MESSAGES + 1)}
        await cluster.until(lambda: len(work.confirmed) == 2, within_s=120)
        await cluster.until(lambda: wanted == set(work.seen), within_s=120)
        assert not work.silent_repeats
        master = cluster.nodes[cluster.queue("q").master.node].handle("q").local
        await cluster.until(lambda: master.statistics()["messages"] == 0, within_s=60)
        nursery.cancel_scope.cancel()
