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

Decides the order in which a node comes up and goes down, and when a life is over: when the node is told to stop, when
the cluster has ended this life, or when it has been without a majority for too long. Then all of the above is thrown
away, and the next life begins from what is on disk. It must not know what its parts do.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any

import trio

from broker.amqp.handshake import Limits
from broker.cluster import records as identified
from broker.cluster import schema
from broker.cluster.records import QueueRecord
from broker.cluster.refusal import Refused
from broker.management.census import Census
from broker.management.door import HttpDoor
from broker.metadata.driver import Driver
from broker.metadata.shared_tree import SharedTree
from broker.node.certificates import client_context, contexts_of
from broker.node.commands import Commands
from broker.node.configuration import Cluster, Settings
from broker.node.founding import founding_of
from broker.node.recovered import copies_of
from broker.node.report import Report
from broker.node.set_aside import SetAside
from broker.node.timeline import Timeline
from broker.peers.greeting import Credentials, Identity
from broker.peers.links import CUTS, Links
from broker.peers.reception import Reception
from broker.server.door import Door
from broker.server.gate import Gate
from broker.server.listener import AmqpListener
from broker.storage.identity import Folder
from broker.storage.journal import Journal, JournalFailed
from broker.storage.recover import Recovery
from broker.storage.zab_log import ZabLog
from broker.vhosts.alarms import AlarmLimits
from broker.vhosts.certificates import NameRule
from broker.vhosts.hall import Hall
from broker.vhosts.logins import LoginRules
from broker.vhosts.properties import server_properties
from broker.vhosts.switchboard import Switchboard
from broker.vhosts.upkeep import Upkeep
from broker.world.clock import Clock
from broker.world.disk import Disk
from broker.world.memory import Memory
from broker.world.network import Network

log = logging.getLogger("warren.node")

STOP_GRACE_S = 3.0
"""How long clients get for their farewell."""
BETWEEN_LIVES_S = 0.2
LOOKS_DEAD_S = 1.0
"""So long a failed node's address refuses: peers take that for the proof of its death that it is."""
QUORUM_SHARE_OF_TICKTIME = 0.6
"""A node without a majority pauses after this share of net_ticktime, as its lease does."""


class End(Enum):
    """Why a life ended."""

    STOPPED = "stopped"
    """Somebody told the node to stop."""
    OVER = "over"
    """The cluster goes on without this life, or this node was without a majority: a new one begins."""


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
        self.alarm_limits = AlarmLimits(settings.vm_memory_high_watermark, settings.disk_free_limit)
        self.world = world
        self.cut = dict(cut)
        self.definitions = definitions
        self.proven_over: dict[str, int] = {}
        """By name the newest life whose end this process has seen proven; it outlives the lives of this node."""
        self.stopping = trio.Event()
        self.report = Report(cluster, self.config, world.clock)
        self.timeline = Timeline(name, world.clock, world.disk, self.config.settings.net_ticktime)

    def stop(self) -> None:
        """Let the present life be the last."""
        self.stopping.set()

    async def run(self) -> None:
        """One life after the other, until the node is told to stop."""
        await self.timeline.load()
        while True:
            life = Life(self)
            try:
                if await life.run() is End.STOPPED:
                    return
            except* JournalFailed as failed:
                self.report.fail(f"{_first_of(failed)}: mend the disk, then `warren restart {self.name}`")
            except* Refused as refused:
                self.report.fail(
                    f"{_first_of(refused)}: the data folder is an older copy: remove it, and start the node again"
                )
            if self.report.failure:
                await self._say_why()
                return
            self.report.forget_life()
            with trio.move_on_after(BETWEEN_LIVES_S):
                await self.stopping.wait()

    async def _say_why(self) -> None:
        """A node that cannot write any more is as good as killed; it stays only to say so (DESIGN S8)."""
        log.critical("event=failed node=%s why=%r", self.name, self.report.failure)
        with trio.move_on_after(LOOKS_DEAD_S):
            await self.stopping.wait()
        commands = Commands(self.report, self.timeline, None)
        credentials = Credentials(Identity(self.name, 0, ""), cluster=self.cluster.name, cookie=self.cluster.cookie)
        reception = Reception(credentials, {}, {}, tls=contexts_of(self.cluster.tls), admin=commands.answer)
        listener = await self.world.network.listen(self.report.link)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reception.run, listener)
            await self.stopping.wait()
            nursery.cancel_scope.cancel()


