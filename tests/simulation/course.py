"""What befalls a cluster by seed, and the whole of one judged run.

Faults come one after the other while clients work; then everything is mended, the cluster has to become whole within
a bounded time, everything published is drained, and the judges are asked.
"""

import errno
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import trio

from tests.simulation import disk
from tests.simulation.judges import (
    Broken,
    Histories,
    judge_answers,
    judge_copies,
    judge_counts,
    judge_deaths,
    judge_delays,
    judge_loss,
    judge_memory,
    judge_order,
    judge_prefetch,
    judge_repeats,
    takes_little_space,
    takes_no_space,
)
from tests.simulation.return_counts import ReturnCounts
from tests.simulation.roads import DELIVERY_LIMIT, road
from tests.simulation.workload import Workload
from tests.simulation.world import HA_ALL, World, policy, simulate, until

ROADS = ("red", "blue", "green", "brown")
PROGRESS_S = 40.0
"""Virtual seconds within which a mended cluster has to be whole, and all publishers answered."""
DRAIN_S = 60.0
POLICIES: list[dict[str, Any]] = [
    HA_ALL,
    {**HA_ALL, "ha-mode": "exactly", "ha-params": 2},
    {**HA_ALL, "ha-mode": "nodes", "ha-params": ["n2", "n3"]},
]
"""Whichever is in force, nothing is lost."""
LAST_WORDS_S = 0.1
"""So long the settle of the last message may take to its mirrors before the copies are compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed may bring. Numbers are of faults; `faults` are drawn with repetition."""

    faults: Sequence[str] = (
        "kill",
        "kill",
        "kill master",
        "kill master",
        "kill leader",
        "quick restart",
        "freeze",
        "freeze master",
        "freeze, kill another, thaw",
        "mirrors asleep, kill master",
        "two in a row",
        "master and leader",
        "return, kill master",
        "all at once",
        "power of all, back without master",
        "stop",
        "cut off",
        "cut off master",
        "cut a link",
        "half cut off, kill master",
        "other policy",
    )
    steps: int = 4
    persistent: bool = True
    publishers: int = 1
    consumers: int = 1
    kinds: Sequence[str] = ("plain", "plain")
    """Of the roads that are published to; see `road`."""
    disk_delay_s_max: float | None = None
    """If it is not that of `disk`: a slow disk leaves wide gaps between what was done and what is safe."""


DEFAULT = Plan()


@dataclass(slots=True)
class Outcome:
    """A run that was judged."""

    world: World
    workload: Workload


def run_seed(seed: int, plan: Plan = DEFAULT) -> Outcome:
    """One run. Raises Broken, with the seed, if a judge saw something."""
    outcome: list[Outcome] = []
    histories = Histories()

    roads = [road(kind, name) for kind, name in zip(plan.kinds, ROADS, strict=False)]
    policies = [policy(HA_ALL), *(each for road in roads for each in road.policies)]

    async def story(world: World) -> None:
        workload = Workload(world, roads, persistent=plan.persistent)
        outcome.append(Outcome(world, workload))
        await _run(world, workload, histories, plan)

    try:
        delay_s_max = plan.disk_delay_s_max or disk.DELAY_S_MAX
        with patch.object(disk, "DELAY_S_MAX", delay_s_max), histories.watching(), ReturnCounts().watching():
            simulate(seed, story, policies=policies)
        histories.judge_prefixes()
    except* Broken as group:
        raise Broken(f"seed {seed}: {_first(group)}") from None
    return outcome[0]


def _first(group: BaseExceptionGroup[Broken]) -> Broken:
    first = group.exceptions[0]
    return first if isinstance(first, Broken) else _first(first)


