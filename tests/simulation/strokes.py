"""Strokes at a master and those that mirror it, in the moments in which the rules between them count.

Decides who is struck, and when. It must not know clients or judges, nor what befalls a cluster otherwise.
"""

from contextlib import suppress
from random import Random

import trio

from broker.cluster.refusal import Refused
from tests.simulation.world import World, until

ENTRIES = (
    "mirror enters unheard, kill master",
    "link breaks as a mirror enters, kill master",
    "mirror enters and restarts, kill master",
)
"""While the proposal that takes a mirror in is on a long way to the leader and back."""
BREAKS = "links break, kill master"
"""All that the master says is carried by new connections then."""
MOVES = "mirror enters and restarts, masters move to it"
"""What the restarted one is taken for it has to be: nobody dies who could tell better."""
STROKES = (*ENTRIES, BREAKS, MOVES)
PAIR = {"ha-mode": "nodes", "ha-params": ["n1", "n2"]}
"""A policy under which nobody takes the place of a mirror that is away; the third node mostly leads."""


class Strokes:
    """One at a time."""

    def __init__(self, world: World, dice: Random) -> None:
        self._world = world
        self._dice = dice

    async def strike(self, fault: str, master: str, other: str) -> None:
        """At this master, and at this other node unless there is a pair that the fault hurts more."""
        if fault == BREAKS:
            await self._break_links(master)
        else:
            await self._strike_an_entry(fault, *self._apart_from_the_leader((master, other)))

    async def _break_links(self, master: str) -> None:
        """Something that it has said is always on the way then, and some of that is lost."""
        world, dice = self._world, self._dice
        mirrors = [each for each in world.hosts if each != master]
        for each in mirrors:
            world.network.slow(master, each, dice.choice([0.05, 0.1, 0.2]))
        await trio.sleep(dice.uniform(0.3, 1.0))
        for each in mirrors:
            world.note(f"break {master} - {each}")
            world.network.sever(master, each)
        await trio.sleep(dice.uniform(0.3, 1.5))
        world.kill(master)

    def _apart_from_the_leader(self, otherwise: tuple[str, str]) -> tuple[str, str]:
        """A master and its mirror between whom and whose leader is a way that can be made long."""
        world = self._world
        records = world.queues()
        there = set(world.running()) - {world.leader()}
        pairs = {(record.master.node, life.node) for record in records for life in record.mirrors}
        return self._dice.choice(sorted(pair for pair in pairs if there.issuperset(pair)) or [otherwise])

    async def _strike_an_entry(self, fault: str, master: str, mirror: str) -> None:
        world, dice = self._world, self._dice
        world.kill(mirror)
        await trio.sleep(dice.uniform(0.3, 1.0))
        leader = world.leader()
        if leader is not None:
            world.network.slow(master, leader, dice.choice([0.1, 0.3, 0.6]))
        world.start(mirror)
        with trio.move_on_after(8):
            await until(lambda: self._enters(mirror, master), 8, 0.002)
        match fault:
            case "mirror enters unheard, kill master":
                cut(world, master, mirror, one_way=True)
            case "link breaks as a mirror enters, kill master":
                cut(world, master, mirror, one_way=True)
                world.network.sever(master, mirror)
            case _:
                world.kill(mirror)
                world.start(mirror)
        if fault == MOVES:
            await self._move_masters(mirror)
            return
        await trio.sleep(dice.uniform(0.05, 0.6))
        world.kill(master)

    async def _move_masters(self, node: str) -> None:
        """To where they are taken for synchronised, if they are within a while."""
        world = self._world
        with trio.move_on_after(1.0):
            while True:
                tree = world.tree(world.leader() or node)
                for record in world.queues():
                    if tree is None or record.master.node == node or all(life.node != node for life in record.in_sync):
                        continue
                    with suppress(Refused):
                        await tree.propose({"do": "transfer", "id": record.id, "node": node})
                await trio.sleep(0.005)

    def _enters(self, mirror: str, master: str) -> bool:
        hall = self._world.hall(master)
        locals_ = [] if hall is None else hall.guests.locals.values()
        followers = [local.master.witnesses.followers.get(mirror) for local in locals_]
        return any(follower is not None and follower.entering for follower in followers)


def cut(world: World, one: str, other: str, *, one_way: bool) -> None:
    """Nothing that one says reaches the other any more; both ways unless it is one way."""
    if one != other:
        world.note(f"cut {one} {'>' if one_way else '-'} {other}")
        world.network.cut(one, other, one_way=one_way)
