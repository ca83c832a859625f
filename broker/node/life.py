"""One life of a node: from what is on disk to its end.

Decides the order in which a life's parts come up and go down, and when it is over: when the node is told to stop, when
the cluster has ended it, when it has been without a majority for too long, or when its disk has failed. It must not
know what its parts do, nor what follows upon its end (`node`).
"""

import logging
from collections.abc import Awaitable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import records as identified
from broker.cluster import schema
from broker.cluster.history import History
from broker.cluster.member import Yields
from broker.cluster.records import ClusterRecord, QueueRecord, decode
from broker.cluster.refusal import Refused
from broker.cluster.succession import DISK
from broker.cluster.watches import Change
from broker.management.census import Census
from broker.metadata.driver import Driver
from broker.metadata.shared_tree import SharedTree
from broker.mirroring.pacing import Pacing
from broker.node.autoheal import Autoheal
from broker.node.certificates import contexts_of
from broker.node.commands import Commands
from broker.node.doors import Doors
from broker.node.founding import founding_of
from broker.node.healing import FILE as HEALING
from broker.node.healing import copies_here
from broker.node.membership import EARLIER, Disagrees, disagreement
from broker.node.membership import NAME as MEMBERSHIP
from broker.node.recovered import copies_of
from broker.node.recoveries import Recoveries
from broker.node.store import Store, unless_disk_fails
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import CUTS, Links
from broker.storage.fsync import Fsync
from broker.storage.journal import JournalFailed
from broker.storage.segments import FOLDER
from broker.storage.wiping import wipe
from broker.vhosts.certificates import NameRule
from broker.vhosts.hall import Hall
from broker.vhosts.logins import LoginRules
from broker.vhosts.properties import server_properties
from broker.vhosts.switchboard import Switchboard

if TYPE_CHECKING:
    from broker.node.configuration import Settings
    from broker.node.node import Node

log = logging.getLogger("warren.node")

STOP_GRACE_S = 3.0
"""How long clients get for their farewell."""
FAILED_GRACE_S = 0.3
"""The same where the disk has failed: their queues wait for this node's end."""
HAND_OVER_S = 1.0
"""So long a life whose disk has failed waits for the cluster to end it."""
LAST_WORDS_S = 0.1
"""The same without a metadata log to hear of it by, and perhaps with an office that others have to take over."""
QUORUM_SHARE_OF_TICKTIME = 0.6
"""A node without a majority pauses after this share of net_ticktime, as its lease does."""
WINNER_TICKTIMES = 10.0
"""So long a node waits for the history for which it gave its own up."""
VIEW_TICKTIMES = 2.4
"""Where all in sight decide, those who are left find each other once the others have been silent for net_ticktime;
whose life ended meanwhile would have to wait for them."""


class End(Enum):
    """Why a life ended."""

    STOPPED = "stopped"
    """Somebody told the node to stop."""
    OVER = "over"
    """The cluster goes on without this life, or this node was without a majority: a new one begins."""


