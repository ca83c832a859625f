"""A whole cluster in one trio run: the real nodes on simulated hosts, disks and clock, everything from one seed.

`simulate(seed, story)` runs a story; the story gets a `World`, starts nodes, harms them and looks at them. What happens
is written to `world.trace`, with virtual times: the same seed gives the same trace.
"""

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import trio

from broker.cluster import schema
from broker.cluster.records import QueueRecord
from broker.metadata.shared_tree import SharedTree
from broker.node.configuration import Address, Cluster, Settings, User
from broker.node.configuration import Node as NodeSection
from broker.node.node import Node, Surroundings, first_of
from broker.node.partition_handling import PartitionHandling
from broker.node.store import Unusable
from broker.vhosts.hall import Hall
from broker.vhosts.local import Local
from broker.world.clock import Clock
from policies.models import Policy
from tests.simulation.disk import SimDisk
from tests.simulation.freezing import PROCESS, Freezer
from tests.simulation.memory import SimMemory
from tests.simulation.network import SimNetwork
from tests.simulation.scheduler import seeded_scheduler
from tests.simulation.virtual_time import VirtualTime, pause

NAMES = ("n1", "n2", "n3")
USER = "app"
NET_TICKTIME_S = 2.0
EPOCH_MS = 1_700_000_000_000
MAJORITY = PartitionHandling("pause_minority")
HA_ALL = {"ha-mode": "all", "ha-sync-mode": "automatic", "ha-promote-on-failure": "when-synced"}


def policy(definition: dict[str, Any], pattern: str = "^", name: str = "p", priority: int = 0) -> Policy:
    """A policy of the vhost "/"."""
    return Policy("/", name, pattern, definition, "queues", priority)


class SimClock(Clock):
    """Wall time that goes with virtual time, as far as its host's clock is not wrong."""

    def __init__(self, host: "Host") -> None:
        self._host = host

    def stamp_ms(self) -> int:
        """See `Clock.stamp_ms`."""
        return EPOCH_MS + self._host.clock_off_ms + round(trio.current_time() * 1000)


class Host:
    """One machine: its disk, its memory, and the process that runs on it now, if any."""

    def __init__(self, name: str, disk: SimDisk) -> None:
        self.name = name
        self.disk = disk
        self.memory = SimMemory()
        self.clock_off_ms = 0
        """How wrong its wall clock is."""
        self.starts = 0
        self.boots = 0
        self.node: Node | None = None
        self.scope = trio.CancelScope()

    @property
    def up(self) -> bool:
        """Whether a process runs."""
        return self.node is not None


