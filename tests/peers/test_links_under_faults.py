"""Links while nodes are killed, frozen, cut off and blocked at random: what must hold whatever happens, seed by seed.

Nobody alive is ever told dead; frames of one connection come without gap, those of one life in order and once; offsets
only grow; and when the faults end, everybody is linked again. A failing seed repeats itself.
"""

from random import Random

import pytest
import trio
import trio.testing

from tests.peers.nodes import LANES, NOTE, cluster_of
from tests.simulation.scheduler import seeded_scheduler

NODES = 3
FAULTS = 40


class Judge:
    """Watches one life of one node."""

    def __init__(self, node, alive):
        self.alive = alive
        self.last_number = {}
        self.last_offset = {}
        self.expected = {}
        node.links.on_dead.append(self.dead)
        node.links.on_incoming.append(self.incoming)
        node.links.handle(NOTE + 1, self.numbered)

    def dead(self, peer, life):
        assert self.alive.get(peer) != life, f"{peer} lives"

    def incoming(self, peer, life, lane):
        self.expected.pop((peer, lane), None)

    def numbered(self, peer, payload, offset):
        lane, life, number = payload.decode().split()
        stream, number = (peer, lane), int(number)
        assert self.expected.setdefault(stream, number) == number, "a gap"
        self.expected[stream] = number + 1
        assert self.last_number.get((*stream, life), -1) < number, "out of order, or twice"
        self.last_number[(*stream, life)] = number
        assert self.last_offset.get((*stream, life), -1) < offset
        self.last_offset[(*stream, life)] = offset


class Story:
    """One run of faults."""

    def __init__(self, cluster, chance):
        self.cluster = cluster
        self.chance = chance
        self.lives = dict.fromkeys(cluster.names, 1)
        self.alive = {}
        self.numbers = {}
        self.blocked = set()

    async def start(self, name):
        self.alive[name] = self.lives[name]
        node = await self.cluster.start(name, self.lives[name])
        Judge(node, self.alive)

    async def run(self):
        for name in self.cluster.names:
            await self.start(name)
        for _ in range(FAULTS):
            await trio.sleep(self.chance.choice([0.0, 0.001, 0.01, 0.1, 1.0, 6.0]))
            await self.chance.choice(
                [self.kill, self.restart, self.freeze, self.cut, self.block, self.mend, self.talk]
            )()
        await self.mend()
        for name in self.cluster.names:
            if name not in self.alive:
                await self.start(name)
        await trio.sleep(8)
        await self.talk()
        for name in self.cluster.names:
            for other in self.cluster.names:
                for lane in LANES:
                    assert name == other or self.cluster.nodes[name].links.is_up(other, lane), f"{name} {other} {lane}"

    async def kill(self):
        if self.alive:
            name = self.chance.choice(sorted(self.alive))
            del self.alive[name]
            self.lives[name] += 1
            self.cluster.kill(name)
            self.blocked = {block for block in self.blocked if block[0] != name}

    async def restart(self):
        await self.kill()
        for name in self.cluster.names:
            if name not in self.alive:
                await self.start(name)

    async def freeze(self):
        self.cluster.network.freeze(self.chance.choice(self.cluster.names))

    async def cut(self):
        one, other = self.chance.sample(self.cluster.names, 2)
        self.cluster.network.cut(one, other, one_way=self.chance.random() < 0.5)

    async def block(self):
        one, other = self.chance.sample(self.cluster.names, 2)
        if one in self.alive:
            direction = self.chance.choice(["in", "out"])
            self.cluster.nodes[one].links.block(other, direction)
            self.blocked.add((one, other, direction))

    async def mend(self):
        for name in self.cluster.names:
            self.cluster.network.thaw(name)
        self.cluster.network.heal()
        for one, other, direction in sorted(self.blocked):
            self.cluster.nodes[one].links.unblock(other, direction)
        self.blocked.clear()

    async def talk(self):
        for name in sorted(self.alive):
            links = self.cluster.nodes[name].links
            for other in self.cluster.names:
                for lane in LANES if other != name else ():
                    for _ in range(self.chance.randint(0, 5)):
                        stream = (name, other, lane, self.alive[name])
                        number = self.numbers.get(stream, 0)
                        payload = f"{lane} {self.alive[name]} {number}".encode() + b" " * self.chance.choice(
                            [0, 70_000]
                        )
                        if links.send(other, lane, NOTE + 1, payload) > 0:
                            self.numbers[stream] = number + 1


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 80))])
def test_whatever_happens(seed):
    chance = Random(seed)

    async def tell():
        async with cluster_of(NODES, seed, backlog_bytes_max=300_000) as cluster:
            await Story(cluster, chance).run()

    with seeded_scheduler(seed):
        trio.run(tell, clock=trio.testing.MockClock(autojump_threshold=0))