async def _run(world: World, workload: Workload, histories: Histories, plan: Plan) -> None:
    async with trio.open_nursery() as watchers:
        watchers.start_soon(_watch_masters, world, histories)
        await workload.declare()
        workload.start(plan.publishers, plan.consumers)
        dice = Random(f"faults {world.seed}")
        course = Course(world, dice)
        for _ in range(plan.steps):
            await trio.sleep(dice.choice([0.1, 0.5, 1.0, 3.0]))
            await course.misbehave(dice.choice(plan.faults))
        await trio.sleep(dice.uniform(0.0, 3.0))
        world.mend()
        workload.publishing = False
        await _in_time("progress: not every node serves", lambda: _all_serve(world))
        await _in_time("progress: not synchronised", world.synchronised)
        await _in_time("progress: publishers wait for answers", lambda: workload.active == 0)
        workload.hold_still()
        unread = [record.name for record in world.queues() if not workload.is_read(record.name)]
        await _in_time("progress: something waits for ever", lambda: _is_empty(world, unread))
        await trio.sleep(LAST_WORDS_S)
        world.note("still")
        await _judge_copies_twice(world)
        judge_memory(world)
        await _in_time("space: a journal keeps more than twice what lives", lambda: takes_little_space(world))
        workload.go_on()
        await _in_time("progress: not drained", lambda: _is_empty(world), DRAIN_S)
        await trio.sleep(LAST_WORDS_S)
        await _in_time("space: a journal keeps messages that nobody has", lambda: takes_no_space(world))
        world.note("quiet")
        watchers.cancel_scope.cancel()
    await judge_copies(world)
    _judge_clients(workload)


async def _judge_copies_twice(world: World) -> None:
    """A letter may still leave while the judge reads what lies on disk (seed 31 of little memory): what is wrong with
    copies at rest is wrong a second later, too."""
    try:
        await judge_copies(world)
    except Broken:
        await trio.sleep(1)
        await judge_copies(world)


def _judge_clients(workload: Workload) -> None:
    ledger = workload.ledger
    judge_loss(ledger)
    judge_repeats(ledger)
    judge_order(ledger)
    judge_answers(ledger)
    judge_prefetch(ledger)
    judge_delays(ledger)
    judge_counts(ledger, DELIVERY_LIMIT)
    judge_deaths(ledger, {queue: why for road in workload.roads for queue, why in road.deaths.items()})


async def _watch_masters(world: World, histories: Histories) -> None:
    while True:
        histories.look_at_masters(world)
        await trio.sleep(0.05)


async def _in_time(promise: str, condition: Callable[[], object], seconds: float = PROGRESS_S) -> None:
    try:
        await until(condition, seconds)
    except trio.TooSlowError:
        raise Broken(f"{promise} within {seconds:g} s") from None


def _all_serve(world: World) -> bool:
    world.restart_failed()  # of what befell its disk a node may have learned just now
    world.start()
    return len(world.serving()) == len(world.hosts)


def _is_empty(world: World, queues: Collection[str] | None = None) -> bool:
    """Whether nothing lives in these queues; None: in all of them."""
    masters = [world.master(record) for record in world.queues() if queues is None or record.name in queues]
    return all(master is not None and not next(master.queue.living(), None) for master in masters)


class Course:
    """Faults, and the repairs between them: at most one node is left harmed by most of them."""

    def __init__(self, world: World, dice: Random) -> None:
        self._world = world
        self._dice = dice

    async def misbehave(self, fault: str) -> None:
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
        if fault.endswith("master"):
            name = self._master() or name
        elif fault.endswith("leader"):
            name = world.leader() or name
        if fault in ("all at once", "power of all, back without master", "master and leader"):
            await self._strike_several(fault, name)
        elif fault in (
            "two in a row",
            "freeze, kill another, thaw",
            "mirrors asleep, kill master",
            "return, kill master",
            "half cut off, kill master",
        ):
            await self._strike_in_turn(fault, name, dice.choice([each for each in running if each != name] or [name]))
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
            case "cut off" | "cut off master":
                for each in world.hosts:
                    self._cut(name, each)
                await trio.sleep(dice.choice([0.5, 2.0, 6.0]))
            case "disk" | "disk master" | "disk leader":
                self._break_disk(name)
                await trio.sleep(dice.choice([0.0, 0.5, 2.0]))
            case "other policy":
                await self._set_policy(name, dice.choice(POLICIES))
            case "cut a link":
                self._cut(name, dice.choice(list(world.hosts)))
            case _:
                raise ValueError(fault)

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
                world.note(f"cut {name} > {other}")
                world.network.cut(name, other, one_way=True)
                await trio.sleep(dice.choice([0.1, 0.5, 1.0]))
                world.kill(name)
            case "return, kill master":
                world.kill(other)
                await trio.sleep(dice.uniform(0.1, 1.0))
                world.start(other)
                await trio.sleep(dice.uniform(0.02, 0.15))
                world.kill(self._master() or name)

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

    def _cut(self, one: str, other: str) -> None:
        one_way = self._dice.random() < 0.3
        if one != other:
            self._world.note(f"cut {one} {'>' if one_way else '-'} {other}")
            self._world.network.cut(one, other, one_way=one_way)

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
