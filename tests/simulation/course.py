"""One judged run from a seed: clients work while faults come one after the other.

Then everything is mended, the cluster has to become whole within a bounded time, everything published is drained, and
the judges are asked. What befalls the cluster is drawn before it begins, so that a run can be repeated without some of
it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
import trio

from broker.node.partition_handling import PartitionHandling
from tests.simulation import disk
from tests.simulation.faults import FAULTS, ONE_OF_EACH, Faults
from tests.simulation.gives import Gives
from tests.simulation.judges import (
    Broken,
    Histories,
    judge_answers,
    judge_cancels,
    judge_copies,
    judge_counts,
    judge_deaths,
    judge_delays,
    judge_kept,
    judge_loss,
    judge_memory,
    judge_order,
    judge_prefetch,
    judge_single,
    judge_transactions,
    takes_little_space,
    takes_no_space,
)
from tests.simulation.leases import Leases
from tests.simulation.modes import is_whole, kept_bodies, reunite
from tests.simulation.return_counts import ReturnCounts
from tests.simulation.roads import DELIVERY_LIMIT, road
from tests.simulation.scarcity import SCARCITIES
from tests.simulation.workload import Workload
from tests.simulation.world import HA_ALL, MAJORITY, NAMES, World, policy, simulate, until

ROADS = ("red", "blue", "green", "brown")
PROGRESS_S = 40.0
"""Virtual seconds within which a mended cluster has to be whole, and all publishers answered."""
DRAIN_S = 60.0
LAST_WORDS_S = 0.1
"""So long the settle of the last message may take to its mirrors before the copies are compared."""
ENOUGH_S = 60.0
"""After so long a run ends, though less was confirmed than it should be: the judge of totals will say so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed may bring: by default at least twenty seconds, five faults, one of each kind, and 300 confirms."""

    faults: Sequence[str] = FAULTS
    """What further faults are drawn from, with repetition."""
    one_of_each: Sequence[Sequence[str]] = ONE_OF_EACH
    steps: int = 5
    """Number of faults."""
    seconds_min: float = 20.0
    confirmed_min: int = 300
    persistent: bool = True
    publishers: int = 1
    consumers: int = 1
    """Of each queue; without any it is read when everything has been published."""
    visitors: int = 0
    """Clients that make queues and remove them."""
    kinds: Sequence[str] = ("plain", "plain")
    """Of the roads that are published to; see `road`. Without a kind there is no road."""
    disk_delay_s_max: float | None = None
    """If it is not that of `disk`: a slow disk leaves wide gaps between what was done and what is safe."""
    scarcities: Sequence[str] = ()
    """What there is little of; see `scarcity`."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the policy of queues without one of their own that are not as in `HA_ALL`."""
    kept: Sequence[int] | None = None
    """Numbers of the faults that come; None: all of them."""
    names: Sequence[str] = NAMES
    handling: PartitionHandling = MAJORITY
    parts: bool = False
    """Two sides may go on without each other: what one of them confirmed may be set aside instead of delivered, and
    neither sees what the other gave to whom."""


