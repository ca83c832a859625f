"""What befalls a cluster: each fault by its name, and the repairs between them.

Decides what a fault does and how long it lasts. It must not know clients or judges. At most one node is left harmed by
most faults; those that are made of several strokes aim at what the rules are most easily got wrong in.
"""

import errno
from collections.abc import Sequence
from random import Random
from typing import Any

import trio

from broker.cluster import schema
from tests.simulation.strokes import ENTRIES, STROKES, Strokes, cut
from tests.simulation.world import HA_ALL, World, until

POLICIES: list[dict[str, Any]] = [
    HA_ALL,
    {**HA_ALL, "ha-mode": "exactly", "ha-params": 2},
    {**HA_ALL, "ha-mode": "nodes", "ha-params": ["n2", "n3"]},
]
"""Whichever is in force, nothing is lost."""
RETURNS = (
    "mirrors return, cut off master",
    "mirrors return, freeze master",
    "mirrors return, power of all, back without master",
)
"""While nobody else holds what it holds."""
DEATHS_OF_MASTERS = (
    *ENTRIES,
    "kill master",
    "kill master",
    "mirrors asleep, kill master",
    "return, kill master",
    "half cut off, kill master",
    "mirror restarts as it enters, kill master",
    "freeze master, kill heir, thaw",
    "freeze master as a mirror enters, kill heir",
    "quick restart, kill master",
    "master and leader",
)
DEATHS_OF_LEADERS = ("kill leader", "master and leader", "all at once", "power of all, back without master")
PARTITIONS = ("cut off", "cut off master", "cut a link", "deaf", "mute", "half cut off, kill master")
RESTARTS = ("kill", "quick restart", "stop", "two in a row", "freeze, kill another, thaw")
SLOWNESS = ("freeze", "freeze master", "slow link", "disk stalls", "disk of master stalls", "other policy")
FAULTS = (*DEATHS_OF_MASTERS, *DEATHS_OF_LEADERS, *PARTITIONS, *RESTARTS, *SLOWNESS)
ONE_OF_EACH = (DEATHS_OF_MASTERS, DEATHS_OF_LEADERS, PARTITIONS, RESTARTS, SLOWNESS)

UNSYNCED = "mirrors cannot sync, power of all, back without master"
"""Too much for runs of any faults: nothing is left to go on until the master has come back."""
SEVERAL = ("all at once", "power of all, back without master", "master and leader")
IN_TURN = (
    "two in a row",
    "freeze, kill another, thaw",
    "mirrors asleep, kill master",
    "return, kill master",
    "half cut off, kill master",
    "mirror restarts as it enters, kill master",
    "freeze master, kill heir, thaw",
    "quick restart, kill master",
    "freeze master as a mirror enters, kill heir",
    *RETURNS,
)


