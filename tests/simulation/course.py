"""What befalls a cluster by seed, and the whole of one judged run.

Faults come one after the other while clients work; then everything is mended, the cluster has to become whole within
a bounded time, everything published is drained, and the judges are asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import trio

from tests.simulation.judges import Broken, Histories, judge_copies, judge_loss, judge_order, judge_repeats
from tests.simulation.workload import Workload
from tests.simulation.world import HA_ALL, World, policy, simulate, until

QUEUES = ["red", "blue"]
PROGRESS_S = 40.0
"""Virtual seconds within which a mended cluster has to be whole, and all publishers answered."""
DRAIN_S = 60.0
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
        "power",
        "quick restart",
        "freeze",
        "freeze master",
        "freeze, kill another, thaw",
        "two in a row",
        "master and leader",
        "return, kill master",
        "all at once",
        "stop",
    )
    steps: int = 5
    persistent: bool = True
    publishers: int = 1
    consumers: int = 1


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

    async def story(world: World) -> None:
        workload = Workload(world, QUEUES, persistent=plan.persistent)
        outcome.append(Outcome(world, workload))
        await _run(world, workload, histories, plan)

    try:
        with histories.watching():
            simulate(seed, story, policies=[policy(HA_ALL)])
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
        await _in_time("progress: not every node serves", lambda: len(world.serving()) == len(world.hosts))
        await _in_time("progress: not synchronised", world.synchronised)
        await _in_time("progress: publishers wait for answers", lambda: workload.active == 0)
        await _in_time("progress: not drained", lambda: _is_drained(world, workload), DRAIN_S)
        await trio.sleep(LAST_WORDS_S)
        world.note("quiet")
        watchers.cancel_scope.cancel()
    judge_copies(world)
    judge_loss(workload.ledger)
    judge_repeats(workload.ledger)
    judge_order(workload.ledger)


async def _watch_masters(world: World, histories: Histories) -> None:
    while True:
        histories.look_at_masters(world)
        await trio.sleep(0.05)


async def _in_time(promise: str, condition: Callable[[], object], seconds: float = PROGRESS_S) -> None:
    try:
        await until(condition, seconds)
    except trio.TooSlowError:
        raise Broken(f"{promise} within {seconds:g} s") from None


def _is_drained(world: World, workload: Workload) -> bool:
    masters = [world.master(record) for record in world.queues()]
    return all(master is not None and not next(master.queue.living(), None) for master in masters)


class Course:
    """Faults, and the repairs between them: at most one node is left harmed by most of them."""

    def __init__(self, world: World, dice: Random) -> None:
        self._world = world
        self._dice = dice

    async def misbehave(self, fault: str) -> None:
        """Let one fault happen, and most things be repaired in time."""
        world, dice = self._world, self._dice
        if len(world.running()) < len(world.hosts) and dice.random() < 0.7:
            world.mend()
            if dice.random() < 0.7:
                await self._whole()
        running = world.running()
        if not running:
            return
        name = dice.choice(running)
        other = dice.choice([each for each in running if each != name] or [name])
        master = self._master() or name
        leader = world.leader() or name
        world.note(f"fault: {fault}")
        match fault:
            case "kill" | "power":
                world.kill(name, power=fault == "power")
            case "kill master":
                world.kill(master, power=dice.random() < 0.5)
            case "kill leader":
                world.kill(leader)
            case "quick restart":
                world.kill(name, power=dice.random() < 0.5)
                await trio.sleep(dice.uniform(0.0, 0.1))
                world.start(name)
            case "freeze":
                world.freeze(name)
            case "freeze master":
                world.freeze(master)
                await trio.sleep(dice.choice([0.5, 1.5, 4.0, 7.0]))
                world.thaw(master)
            case "freeze, kill another, thaw":
                if dice.random() < 0.5:
                    name, other = master, name if name != master else other
                world.freeze(name)
                await trio.sleep(dice.choice([0.05, 1.0, 4.0, 8.0]))
                world.kill(other)
                await trio.sleep(dice.uniform(0.0, 0.5))
                world.thaw(name)
            case "two in a row":
                world.kill(name)
                await trio.sleep(dice.uniform(0.0, 1.0))
                world.kill(other, power=dice.random() < 0.5)
            case "master and leader":
                world.kill(master, leader)
            case "return, kill master":
                world.kill(name)
                await trio.sleep(dice.uniform(0.1, 1.0))
                world.start(name)
                await trio.sleep(dice.uniform(0.02, 0.15))
                world.kill(self._master() or other)
            case "all at once" | "power of all":
                power = fault == "power of all" or dice.random() < 0.5
                world.kill(*world.hosts, power=power)
                await trio.sleep(dice.uniform(0.0, 1.0))
                for each in dice.sample(list(world.hosts), len(world.hosts)):
                    world.start(each)
                    await trio.sleep(dice.choice([0.0, 0.05, 1.0, 4.0]))
            case "stop":
                await world.stop(name)
            case _:
                raise ValueError(fault)

    def _master(self) -> str | None:
        running = self._world.running()
        masters = [record.master.node for record in self._world.queues()]
        return next((name for name in self._dice.sample(masters, len(masters)) if name in running), None)

    async def _whole(self) -> None:
        world = self._world
        with trio.move_on_after(self._dice.choice([1.0, 5.0, 10.0])):
            await until(lambda: len(world.serving()) == len(world.hosts) and world.synchronised(), 60)