def brief(faults: Sequence[str], *, steps: int = 4, **how: Any) -> Plan:
    """A short run of nothing but these faults."""
    return Plan(faults, one_of_each=(), steps=steps, seconds_min=0.0, confirmed_min=0, **how)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a run, with dice of its own."""

    number: int
    pause_s: float
    fault: str


def steps_of(seed: int, plan: Plan) -> list[Step]:
    """What befalls the cluster, without what the plan leaves out."""
    dice = Random(f"faults {seed}")
    faults = [dice.choice(each) for each in plan.one_of_each][: plan.steps]
    faults += [dice.choice(plan.faults) for _ in range(plan.steps - len(faults))]
    dice.shuffle(faults)
    steps = [Step(number, dice.choice([0.1, 0.5, 1.0, 3.0]), fault) for number, fault in enumerate(faults)]
    return [step for step in steps if plan.kept is None or step.number in plan.kept]


@dataclass(slots=True)
class Outcome:
    """A run that was judged."""

    world: World
    workload: Workload
    histories: Histories

    def totals(self) -> Counter[str]:
        """What happened in it."""
        world = self.world
        return Counter(
            confirmed=len(self.workload.ledger.confirmed),
            promotions=self.histories.promotions(),
            elections=self.histories.elections(),
            partitions=world.network.partitions,
            restarts=sum(host.starts - 1 for host in world.hosts.values()),
        )


def run_seed(seed: int, plan: Plan = Plan()) -> Outcome:
    """One run. Raises Broken, with the seed and the trace, if a judge saw something or a node fell over."""
    outcomes: list[Outcome] = []
    histories, gives = Histories(), Gives()

    roads = [road(kind, name) for kind, name in zip(plan.kinds, ROADS, strict=False) if kind]
    policies = [policy({**HA_ALL, **plan.policy}), *(each for road in roads for each in road.policies)]

    async def story(world: World) -> None:
        workload = Workload(world, roads, persistent=plan.persistent)
        outcomes.append(Outcome(world, workload, histories))
        await _run(world, workload, histories, gives, plan)

    try:
        with _surroundings(plan), histories.watching(), gives.watching(), ReturnCounts().watching(), _leases(plan):
            simulate(seed, story, policies=policies, names=plan.names, handling=plan.handling)
        if not plan.parts:
            histories.judge_prefixes()
    except BaseException as failure:
        first = _first(failure)
        if not isinstance(first, Exception):
            raise
        text = str(first) if isinstance(first, Broken) else f"crash: {first!r}"
        raise Broken(f"seed {seed}: {text}", outcomes[0].world.trace if outcomes else []) from (
            None if isinstance(first, Broken) else failure
        )
    return outcomes[0]


def _leases(plan: Plan) -> AbstractContextManager[None]:
    """Two sides have two masters, each with a lease of its own."""
    return nullcontext() if plan.parts else Leases().watching()


@contextmanager
def _surroundings(plan: Plan) -> Iterator[None]:
    delay_s_max = plan.disk_delay_s_max or disk.DELAY_S_MAX
    with patch.object(disk, "DELAY_S_MAX", delay_s_max), pytest.MonkeyPatch.context() as monkeypatch:
        for scarcity in plan.scarcities:
            SCARCITIES[scarcity](monkeypatch)
        yield


def _first(failure: BaseException) -> BaseException:
    """The first of a group; a judge's word before a node's."""
    if not isinstance(failure, BaseExceptionGroup):
        return failure
    firsts = [_first(each) for each in failure.exceptions]
    return next((first for first in firsts if isinstance(first, Broken)), firsts[0])


async def _run(world: World, workload: Workload, histories: Histories, gives: Gives, plan: Plan) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as watchers:
        watchers.start_soon(_watch_masters, world, histories)
        await workload.declare()
        workload.start(plan.publishers, plan.consumers, plan.visitors)
        for step in steps_of(world.seed, plan):
            await trio.sleep(step.pause_s)
            await Faults(world, Random(f"fault {step.number} {world.seed}")).befall(step.fault)
        await trio.sleep(Random(f"end {world.seed}").uniform(0.0, 3.0))
        world.mend()
        with trio.move_on_at(began + ENOUGH_S):
            await trio.sleep_until(began + plan.seconds_min)
            await until(lambda: len(workload.ledger.confirmed) >= plan.confirmed_min, ENOUGH_S)
        workload.publishing = False
        await _in_time("progress: not every node serves", lambda: _all_serve(world))
        if plan.parts and not plan.handling.heals(plan.names):
            await reunite(world)
        if plan.parts:
            await _in_time("progress: not one cluster", lambda: _all_serve(world) and is_whole(world))
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
        if not plan.consumers:
            workload.start(0, 1, 0)
        await _in_time("progress: not drained", lambda: _is_empty(world), DRAIN_S)
        await trio.sleep(LAST_WORDS_S)
        await _in_time("space: a journal keeps messages that nobody has", lambda: takes_no_space(world))
        world.note("quiet")
        watchers.cancel_scope.cancel()
    await judge_copies(world)
    if plan.parts:
        judge_kept(workload.ledger, await kept_bodies(world))
    else:
        _judge_clients(workload, histories, gives)


async def _judge_copies_twice(world: World) -> None:
    """A letter may still leave while the judge reads what lies on disk (seed 31 of little memory): what is wrong with
    copies at rest is wrong a second later, too."""
    try:
        await judge_copies(world)
    except Broken:
        await trio.sleep(1)
        await judge_copies(world)


def _judge_clients(workload: Workload, histories: Histories, gives: Gives) -> None:
    ledger, roads, changes = workload.ledger, workload.roads, histories.changes()
    judge_loss(ledger, {road.name for road in roads if road.sheds})
    judge_transactions(ledger)
    judge_cancels(ledger, changes)
    judge_single(ledger, {road.name for road in roads if road.single}, changes)
    gives.judge(ledger, {record.id: record.name for record in workload.world.queues()})
    judge_order(ledger)  # what comes again without the flag mostly comes out of order, too
    judge_answers(ledger)
    judge_prefetch(ledger)
    judge_delays(ledger)
    judge_counts(ledger, DELIVERY_LIMIT)
    judge_deaths(ledger, {queue: why for road in roads for queue, why in road.deaths.items()})


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