class Faults:
    """Faults, and the repairs between them."""

    def __init__(self, world: World, dice: Random) -> None:
        self._world = world
        self._dice = dice

    async def befall(self, fault: str) -> None:
        """Let one fault happen, and most things be repaired in time."""
        world, dice = self._world, self._dice
        if dice.random() < 0.7:
            world.mend()
            if dice.random() < 0.7:
                await self._whole()
        running = world.running()
        if not running:
            return
        name = dice.choice(running)
        world.note(f"fault: {fault}")
        if "master" in fault:
            name = self._master() or name
        elif fault.endswith("leader"):
            name = world.leader() or name
        other = dice.choice([each for each in running if each != name] or [name])
        if fault in SEVERAL:
            await self._strike_several(fault, name)
        elif fault in STROKES:
            await Strokes(world, dice).strike(fault, name, other)
        elif fault == UNSYNCED:
            await self._leave_unsynced(name)
        elif fault in IN_TURN:
            await self._strike_in_turn(fault, name, other)
        elif "cut" in fault or fault in PARTITIONS:
            await self._part(fault, name)
        elif "slow" in fault or "disk" in fault:
            await self._hinder(fault, name, other)
        else:
            await self._strike(fault, name)

    async def _strike(self, fault: str, name: str) -> None:
        world, dice = self._world, self._dice
        match fault:
            case "kill" | "kill master" | "kill leader":
                world.kill(name, power=dice.random() < 0.5)
            case "quick restart":
                world.kill(name, power=dice.random() < 0.5)
                await trio.sleep(dice.uniform(0.0, 0.1))
                world.start(name)
            case "freeze":
                world.freeze(name)
            case "freeze master":
                world.freeze(name)
                await trio.sleep(dice.choice([0.5, 1.5, 4.0, 7.0]))
                world.thaw(name)
            case "stop":
                await world.stop(name)
            case "other policy":
                await self._set_policy(name, dice.choice(POLICIES))
            case _:
                raise ValueError(fault)

    async def _part(self, fault: str, name: str) -> None:
        world, dice = self._world, self._dice
        others = [each for each in world.hosts if each != name]
        match fault:
            case "cut off" | "cut off master":
                for each in others:
                    self._cut(name, each)
            case "cut a link":
                self._cut(name, dice.choice(others))
            case "deaf":
                for each in others:
                    self._cut(each, name, one_way=True)
            case "mute":
                for each in others:
                    self._cut(name, each, one_way=True)
        await trio.sleep(dice.choice([0.5, 2.0, 6.0]))

    async def _hinder(self, fault: str, name: str, other: str) -> None:
        world, dice = self._world, self._dice
        match fault:
            case "slow link":
                delay_s = dice.choice([0.01, 0.1, 0.4])
                world.note(f"slow {name} - {other}: {delay_s:g} s")
                world.network.slow(name, other, delay_s)
            case "disk stalls" | "disk of master stalls":
                world.note(f"disk of {name} stalls")
                world.hosts[name].disk.stall()
                await trio.sleep(dice.choice([0.2, 1.5, 4.0]))
                world.hosts[name].disk.go_on()
            case _:
                self._break_disk(name)
                await trio.sleep(dice.choice([0.0, 0.5, 2.0]))

    async def _strike_in_turn(self, fault: str, name: str, other: str) -> None:
        world, dice = self._world, self._dice
        match fault:
            case "two in a row":
                world.kill(name)
                await trio.sleep(dice.uniform(0.0, 1.0))
                world.kill(other, power=dice.random() < 0.5)
            case "freeze, kill another, thaw":
                world.freeze(name)
                await trio.sleep(dice.choice([0.05, 1.0, 4.0, 8.0]))
                world.kill(other)
                await trio.sleep(dice.uniform(0.0, 0.5))
                world.thaw(name)
            case "mirrors asleep, kill master":
                mirrors = [each for each in world.running() if each != name]
                for each in mirrors:
                    world.freeze(each)
                await trio.sleep(dice.choice([0.1, 0.5, 0.9]))
                world.kill(name)
                world.thaw(*mirrors)
            case "half cut off, kill master":  # it hears the other one, who does not hear it
                self._cut(name, other, one_way=True)
                await trio.sleep(dice.choice([0.1, 0.5, 1.0]))
                world.kill(name)
            case "return, kill master":
                world.kill(other)
                await trio.sleep(dice.uniform(0.1, 1.0))
                world.start(other)
                await trio.sleep(dice.uniform(0.02, 0.15))
                world.kill(self._master() or name)
            case "mirror restarts as it enters, kill master":
                await self._restart_as_it_enters(other)
                world.kill(self._master() or name)
            case "freeze master, kill heir, thaw":
                await self._kill_heir_of(name)
            case "quick restart, kill master":
                await self._restart_unseen(other)
                world.kill(name)
            case "freeze master as a mirror enters, kill heir":
                await self._let_return(other)
                await self._kill_heir_of(self._master() or name)
            case _ if fault in RETURNS:
                await self._strike_the_only_one(fault, name)

    async def _let_return(self, mirror: str) -> None:
        """So far that it is about to be taken in, or has just been, or catches up."""
        world, dice = self._world, self._dice
        world.kill(mirror)
        await trio.sleep(dice.uniform(0.1, 1.0))
        world.start(mirror)
        with trio.move_on_after(5):
            await until(lambda: world.hall(mirror) is not None, 5, 0.005)
            await until(lambda: any(mirror in _names(record.mirrors) for record in world.queues()), 5, 0.005)
            await trio.sleep(dice.uniform(0.0, 0.05))

    async def _restart_as_it_enters(self, mirror: str) -> None:
        """Within the life of the proposal that takes it in, or of the queue's catch-up before."""
        world, dice = self._world, self._dice
        await self._let_return(mirror)
        world.kill(mirror)
        await trio.sleep(dice.uniform(0.0, 0.05))
        world.start(mirror)
        await trio.sleep(dice.uniform(0.0, 0.3))

    async def _strike_the_only_one(self, fault: str, master: str) -> None:
        world, dice = self._world, self._dice
        for each in [each for each in world.hosts if each != master]:
            world.kill(each)
            await trio.sleep(dice.uniform(0.3, 1.0))
            world.start(each)
            with trio.move_on_after(5):
                await until(lambda each=each: world.hall(each) is not None, 5)
        match fault:
            case "mirrors return, cut off master":
                for each in world.hosts:
                    self._cut(master, each, one_way=False)
                await trio.sleep(dice.choice([3.0, 6.0]))
            case "mirrors return, freeze master":
                world.freeze(master)
                await trio.sleep(dice.choice([3.0, 6.0]))
                world.thaw(master)
            case "mirrors return, power of all, back without master":
                await self._strike_several("power of all, back without master", master)

    async def _restart_unseen(self, name: str) -> None:
        """So quickly that nobody saw its port refuse; returns when the new life has just been registered."""
        world, dice = self._world, self._dice
        before = self._life(name)
        for each in world.hosts:
            self._cut(name, each, one_way=False)
        world.kill(name)
        world.start(name)
        await trio.sleep(dice.uniform(0.05, 0.2))
        world.network.heal()
        with trio.move_on_after(5):
            await until(lambda: self._life(name) > before, 5, 0.002)
        await trio.sleep(dice.uniform(0.0, 0.05))

    def _life(self, name: str) -> int:
        """Its newest life, as anybody knows it."""
        trees = filter(None, map(self._world.tree, self._world.running()))
        return max((schema.members(tree.tree)[name].life for tree in trees if schema.members(tree.tree)), default=0)

    async def _kill_heir_of(self, name: str) -> None:
        """The deposed one goes on when those who followed its heir are alone: they still hear it."""
        world, dice = self._world, self._dice
        led = [record.name for record in world.queues() if record.master.node == name]
        world.freeze(name)
        heirs: set[str] = set()
        with trio.move_on_after(10 if led else 0):
            while not heirs:
                await trio.sleep(0.05)
                heirs = {record.master.node for record in world.queues() if record.name in led} - {name}
        await trio.sleep(dice.choice([0.0, 0.1, 0.5]))
        world.thaw(name)
        await trio.sleep(dice.choice([0.0, 0.002, 0.05]))
        world.kill(*sorted(heirs)[:1])

    async def _strike_several(self, fault: str, name: str) -> None:
        world, dice = self._world, self._dice
        if fault == "master and leader":
            world.kill(*{name: None for name in (self._master(), world.leader()) if name is not None})
            return
        returning = dice.sample(list(world.hosts), len(world.hosts))
        pauses = [0.0, 0.05, 1.0, 4.0]
        world.kill(*world.hosts, power=fault != "all at once" or dice.random() < 0.5)
        await trio.sleep(dice.uniform(0.0, 1.0))
        if fault != "all at once":  # long enough for the others to go on without it
            returning = [each for each in returning if each != name]
            pauses = [0.0, 0.05]
        for each in returning:
            world.start(each)
            await trio.sleep(dice.choice(pauses))
        if not world.hosts[name].up:
            await trio.sleep(dice.uniform(2.0, 4.0))
            world.start(name)

    async def _leave_unsynced(self, master: str) -> None:
        """Whoever says that it has synced what the master sends is on its own a little later."""
        mirrors = [host for name, host in self._world.hosts.items() if name != master]
        for host in mirrors:
            host.disk.fail("sync", under="journal/")
        await trio.sleep(self._dice.uniform(0.3, 1.0))
        for host in mirrors:
            host.disk.mend()
        await self._strike_several("power of all, back without master", master)

    def _break_disk(self, name: str) -> None:
        disk, dice = self._world.hosts[name].disk, self._dice
        under = dice.choice(["", "", "journal/", "zab/"])
        match dice.choice(["write", "sync", "sync", "read", "read-only", "full", "full for good"]):
            case "write":
                disk.fail("write", under=under)
            case "sync":
                disk.fail("sync", under=under)
            case "read":
                disk.fail("read", under=under)
            case "read-only":
                disk.fail("write", code=errno.EROFS, under=under)
            case "full":
                disk.bytes_max = sum(disk.sizes().values()) + dice.randrange(2000)
            case "full for good":
                disk.full = True

    def _cut(self, one: str, other: str, *, one_way: bool | None = None) -> None:
        if one_way is None:
            one_way = self._dice.random() < 0.3
        cut(self._world, one, other, one_way=one_way)

    async def _set_policy(self, name: str, definition: dict[str, Any]) -> None:
        """That of queues without one of their own; what nobody can agree to in time may be agreed upon later."""
        tree = self._world.tree(name)
        if tree is not None:
            self._world.note(f"policy {definition}")
            request = {"do": "put_policy", "vhost": "/", "name": "p", "pattern": "^", "definition": definition}
            with trio.move_on_after(1):
                await tree.propose(request)

    def _master(self) -> str | None:
        running = self._world.running()
        masters = [record.master.node for record in self._world.queues()]
        return next((name for name in self._dice.sample(masters, len(masters)) if name in running), None)

    async def _whole(self) -> None:
        world = self._world
        with trio.move_on_after(self._dice.choice([1.0, 5.0, 10.0])):
            await until(lambda: len(world.serving()) == len(world.hosts) and world.synchronised(), 60)


def _names(lives: Sequence[Any]) -> set[str]:
    return {life.node for life in lives}