class Life:
    """From what is on disk to the end of one life."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._end = End.OVER
        self._scope = trio.CancelScope()
        self._doors = Doors(node)
        settings = node.config.settings
        self._store = Store(node.disk, Fsync(settings.fsync, settings.fsync_interval), node.suspects)
        self._failure: JournalFailed | None = None
        self._disagreement: Disagrees | None = None
        self._link = ""
        self._token = f"{node.world.chance.getrandbits(64):x}"
        self._properties = server_properties(node.cluster.name)
        self._failed = trio.Event()
        self._quorum_changed = trio.Event()

    async def run(self) -> End:
        """Live."""
        node, world = self._node, self._node.world
        store = self._store
        if node.membership.standing.orders.reset:  # an operator's reset was cut short
            await self._durably(wipe(node.disk), FOLDER)
            await self._durably(node.healing.forget(), HEALING)
            await self._durably(node.membership.obeyed(), MEMBERSHIP)
        await store.open(world.chance, world.clock.stamp_ms(), world.boot, node.life_floor)
        folder = store.folder
        listener = await world.network.listen(node.report.link)
        node.report.begin_life(folder.life, listener.address)
        log.info("event=life_begins node=%s life=%d queues=%d", node.name, folder.life, len(store.recovery.queues))
        links = self._make_links(listener.address)
        driver = self._make_driver(links)
        tree = SharedTree(driver)
        driver.on_log_failed.append(store.fail)
        hall = self._make_hall(links, tree)
        commands = Commands(node.report, node.timeline, links, node.application.verbs)
        node.membership.follow(tree, links)
        tree.watch(schema.CLUSTER, self._cluster_changed)
        node.report.join(links, tree)
        node.timeline.follow(tree.tree)
        lost: Yields | None = None
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_store)
                    nursery.start_soon(self._hand_over, driver)
                    nursery.start_soon(links.run, listener, commands.answer)
                    await nursery.start(driver.run)
                    nursery.start_soon(node.timeline.run)
                    nursery.start_soon(self._watch_for_stop, tree)
                    tree.on_quorum(self._on_quorum)
                    tree.on_life_ended(self._on_life_ended)
                    await self._leave_behind(tree)
                    nursery.start_soon(self._wait_for_winner)
                    await tree.propose(await self._registration(tree))
                    await store.registered()
                    await self._durably(node.membership.obeyed(), MEMBERSHIP)
                    await self._durably(node.healing.joined(), HEALING)
                    nursery.start_soon(self._watch_quorum, tree)
                    census = Census(hall, node.report)
                    await nursery.start(partial(unless_disk_fails, hall.run))
                    await self._doors.open(hall, census, commands.answer, nursery)
                    log.info("event=serving node=%s amqp=%s", node.name, node.report.amqp)
                    commands.serve(hall, census, Recoveries(hall, node.set_aside, node.timeline))
                    ticktime_s = node.config.settings.net_ticktime
                    autoheal = Autoheal(node.cluster.partition_handling, hall, tree, node.timeline, ticktime_s)
                    nursery.start_soon(autoheal.run, partial(links.is_up, lane="control"))
                    await self._import_definitions(commands)
        except* Yields as group:
            lost = _first(group)
        finally:
            node.membership.leave_life()
            store.close()
            listener.close_now()
        if lost is not None:
            await self._give_history_up(lost, tree)
        if self._disagreement is not None:
            raise self._disagreement
        if self._failure is not None:
            raise self._failure
        return self._end

    def _make_driver(self, links: Links) -> Driver:
        node, store = self._node, self._store
        return Driver(
            identified.Life(node.name, store.folder.life),
            store.folder.id,
            node.membership.names,
            store.durable,
            store.zab_log,
            links,
            node.world.chance,
            net_ticktime=node.config.settings.net_ticktime,
            founding=founding_of(node.cluster, node.membership.addresses),
            over=node.proven_over,
            rule=node.cluster.partition_handling.rule,
            forced=node.membership.standing.orders.force_boot,
            only_epoch=node.healing.epoch,
            token=self._token,
        )

    def _make_hall(self, links: Links, tree: SharedTree) -> Hall:
        """Made before the links are up: other nodes may have something for it as soon as they are."""
        node, world, store = self._node, self._node.world, self._store
        switchboard = Switchboard(
            node=node.name,
            life=store.folder.life,
            journal=store.journal,
            links=links,
            clock=world.clock,
            lease_valid=lambda: self._failure is None and tree.lease_valid(),
        )
        return Hall(
            switchboard,
            tree,
            world.chance,
            copies_of(store.recovery.queues),
            self._properties,
            locator=node.config.settings.queue_master_locator,
            pacing=Pacing(
                node.config.settings.mirroring_sync_batch_size, node.config.settings.mirroring_sync_max_throughput
            ),
            login_rules=_login_rules(node.config.settings),
            memory=world.memory,
            alarm_limits=node.alarm_limits,
            keeper=node.set_aside,
            meters=node.meters,
        )

    def _make_links(self, listening: str) -> Links:
        node, folder, durable = self._node, self._store.folder, self._store.durable
        self._link = node.config.link.announced(listening)
        credentials = Credentials(
            Identity(node.name, folder.life, folder.id),
            cluster=node.cluster.name,
            cookie=node.cluster.cookie,
            link=self._link,
        )
        voters = History(durable).members
        links = Links(
            node.world.network,
            credentials,
            node.membership.peers(voters),
            node.world.chance,
            tls=contexts_of(node.cluster.tls),
            objection=node.membership.objection,
        )
        links.on_refused.append(partial(self._hear_refusal, voters))
        links.on_down.append(lambda peer, life, lane: node.timeline.peer_lost(peer))
        links.on_up.append(lambda peer, life, lane: node.timeline.peer_found(peer))
        for peer, cut in node.cut.items():
            for direction in CUTS[cut]:
                links.block(peer, direction)
        return links

    def _hear_refusal(self, voters: dict[str, str], peer: str, words: str) -> None:
        """A member by this node's own log serves, and does not know this node (any more)."""
        why = disagreement(self._node.name, peer)
        _, found, number = words.rstrip("'").partition(EARLIER)
        if found and number.isdecimal() and int(number) > self._node.life_floor:
            self._node.life_floor = int(number)
            self._finish(f"life {self._store.folder.life} begins anew: {number} was before, and the clock went back")
        if peer in voters and why in words and self._disagreement is None:
            self._disagreement = Disagrees(why)
            self._scope.cancel()

    async def _leave_behind(self, tree: SharedTree) -> None:
        """Whom an operator has ordered to be forgotten: before this life counts, so that its copies are those of a
        stopped node, which may be the best there are."""
        for name in self._node.membership.standing.orders.forget:
            try:
                await tree.propose({"do": "forget_member", "node": name, "gone": True})
            except Refused as refused:
                log.warning("event=not_left_behind node=%s why=%r", name, refused.why)

    async def _registration(self, tree: SharedTree) -> dict[str, Any]:
        """What this life says of itself. Where the journal was damaged no copy here counts as complete (S3)."""
        node, world, folder = self._node, self._node.world, self._store.folder
        damaged: list[int] = []
        if self._store.is_damaged:
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
            "link": self._link,
            "token": self._token,
        }

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

    # ------------------------------------------------------------------ its end

    async def _wait_for_winner(self) -> None:
        """Who won may have given its own history up since, or never come back: then whoever leads will do."""
        healing = self._node.healing
        if healing.epoch is not None:
            await trio.sleep(WINNER_TICKTIMES * self._node.config.settings.net_ticktime)
            if healing.epoch is not None:
                why = f"the history of {healing.leader} is not to be had: any other one will do"
                await self._durably(healing.joined(), HEALING)
                self._finish(why)

    async def _give_history_up(self, lost: Yields, tree: SharedTree) -> None:
        """Remember which copies hold what only this history had; the next life begins in the other one."""
        node, here = self._node, self._node.name
        copies = copies_here(here, tree.tree, self._store.durable, self._store.recovery.queues)
        text = f"node {here} gives its history up for that of {lost.leader}: what only its queues have is set aside"
        node.timeline.tell("healed", text, leader=lost.leader, epoch=lost.epoch)
        log.warning("event=yields node=%s leader=%s epoch=%d", here, lost.leader, lost.epoch)
        await self._durably(node.healing.begin(lost.leader, lost.epoch, copies), HEALING)

    async def _durably(self, write: Awaitable[None], name: str) -> None:
        """What the next life has to know must be on the disk: else this one ends as with a journal that failed."""
        try:
            await write
        except OSError as error:
            raise JournalFailed(f"{self._node.disk.path_of(name)}: {error.strerror or error}") from error

    def _finish(self, why: str) -> None:
        log.warning("event=life_over node=%s why=%r", self._node.name, why)
        self._node.timeline.tell("life", f"node {self._node.name}: {why}")
        self._scope.cancel()

    def _cluster_changed(self, change: Change) -> None:
        if change.new:
            self._properties["cluster_name"] = decode(ClusterRecord, change.new).title or self._node.cluster.name

    def _on_life_ended(self) -> None:
        if not self._node.application.closing.is_set():  # who asked for it has something left to do
            self._finish(f"life {self._store.folder.life} was ended by the cluster")

    def _on_quorum(self, there: bool) -> None:
        self._quorum_changed.set()
        self._quorum_changed = trio.Event()

    async def _until_quorum(self, tree: SharedTree, *, there: bool = True) -> None:
        """Return when this node has a majority behind it, or (`there` False) has it no more."""
        while tree.has_quorum is not there:
            await self._quorum_changed.wait()

    async def _watch_quorum(self, tree: SharedTree) -> None:
        """Without a quorum nobody else can be asked whether this node's word still counts: it pauses (S3, S9)."""
        handling, ticktime = self._node.cluster.partition_handling, self._node.config.settings.net_ticktime
        while True:
            await self._until_quorum(tree, there=False)
            with trio.move_on_after(QUORUM_SHARE_OF_TICKTIME * ticktime):
                await self._until_quorum(tree)
            if handling.rule.wants_view(tree.voters) and not tree.waiting_for.startswith(handling.mode):
                with trio.move_on_after(VIEW_TICKTIMES * ticktime):
                    await self._until_quorum(tree)
            if not tree.has_quorum:
                self._node.report.close()
                self._finish(f"paused: {self._node.report.why_not_serving()}")
                return

    async def _keep_store(self) -> None:
        try:
            await self._store.keep()
        except JournalFailed as failure:
            self._failure = failure
            self._failed.set()

    async def _hand_over(self, driver: Driver) -> None:
        """The disk has failed: nothing more is confirmed. The others are told while this node can still speak, so that
        its masters go where mirrors are in sync, as when it is stopped; whatever comes of that, it ends soon."""
        await self._failed.wait()
        self._node.report.close(str(self._failure))
        driver.say_farewell(DISK)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._doors.close, FAILED_GRACE_S)
            await trio.sleep(HAND_OVER_S if self._store.zab_log.works else LAST_WORDS_S)
            self._scope.cancel()

    async def _watch_for_stop(self, tree: SharedTree) -> None:
        node = self._node
        await node.application.closing.wait()
        self._end = End.STOPPED
        node.report.close()
        await self._doors.close(STOP_GRACE_S)
        life = self._store.folder.life
        with trio.move_on_after(STOP_GRACE_S):
            await tree.propose({"do": "end_life", "node": node.name, "life": life, "why": "shutdown"})
        with trio.move_on_after(STOP_GRACE_S):
            await self._store.end()
        self._scope.cancel()


def _first(group: BaseExceptionGroup[Yields]) -> Yields:
    first = group.exceptions[0]
    return first if isinstance(first, Yields) else _first(first)


def _login_rules(settings: "Settings") -> LoginRules:
    name_rule = NameRule(
        settings.ssl_cert_login_from, settings.ssl_cert_login_san_type, settings.ssl_cert_login_san_index
    )
    return LoginRules(settings.auth_mechanisms, settings.loopback_users, name_rule)