class Life:
    """From what is on disk to the end of one life."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._end = End.OVER
        self._scope = trio.CancelScope()
        self._doors: list[AmqpListener | HttpDoor] = []
        self._quorum_changed = trio.Event()

    async def run(self) -> End:
        """Live."""
        node, world = self._node, self._node.world
        folder = await Folder.begin_life(world.disk, chance=world.chance, stamp_ms=world.clock.stamp_ms())
        journal, zab_log = Journal(world.disk), ZabLog(world.disk)
        recovery = await journal.recover()
        durable = await zab_log.recover()
        listener = await world.network.listen(node.report.link)
        node.report.begin_life(folder.life, listener.address)
        log.info("event=life_begins node=%s life=%d queues=%d", node.name, folder.life, len(recovery.queues))
        links = self._make_links(folder)
        driver = Driver(
            identified.Life(node.name, folder.life),
            folder.id,
            node.cluster.names,
            durable,
            zab_log,
            links,
            world.chance,
            net_ticktime=node.config.settings.net_ticktime,
            founding=founding_of(node.cluster),
            over=node.proven_over,
        )
        tree = SharedTree(driver)
        hall = self._make_hall(folder, journal, links, tree, recovery)
        commands = Commands(node.report, node.timeline, links)
        node.report.join(links, tree)
        node.timeline.follow(tree.tree)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(journal.run)
                    nursery.start_soon(links.run, listener, commands.answer)
                    await nursery.start(driver.run)
                    nursery.start_soon(node.timeline.run)
                    nursery.start_soon(self._watch_for_stop, tree, folder, journal)
                    tree.on_quorum(self._on_quorum)
                    tree.on_life_ended(lambda: self._finish(f"life {folder.life} was ended by the cluster"))
                    await tree.propose(await self._registration(tree, folder, recovery))
                    nursery.start_soon(self._watch_quorum, tree)
                    census = Census(hall, node.report)
                    await nursery.start(hall.run)
                    await self._open_doors(hall, census, nursery)
                    commands.serve(hall, census)
                    await self._import_definitions(commands)
        finally:
            zab_log.close()
            listener.close_now()
        return self._end

    def _make_hall(self, folder: Folder, journal: Journal, links: Links, tree: SharedTree, recovery: Recovery) -> Hall:
        """Made before the links are up: other nodes may have something for it as soon as they are."""
        node, world = self._node, self._node.world
        switchboard = Switchboard(
            node=node.name,
            life=folder.life,
            journal=journal,
            links=links,
            clock=world.clock,
            lease_valid=tree.lease_valid,
        )
        return Hall(
            switchboard,
            tree,
            world.chance,
            copies_of(recovery.queues),
            server_properties(node.cluster.name),
            locator=node.config.settings.queue_master_locator,
            login_rules=_login_rules(node.config.settings),
            memory=world.memory,
            alarm_limits=node.alarm_limits,
            keep_aside=SetAside(world.disk, world.clock, node.timeline).keep,
        )

    def _make_links(self, folder: Folder) -> Links:
        node = self._node
        credentials = Credentials(
            Identity(node.name, folder.life, folder.id), cluster=node.cluster.name, cookie=node.cluster.cookie
        )
        peers = {other.name: str(other.link.reachable) for other in node.cluster.nodes if other.name != node.name}
        links = Links(node.world.network, credentials, peers, node.world.chance, tls=contexts_of(node.cluster.tls))
        links.on_down.append(lambda peer, life, lane: node.timeline.peer_lost(peer))
        links.on_up.append(lambda peer, life, lane: node.timeline.peer_found(peer))
        for peer, cut in node.cut.items():
            for direction in CUTS[cut]:
                links.block(peer, direction)
        return links

    async def _registration(self, tree: SharedTree, folder: Folder, recovery: Recovery) -> dict[str, Any]:
        """What this life says of itself. Where the journal was damaged no copy here counts as complete (S3)."""
        node, world = self._node, self._node.world
        damaged: list[int] = []
        if recovery.damages:
            await self._until_quorum(tree)
            copies = schema.found(tree.tree, QueueRecord, schema.copies_key(node.name))
            damaged = [record.id for record in copies]
        return {
            "do": "register_life",
            "node": node.name,
            "life": folder.life,
            "folder": folder.id,
            "blank": folder.blank,
            "memory": not world.disk.keeps,
            "damaged": damaged,
            "token": f"{world.chance.getrandbits(64):x}",
        }

    async def _open_doors(self, hall: Hall, census: Census, nursery: trio.Nursery) -> None:
        node = self._node
        settings = node.config.settings
        limits = Limits(
            channel_max=settings.channel_max,
            frame_max=settings.frame_max,
            heartbeat_s=settings.heartbeat,
            message_bytes_max=settings.max_message_size,
        )
        gate = Gate()
        upkeep = Upkeep(hall, settings.net_ticktime, gate.close, gate.open)
        nursery.start_soon(upkeep.run)
        door = Door(
            hall,
            gate,
            node.world.clock,
            node.world.chance,
            limits,
            handshake_timeout_s=settings.handshake_timeout / 1000,
            consumer_timeout_ms=settings.consumer_timeout,
        )
        amqp = AmqpListener(door, node.world.network, node.report.amqp)
        await self._open(amqp, nursery)
        if node.report.amqps is not None and node.cluster.tls is not None:
            amqps = AmqpListener(door, node.world.network, node.report.amqps, client_context(node.cluster.tls))
            await self._open(amqps, nursery)
            node.report.amqps = amqps.address
        if node.world.http is not None:
            http = node.world.http(hall, census, node.report.http)
            await self._open(http, nursery)
            node.report.http = http.address
        node.report.open(hall, amqp.address)
        log.info("event=serving node=%s amqp=%s", node.name, amqp.address)

    async def _import_definitions(self, commands: Commands) -> None:
        """Once for each start of the process, as in RabbitMQ; every node that is given them does so."""
        node = self._node
        if node.definitions is None:
            return
        answer = await commands.answer({"do": "import_definitions", "definitions": node.definitions})
        node.definitions = None
        if "error" in answer:
            log.error("event=definitions_refused node=%s why=%r", node.name, answer["error"])
            node.timeline.tell("definitions", f"definitions were not imported: {answer['error']}")
        else:
            log.info("event=definitions_imported node=%s", node.name)

    async def _open(self, door: AmqpListener | HttpDoor, nursery: trio.Nursery) -> None:
        await door.open()
        self._doors.append(door)
        nursery.start_soon(door.run)

    # ------------------------------------------------------------------ its end

    def _finish(self, why: str) -> None:
        log.warning("event=life_over node=%s why=%r", self._node.name, why)
        self._node.timeline.tell("life", f"node {self._node.name}: {why}")
        self._scope.cancel()

    def _on_quorum(self, there: bool) -> None:
        self._quorum_changed.set()
        self._quorum_changed = trio.Event()

    async def _until_quorum(self, tree: SharedTree, *, there: bool = True) -> None:
        """Return when this node has a majority behind it, or (`there` False) has it no more."""
        while tree.has_quorum is not there:
            await self._quorum_changed.wait()

    async def _watch_quorum(self, tree: SharedTree) -> None:
        """Without a majority nobody else can be asked whether this node's word still counts: it pauses (S3, S9)."""
        while True:
            await self._until_quorum(tree, there=False)
            with trio.move_on_after(QUORUM_SHARE_OF_TICKTIME * self._node.config.settings.net_ticktime):
                await self._until_quorum(tree)
            if not tree.has_quorum:
                self._node.report.close()
                self._finish(f"paused: {self._node.report.why_not_serving()}")
                return

    async def _watch_for_stop(self, tree: SharedTree, folder: Folder, journal: Journal) -> None:
        node = self._node
        await node.stopping.wait()
        self._end = End.STOPPED
        node.report.close()
        for door in self._doors:
            await door.close(STOP_GRACE_S)
        with trio.move_on_after(STOP_GRACE_S):
            await tree.propose({"do": "end_life", "node": node.name, "life": folder.life, "why": "shutdown"})
        with trio.move_on_after(STOP_GRACE_S):
            await journal.wait_synced(journal.appended)
        self._scope.cancel()


def _login_rules(settings: Settings) -> LoginRules:
    name_rule = NameRule(
        settings.ssl_cert_login_from, settings.ssl_cert_login_san_type, settings.ssl_cert_login_san_index
    )
    return LoginRules(settings.auth_mechanisms, settings.loopback_users, name_rule)


def _first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