class World:
    """The cluster and what may befall it."""

    def __init__(
        self,
        seed: int,
        nursery: trio.Nursery,
        freezer: Freezer,
        names: Iterable[str],
        policies: Iterable[Policy],
        settings: Settings,
        handling: PartitionHandling,
    ) -> None:
        self.seed = seed
        self.chance = Random(f"world {seed}")
        self.nursery = nursery
        self.network = SimNetwork(Random(f"network {seed}"))
        self.trace: list[str] = []
        self._freezer = freezer
        self._began = trio.current_time()
        self.cluster = _cluster(names, policies, settings, handling)
        self.hosts = {name: Host(name, SimDisk(Random(f"disk of {name} {seed}"))) for name in self.cluster.names}

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{trio.current_time() - self._began:9.4f} {text}")

    # ------------------------------------------------------------------ what befalls nodes

    def start(self, *names: str) -> None:
        """Start processes; none: all that do not run."""
        for name in names or self.hosts:
            host = self.hosts[name]
            if host.up:
                continue
            host.starts += 1
            chance = Random(f"node {name} {host.starts} {self.seed}")
            world = Surroundings(
                self.network.host(name), host.disk, SimClock(host), chance, memory=host.memory, boot=f"{host.boots}"
            )
            host.node = Node(self.cluster, name, world, {})
            host.scope = trio.CancelScope()
            self.note(f"start {name}")
            token = PROCESS.set(f"{name}.{host.starts}")
            self.nursery.start_soon(self._run, host, host.node, host.scope)
            PROCESS.reset(token)

    async def _run(self, host: Host, node: Node, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await node.run()
        except Exception as failure:
            if not scope.cancel_called:  # whatever the dying say does not count
                if not isinstance(first_of(failure), Unusable):
                    raise
                self.note(f"{host.name} cannot start: {first_of(failure)}")
        except BaseExceptionGroup as failure:  # the simulation ends at the same moment
            cancelled, _ = failure.split(trio.Cancelled)
            if cancelled is None or not scope.cancel_called:
                raise
            raise cancelled from None
        if host.node is node:
            host.node = None
            self.network.kill(host.name)
            self.note(f"ended {host.name}")

    def kill(self, *names: str, power: bool = False) -> None:
        """End processes at once (kill -9); with `power` their machines, which forget what was not synced."""
        for name in names:
            host = self.hosts[name]
            if not host.up:
                continue
            host.node = None
            host.scope.cancel()
            self.network.kill(name)
            self._freezer.thaw(f"{name}.{host.starts}")
            host.disk.lose_power() if power else host.disk.kill()
            host.boots += power
            self.note(f"{'power of' if power else 'kill'} {name}")

    async def stop(self, name: str) -> None:
        """An orderly stop; returns when the process has ended."""
        host = self.hosts[name]
        if host.node is not None:
            self.note(f"stop {name}")
            host.node.stop()
            await until(lambda: not host.up, 30)

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        host = self.hosts[name]
        if host.up and not self.is_frozen(name):
            self.note(f"freeze {name}")
            host.disk.asker_frozen = True
            self._freezer.freeze(f"{name}.{host.starts}")

    def thaw(self, *names: str) -> None:
        """SIGCONT; no name: for all."""
        for name in names or self.hosts:
            if self.is_frozen(name):
                self.note(f"thaw {name}")
                self.hosts[name].disk.asker_frozen = False
                self._freezer.thaw(f"{name}.{self.hosts[name].starts}")

    def is_frozen(self, name: str) -> bool:
        """Whether it stands still."""
        return self._freezer.is_frozen(f"{name}.{self.hosts[name].starts}")

    def mend(self) -> None:
        """Heal the network and the disks, thaw what is frozen, start what is down."""
        self.network.heal()
        self.thaw()
        for host in self.hosts.values():
            host.disk.mend()
        self.restart_failed()
        self.start()

    def restart_failed(self) -> None:
        """What an operator does once the disk is mended: the nodes have said what they failed of."""
        for name, host in self.hosts.items():
            failure = "" if host.node is None else host.node.report.failure
            if failure and not host.disk.is_broken:
                self.note(f"restart {name}: {failure}")
                self.kill(name)
                self.start(name)

    # ------------------------------------------------------------------ what can be seen

    def running(self) -> list[str]:
        """Nodes with a process that is not frozen."""
        return [name for name, host in self.hosts.items() if host.up and not self.is_frozen(name)]

    def hall(self, name: str) -> Hall | None:
        """The hall of a node that serves clients."""
        node = self.hosts[name].node
        return None if node is None else node.report.hall

    def tree(self, name: str) -> SharedTree | None:
        """The tree of a node that has one in this life."""
        node = self.hosts[name].node
        return None if node is None else node.report.tree

    def serving(self) -> list[str]:
        """Nodes where clients are served."""
        return [name for name in self.running() if self.hall(name) is not None]

    def leader(self) -> str | None:
        """The node that leads the metadata, as a majority sees it."""
        for name in self.serving():
            tree = self.tree(name)
            if tree is not None and tree.role == "leader" and tree.has_quorum:
                return name
        return None

    def queue(self, queue: str, at: str | None = None) -> QueueRecord:
        """The queue's record as a serving node sees it."""
        names = [at] if at else self.serving()
        for name in names:
            tree = self.tree(name)
            if tree is not None:
                record = schema.queue(tree.tree, "/", queue)
                if record is not None:
                    return record
        raise KeyError(queue)

    def queues(self) -> list[QueueRecord]:
        """All queues, also those behind delayed exchanges, as the first serving node sees them."""
        for name in self.serving():
            tree = self.tree(name)
            if tree is not None:
                return schema.all_queues(tree.tree, "/")
        return []

    def master(self, record: QueueRecord) -> Local | None:
        """The master of a queue in its term, if it is there."""
        hall = self.hall(record.master.node)
        local = None if hall is None else hall.guests.locals.get(record.id)
        return local if local is not None and local.master.term == record.term else None

    def synchronised(self, *queues: str) -> bool:
        """Whether each queue (none named: all) has its master and every mirror it should have, in sync."""
        records = [self.queue(queue) for queue in queues] if queues else self.queues()
        return bool(records) and all(self._is_synchronised(record) for record in records)

    def _is_synchronised(self, record: QueueRecord) -> bool:
        wanted = {record.master, *record.mirrors}
        return record.state == "running" and set(record.in_sync) == wanted and self.master(record) is not None

    async def ready(self, seconds: float = 30) -> None:
        """Wait until all nodes serve."""
        await until(lambda: len(self.serving()) == len(self.hosts), seconds)
        self.note("ready")


async def until(condition: Callable[[], object], seconds: float, step_s: float = 0.05) -> None:
    """Wait for something to become true; trio.TooSlowError after so many virtual seconds."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  # what nodes come to is looked at from outside: nobody rings a bell
            await trio.sleep(step_s)


Story = Callable[[World], Awaitable[None]]


def simulate(
    seed: int,
    story: Story,
    *,
    names: Iterable[str] = NAMES,
    policies: Iterable[Policy] = (),
    start: bool = True,
    handling: PartitionHandling = MAJORITY,
    **settings: Any,
) -> World:
    """Run a story from a seed. Nodes are started, and waited for, unless `start` is false; `settings` are theirs."""
    freezer = Freezer()

    async def main() -> World:
        async with trio.open_nursery() as nursery:
            own = Settings(net_ticktime=NET_TICKTIME_S, **settings)
            world = World(seed, nursery, freezer, names, policies, own, handling)
            try:
                if start:
                    world.start()
                    await world.ready()
                await story(world)
            finally:
                freezer.thaw_all()
                for name in world.hosts:
                    world.kill(name)
                nursery.cancel_scope.cancel()
        return world

    # A cancel scope for each sleep, as trio makes one, would cost more than most of what is done between two of them.
    with _uncollected(), seeded_scheduler(seed), freezer.installed(), patch.object(trio, "sleep", pause):
        return trio.run(main, clock=VirtualTime())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Inside, nobody looks for garbage: of what a run makes nearly everything lives to its end, and looking at all of
    it again and again would take a seventh of its time. What the run before has left goes first."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _cluster(
    names: Iterable[str], policies: Iterable[Policy], settings: Settings, handling: PartitionHandling
) -> Cluster:
    nodes = [
        NodeSection(name, Address(name, 5672), Address(name, 15672), Address(name, 25672), settings) for name in names
    ]
    return Cluster(
        name="simulated",
        cookie="crumbs",
        partition_handling=handling,
        nodes=tuple(nodes),
        data=Path("simulated"),
        vhosts=("/",),
        users=(User(USER, USER, ("administrator",), {"/": (".*", ".*", ".*")}),),
        policies=tuple(policies),
        operator_policies=(),
    )
