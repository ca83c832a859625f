"""What clusters that part have in common: sides, how they are cut and brought together, and what was kept of whom."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import trio

from broker.node import recovery_line
from broker.node.partition_handling import PartitionHandling
from broker.vhosts.portrait import decode_body
from tests.simulation.client import Client, Lost, Refused
from tests.simulation.stage import Stage
from tests.simulation.world import HA_ALL, NAMES, NET_TICKTIME_S, World, policy, simulate, until

IGNORE = PartitionHandling("ignore")
AUTOHEAL = PartitionHandling("autoheal")
AUTO = PartitionHandling()
TWO = ("n1", "n2")
QUEUE = "orders"


class Sides(Stage):
    """A cluster that parts, seen from outside."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.confirmed: set[bytes] = set()
        self._number = 0

    # ------------------------------------------------------------------ cuts

    def cut(self, left: Iterable[str], right: Iterable[str], *, one_way: bool = False) -> None:
        """`one_way`: only what the left says is lost."""
        right = list(right)
        for one in left:
            for other in right:
                self.world.network.cut(one, other, one_way=one_way)

    async def part(self, *sides: Sequence[str]) -> None:
        """Cut all links between them, and wait until each goes on by itself."""
        for number, side in enumerate(sides):
            for other in sides[number + 1 :]:
                self.cut(side, other)
        for side in sides:
            await until(partial(self.goes_on, side), 20)

    def goes_on(self, side: Iterable[str]) -> bool:
        """Whether these serve, follow one of them, and have a master of the queue among them."""
        side = list(side)
        trees = [self.world.tree(name) for name in side]
        if (
            not set(side) <= set(self.world.serving())
            or len({None if tree is None else tree.epoch for tree in trees}) > 1
        ):
            return False
        if any(tree is None or not tree.has_quorum or tree.leader not in side for tree in trees):
            return False
        return self.world.queue(QUEUE, at=side[0]).master.node in side

    def mend(self) -> None:
        """Heal the network."""
        self.world.network.heal()

    def is_whole(self) -> bool:
        """Whether all nodes serve, and follow one leader."""
        return is_whole(self.world)

    async def come_together(self, seconds: float = 40) -> None:
        """Wait until they do, with all copies in sync."""
        await until(lambda: self.is_whole() and self.world.synchronised(QUEUE), seconds)

    async def restart(self, *names: str) -> None:
        """Stop these, all of them, and start them again."""
        for name in names:
            await self.world.stop(name)
        self.world.start(*names)

    # ------------------------------------------------------------------ messages

    async def publisher(self, node: str, name: str = "") -> Client:
        """A client that wants confirms."""
        client = await self.client(node, name or f"publisher-{node}")
        await client.confirm_select()
        return client

    async def publish(self, client: Client, count: int = 3) -> list[bytes]:
        """So many messages that are confirmed. Raises Lost, Refused."""
        bodies = [b"%d" % (self._number + each) for each in range(1, count + 1)]
        self._number += count
        await client.publish_all(QUEUE, bodies)
        self.confirmed.update(bodies)
        return bodies

    async def is_confirmed(self, client: Client, seconds: float = 6) -> bool:
        """Whether one more message is, in that time."""
        with trio.move_on_after(seconds):
            try:
                await self.publish(client, 1)
            except (Lost, Refused):
                return False
            return True
        return False

    async def nothing_is_lost(self, node: str = "n1") -> list[bytes]:
        """What is not in the queue is in a recovery file; returns what is there."""
        client = await self.client(node, "drain")
        there = await client.drain(QUEUE)
        kept = await kept_bodies(self.world)
        assert self.confirmed <= {*there, *kept}, self.confirmed - {*there, *kept}
        return kept

    # ------------------------------------------------------------------ what is told

    def events(self, node: str, kind: str) -> list[dict[str, Any]]:
        """Of the time line of a node."""
        found = self.world.hosts[node].node
        return [] if found is None else [event for event in found.timeline.since(0) if event["kind"] == kind]

    def status(self, node: str) -> dict[str, Any]:
        """What a node says of itself."""
        found = self.world.hosts[node].node
        assert found is not None
        return found.report.status(queues=False)


def is_whole(world: World) -> bool:
    """Whether all nodes serve, and follow one leader."""
    if set(world.serving()) != set(world.hosts):
        return False
    trees = [world.tree(name) for name in world.hosts]
    epochs = {None if tree is None or not tree.has_quorum else tree.epoch for tree in trees}
    return len(epochs) == 1 and None not in epochs and not any(tree and tree.parted for tree in trees)


async def reunite(world: World) -> None:
    """What an operator does about sides that stay apart: those without the first node are stopped and started."""
    for _ in world.hosts:
        with trio.move_on_after(5 * NET_TICKTIME_S):
            await until(lambda: is_whole(world), float("inf"))
            return
        epochs = {name: tree.epoch for name in world.serving() if (tree := world.tree(name)) is not None}
        parted = [name for name, epoch in epochs.items() if epoch != next(iter(epochs.values()))]
        for name in parted:
            await world.stop(name)
        world.start(*parted or world.hosts)


async def kept_bodies(world: World) -> list[bytes]:
    """The bodies in all recovery files."""
    bodies = []
    for host in world.hosts.values():
        for name in await host.disk.list_names("set-aside"):
            messages = [recovery_line.decode(line) for line in (await host.disk.read(name)).splitlines()]
            bodies += [decode_body(message) for message in messages]
    return bodies


Scenario = Callable[[Sides], Awaitable[None]]


def play(scenario: Scenario, handling: PartitionHandling, names: Sequence[str] = NAMES, seed: int = 1) -> None:
    """Run a scenario on a cluster that handles partitions so, with a queue that is mirrored everywhere."""

    async def story(world: World) -> None:
        sides = Sides(world)
        client = await sides.publisher(names[0], "founder")
        await client.declare(QUEUE)
        await until(lambda: world.synchronised(QUEUE), 10)
        await sides.publish(client)
        client.close()
        await scenario(sides)

    simulate(seed, story, names=names, handling=handling, policies=[policy(HA_ALL)])
