"""One node: everything that one life of it is made of, and the tree of its tasks.

    life
    ├─ journal              storage: write and fsync for everyone waiting
    ├─ links                peers: two lanes to and from every other node, and the admin road
    ├─ driver               metadata: ticks, elections, commits
    ├─ timeline             what happened, for people
    ├─ hall                 vhosts: turns, timers, attaching to masters elsewhere, entries into in-sync sets
    └─ doors                opened last, closed first
       ├─ AMQP listener     and one session per client
       └─ HTTP door         the web framework, once somebody knocks

Decides what follows upon the end of a life: all of the above is thrown away, and the next life begins from what is on
disk, unless the node was told to stop, or its disk has failed. It must not know what a life is made of (`life`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import trio

from broker.cluster.member import Diverged
from broker.cluster.refusal import Refused
from broker.management.door import HttpDoor
from broker.meters.meters import Meters
from broker.node.application import Application
from broker.node.configuration import Cluster
from broker.node.healing import Healing
from broker.node.life import End, Life
from broker.node.membership import Disagrees, Membership
from broker.node.report import Report
from broker.node.resting import rest
from broker.node.set_aside import SetAside
from broker.node.store import Unusable
from broker.node.timeline import Timeline
from broker.storage.journal import JournalDamaged, JournalFailed
from broker.storage.metered import MeteredDisk
from broker.storage.reserve import Reserve
from broker.vhosts.alarms import AlarmLimits
from broker.world.clock import Clock
from broker.world.disk import Disk
from broker.world.memory import Memory
from broker.world.network import Network

log = logging.getLogger("warren.node")

BETWEEN_LIVES_S = 0.2


@dataclass(slots=True)
class Surroundings:
    """The world as one node sees it; the simulation hands in another one."""

    network: Network
    disk: Disk
    clock: Clock
    chance: Random
    http: type[HttpDoor] | None = None
    """It brings its own sockets: the simulation has none."""
    memory: Memory | None = None
    """Not watched if None: simulated nodes share one process."""
    boot: str = ""
    """Which run of the machine this is; empty if nobody knows."""


class Node:
    """One node over all its lives."""

    def __init__(
        self, cluster: Cluster, name: str, world: Surroundings, cut: Mapping[str, str], definitions: Any = None
    ) -> None:
        """`cut`: links to drop from the start. `definitions`: RabbitMQ's object, to import once clients are served."""
        self.name = name
        self.cluster = cluster
        self.config = cluster.node(name)
        settings = self.config.settings
        self.meters = Meters()
        self.disk = Reserve(MeteredDisk(world.disk, self.meters.disk))
        self.alarm_limits = AlarmLimits(settings.vm_memory_high_watermark, settings.disk_free_limit, self.disk)
        self.world = world
        self.suspects: set[int] = set()
        """Segments of the journal in which a life found something that cannot be read: the next one looks closely."""
        self.cut = dict(cut)
        self.definitions = definitions
        self.proven_over: dict[str, int] = {}
        """By name the newest life whose end this process has seen proven; it outlives the lives of this node."""
        self.life_floor = 0
        """The next life has a higher number than this."""
        self.stopping = trio.Event()
        self.membership = Membership(cluster, name, self.disk)
        self.healing = Healing(self.disk)
        self.report = Report(cluster, self.config, self.membership, self.healing)
        self.application = Application(self)
        self.timeline = Timeline(name, world.clock, world.disk, settings.net_ticktime, self.meters.promotions)
        self.set_aside = SetAside(name, self.disk, world.clock, self.timeline, self.healing)

    def stop(self) -> None:
        """Let the present life be the last."""
        self.stopping.set()
        self.application.close()

    async def run(self) -> None:
        """One life after the other, until the node is told to stop. Raises Unusable if not even the first can begin."""
        await self.timeline.load()
        await self.healing.load()
        await self.membership.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.disk.run)
            nursery.start_soon(self.healing.run)
            nursery.start_soon(self.membership.keep)
            await self._live()
            nursery.cancel_scope.cancel()

    async def _live(self) -> None:
        while True:
            suspects, life = set(self.suspects), Life(self)
            try:
                if await life.run() is End.STOPPED:
                    self.application.note_rest()
            except* JournalFailed as failed:
                first = first_of(failed)
                self.timeline.tell("disk", f"node {self.name}: {first}")
                if not isinstance(first, JournalDamaged) or self.suspects == suspects:
                    self.report.fail(f"{first}: mend the disk, then `warren restart {self.name}`")
            except* Unusable as unusable:
                if not self.report.life:
                    raise
                self.report.fail(f"{first_of(unusable)}, then `warren restart {self.name}`")
            except* Diverged as diverged:
                self.report.fail(
                    f"{first_of(diverged)}: perhaps somebody came back with an older copy of its folder; either reset "
                    f"this node, or stop the others, and force_boot this one (`warren ctl -n {self.name} ...`)"
                )
            except* Disagrees as disagrees:
                self.report.fail(
                    f"{first_of(disagrees)} (`warren ctl -n {self.name} reset` makes it a node of its own)"
                )
            except* Refused as refused:
                self.report.fail(
                    f"{first_of(refused)}: the data folder is an older copy: remove it, and start the node again"
                )
            if self.report.failure:
                self.application.fail()
            self.report.forget_life()
            if not self.stopping.is_set() and (self.report.failure or self.report.stopped):
                await rest(self)
                self.report.failure = self.report.stopped = ""
            if self.stopping.is_set():
                return
            with trio.move_on_after(BETWEEN_LIVES_S):
                await self.application.closing.wait()


def first_of(failure: Exception) -> Exception:
    """The first of a group, however deep, or itself."""
    return first_of(failure.exceptions[0]) if isinstance(failure, ExceptionGroup) else failure
