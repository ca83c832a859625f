"""The hall of one node: where names become exchanges and queues, here or on another node.

Decides who may come in, and joins the parts of this room with journal, links and tree. It must not know doors: AMQP,
HTTP and commands use the same verbs.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from broker.amqp.errors import ConnectionException
from broker.cluster import schema
from broker.cluster.records import Life, MemberRecord, Owner, QueueRecord, UserRecord, VhostRecord, decode
from broker.cluster.refusal import Refused
from broker.cluster.watches import Change
from broker.meters.meters import Meters
from broker.mirroring.copy import Copy
from broker.mirroring.pacing import Pacing
from broker.vhosts.access import Access
from broker.vhosts.alarms import AlarmLimits, Alarms
from broker.vhosts.aside import HOLDINGS, Aside, Keeper, Nobody
from broker.vhosts.browsing import Browsing
from broker.vhosts.catalogue import Catalogue
from broker.vhosts.client import Client, User
from broker.vhosts.client_limits import ClientLimits
from broker.vhosts.declarations import Declarations
from broker.vhosts.followers import Followers
from broker.vhosts.guests import Guests
from broker.vhosts.handle import Handle
from broker.vhosts.logins import LoginRules, Logins
from broker.vhosts.mirrors import Mirrors
from broker.vhosts.paging import Paging
from broker.vhosts.pressure import Pressure
from broker.vhosts.replays import Replays
from broker.vhosts.replies import Replies
from broker.vhosts.roster import Roster
from broker.vhosts.switchboard import Switchboard
from broker.vhosts.timers import Timers
from broker.wire import queue_frames as frames
from broker.wire import records

if TYPE_CHECKING:
    from random import Random

    from broker.metadata.shared_tree import SharedTree
    from broker.mirroring.follower import Follower
    from broker.vhosts.local import Local
    from broker.vhosts.vhost import Vhost
    from broker.world.memory import Memory

log = logging.getLogger("warren.queues")


class Hall:
    """Everything clients can reach on this node, in this life."""

    def __init__(
        self,
        switchboard: Switchboard,
        tree: "SharedTree",
        chance: "Random",
        copies: dict[int, Copy],
        server_properties: dict[str, Any],
        *,
        locator: str = "client-local",
        pacing: Pacing | None = None,
        login_rules: LoginRules | None = None,
        memory: "Memory | None" = None,
        alarm_limits: AlarmLimits | None = None,
        keeper: Keeper | None = None,
        meters: Meters | None = None,
    ) -> None:
        """`meters`: where everything is counted that happens here.

        `locator`: where the master of a new queue goes when neither argument nor policy say it.

        `pacing`: how fast mirrors elsewhere are filled.
        `memory`: None if nobody has to watch it.
        `keeper` is given messages that may have been confirmed, and that their queue is about to lose.
        """
        self.server_properties = server_properties
        self.meters = Meters() if meters is None else meters
        self.switchboard = switchboard
        self.tree = tree
        self.life = Life(switchboard.node, switchboard.life)
        self.timers = Timers(switchboard)
        self.guests = Guests(switchboard)
        self.guests.is_over = self.is_over
        self.alarms = Alarms(switchboard.journal, memory, alarm_limits or AlarmLimits())
        self.pressure = Pressure(switchboard, self.alarms, pacing)
        self.followers = Followers(switchboard, self._propose_entry, self._spawn, pacing)
        paging = Paging(switchboard.journal)
        self._aside = Aside(keeper or Nobody(), switchboard, self._record_of)
        self.mirrors = Mirrors(switchboard, paging, self._spawn, self._aside)
        self.replies = Replies(switchboard)
        self.catalogue = Catalogue(
            switchboard,
            self.followers,
            self.mirrors,
            paging,
            self.guests,
            self.timers,
            copies,
            self._spawn,
            self._running_peers,
            self._note_use,
            self._delete_unused,
            chance,
            self.replies,
            self._aside,
            self.meters.churn,
        )
        self.roster = Roster(switchboard, self.guests, self._running_peers, self.meters.churn)
        self.browsing = Browsing(self)
        self.replays = Replays(self)
        self.client_limits = ClientLimits(lambda: tree.tree, self.roster)
        self.logins = Logins(lambda: tree.tree, login_rules or LoginRules(), self.meters.logins)
        self.declarations = Declarations(self.catalogue, tree, self.life, chance, locator, self.meters.churn)
        self._nursery: trio.Nursery | None = None
        self._accesses: dict[tuple[str, str], Access] = {}
        self._wire_up()

    def _wire_up(self) -> None:
        links = self.switchboard.links
        links.handle(frames.DELIVER, self._receive_deliver)
        links.handle(frames.REPAID, self._receive_repaid)
        links.handle(frames.ANSWERED, self._receive_answered)
        links.handle(frames.REFUSED, self._receive_refused)
        links.handle(frames.SETTLED, self._receive_settled)
        links.on_up.append(self._link_up)
        links.on_down.append(self._link_down)
        links.on_incoming.append(self._link_opened)
        links.on_incoming_closed.append(self._link_closed)
        self.switchboard.journal.on_synced.append(self._synced)
        self.switchboard.answer("synchronise", self._serve_synchronise)
        self.switchboard.answer("held", self._serve_held)
        self.switchboard.answer(HOLDINGS, self._serve_holdings)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the tree and serve, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.switchboard.run)
            nursery.start_soon(self.timers.run)
            self.catalogue.load(self.tree.tree)
            self.tree.tree.watches.add(schema.MEMBERS, self._member_changed, subtree=True)
            self.tree.tree.watches.add(schema.VHOSTS, self._forget_rights, subtree=True)
            self.tree.tree.watches.add(schema.USERS, self._forget_rights, subtree=True)
            self.tree.tree.watches.add(schema.VHOSTS, self._part_with_clients, subtree=True)
            self.tree.tree.watches.add(schema.USERS, self._part_with_clients, subtree=True)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def _spawn(self, function: Callable[..., Any], *args: Any) -> None:
        if self._nursery is not None:  # links that close at the end of a life still tell of it
            self._nursery.start_soon(function, *args)

    # ------------------------------------------------------------------ who comes in

    def open_vhost(self, user: User, name: str, connection: str) -> "tuple[Vhost, Client]":
        """Enter a vhost. Raises 530 as RabbitMQ does."""
        vhost = self.catalogue.vhosts.get(name)
        if vhost is None:
            raise ConnectionException(530, f"vhost {name} not found")
        if schema.permission(self.tree.tree, name, user.name) is None:
            raise ConnectionException(530, f"access to vhost '{name}' refused for user '{user.name}'")
        owner = Owner(self.life.node, self.life.number, connection)
        return vhost, Client(user, name, owner, self.access)

    def access(self, user: str, vhost: str) -> Access:
        access = self._accesses.get((user, vhost))
        if access is None:
            record = schema.permission(self.tree.tree, vhost, user)
            rights = ("", "", "") if record is None else (record.configure, record.write, record.read)
            find_topic = partial(schema.topic_permission, self.tree.tree, vhost, user)
            access = self._accesses[user, vhost] = Access(user, vhost, *rights, find_topic)
        return access

    def _forget_rights(self, change: Change) -> None:
        """Of what stands in a vhost only permissions count: a new queue is no reason to look at rights again."""
        folder = change.path.split("/")[3:4]
        if change.path.startswith(schema.VHOSTS) and folder not in (["permissions"], ["topic_permissions"]):
            return
        self._accesses.clear()
        for vhost in self.catalogue.vhosts.values():
            vhost.graph.epoch += 1

    def _part_with_clients(self, change: Change) -> None:
        """Clients of a vhost or a user that is deleted have nothing to do here any more."""
        if change.old is None or change.new is not None or change.path.count("/") != 2:
            return
        if change.path.startswith(f"{schema.USERS}/"):
            user = decode(UserRecord, change.old).name
            self.roster.close_all(f"user '{user}' is deleted", user=user)
        else:
            vhost = decode(VhostRecord, change.old).name
            self.roster.close_all(f"vhost '{vhost}' is deleted", vhost=vhost)

    async def close_client(self, client: Client) -> None:
        """A connection has ended: its exclusive queues go."""
        await self.declarations.release_connection(client)

    async def synchronise(self, handle: Handle, *, start: bool) -> bool:
        """Fill the mirrors of a queue, wherever its master is, or stop doing so; False if nothing had to be done."""
        if handle.local is not None:
            return self.followers.synchronise(handle.record.id, start=start)
        fields = {"do": "synchronise", "queue": handle.record.id, "start": start}
        answer, _ = await self.switchboard.call(handle.record.master.node, fields)
        return bool(answer.get("changed"))

    async def _serve_synchronise(self, peer: str, fields: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        if fields["queue"] not in self.guests.locals:
            return {"changed": False}, b""
        return {"changed": self.followers.synchronise(fields["queue"], start=fields["start"])}, b""

    async def _serve_held(self, peer: str, fields: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        held, lacking = self.catalogue.held(fields["queue"])
        return {"held": held, "lacking": lacking}, b""

    async def _serve_holdings(self, peer: str, fields: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Nothing yet while the commit that makes this node master is on its way: it is asked again."""
        local = self.guests.locals.get(fields["queue"])
        if local is None:
            return {}, b""
        return {"terms": local.master.copy.terms.entries, "living": local.queue.living_ranges()}, b""

    async def keep_volatile(self, since_ms: int, why: str) -> None:
        """This life ends for good and all: keep what its masters took since then, and have in memory only."""
        for queue_id, local in [*self.guests.locals.items()]:
            record = self._record_of(queue_id)
            if record is not None and record.exclusive is None:
                await self._aside.keep_volatile(record, local.master, since_ms, why)

    def _record_of(self, queue_id: int) -> QueueRecord | None:
        handle = self.catalogue.handles.get(queue_id)
        return None if handle is None else handle.record

    @property
    def peers(self) -> list[str]:
        """The other nodes of the cluster."""
        return [name for name in schema.members(self.tree.tree) if name != self.life.node]

    def is_over(self, origin: str) -> bool:
        """Whether the life that publishes under this name has ended, as far as this node knows."""
        node, _, number = origin.rpartition("/")
        record = schema.members(self.tree.tree).get(node)
        return record is None or record.life > int(number) or (record.life == int(number) and not record.running)

    def _member_changed(self, change: Change) -> None:
        if data := change.new or change.old:
            self.guests.life_changed(decode(MemberRecord, data).name)

    def _running_peers(self) -> list[str]:
        members = schema.members(self.tree.tree)
        return [name for name, record in members.items() if record.running and name != self.life.node]

    # ------------------------------------------------------------------ links and disk

    def _link_up(self, peer: str, life: int, lane: str) -> None:
        if lane == "data":
            self.switchboard.peer_up(peer)
            self.followers.link_up(peer)
            self.mirrors.link_up(peer)
            self._ask_again(peer)
            for local in self.guests.locals.values():
                if local.debts.owed:
                    self.switchboard.touch(local)

    def _link_down(self, peer: str, life: int, lane: str) -> None:
        if lane == "data":
            self.switchboard.peer_down(peer)
            self.followers.link_down(peer)
            self._ask_again(peer)

    def _link_opened(self, peer: str, life: int, lane: str) -> None:
        """The peer can answer again; what it was asked before, it may have answered into the void."""
        if lane == "data":
            self.switchboard.peer_down(peer)
            self._ask_again(peer)

    def _link_closed(self, peer: str, life: int, lane: str) -> None:
        """What the peer said last may be lost: answers, deliveries, confirms. So everything with it begins anew."""
        if lane == "data":
            self.switchboard.peer_gone(peer)
            self.guests.peer_gone(peer)
            self.mirrors.link_closed(peer)
            self.followers.link_closed(peer)
            self.switchboard.peer_down(peer)
            self._ask_again(peer)

    def _ask_again(self, peer: str) -> None:
        for handle in self.catalogue.handles.values():
            if handle.remote is not None and handle.remote.peer == peer:
                handle.link_changed()

    def _synced(self, lsn: int) -> None:
        self.switchboard.advance_upto(lsn)
        self.mirrors.flush()
        self.followers.progress()

    def _receive_deliver(self, peer: str, payload: bytes, offset: int) -> None:
        """Who has slept may have been held dead meanwhile, and what was under way to it given to others (S4)."""
        if self.switchboard.is_trusted:
            self._deliver(payload)
        else:
            self.switchboard.defer(partial(self._deliver, payload))

    def _deliver(self, payload: bytes) -> None:
        number, start = frames.decode_deliver(payload)
        record = records.decode_publish(payload, start)
        handle = self.catalogue.handles.get(record.queue_id)
        if handle is not None:
            handle.delivered(number, record.run)

    def _receive_repaid(self, peer: str, payload: bytes, offset: int) -> None:
        """Behind what was delivered before."""
        if self.switchboard.is_trusted:
            self._repay(payload)
        else:
            self.switchboard.defer(partial(self._repay, payload))

    def _repay(self, payload: bytes) -> None:
        queue_id, number, told = frames.decode_triple(payload)
        handle = self.catalogue.handles.get(queue_id)
        if handle is not None:
            handle.repaid(number, told // 2, wants=bool(told % 2))

    def _receive_answered(self, peer: str, payload: bytes, offset: int) -> None:
        queue_id, sequence = frames.decode_pair(payload)
        handle = self.catalogue.handles.get(queue_id)
        if handle is not None:
            handle.publications.answered_upto(sequence)

    def _receive_refused(self, peer: str, payload: bytes, offset: int) -> None:
        queue_id, first, last = frames.decode_triple(payload)
        handle = self.catalogue.handles.get(queue_id)
        if handle is not None:
            handle.publications.refused(first, last)

    def _receive_settled(self, peer: str, payload: bytes, offset: int) -> None:
        queue_id, what, number = frames.decode_triple(payload)
        handle = self.catalogue.handles.get(queue_id)
        if handle is not None:
            handle.settles.safe_upto(what, number)

    # ------------------------------------------------------------------ proposals

    async def _propose_entry(self, local: "Local", follower: "Follower") -> None:
        """Ask for a mirror's entry into the in-sync set; it is waited for until the answer is seen (S2)."""
        handle = self.catalogue.handles.get(local.queue_id)
        if handle is None:
            return  # deleted meanwhile
        record = handle.record
        try:
            await self.tree.propose(
                {
                    "do": "enter_in_sync",
                    "id": local.queue_id,
                    "node": follower.node,
                    "life": follower.life,
                    "version": record.version,
                }
            )
        except Refused as refused:
            log.info("event=entry_refused queue=%s node=%s why=%s", record.name, follower.node, refused.why)
        self.followers.entered(local, follower.node)

    async def _note_use(self, queue_id: int) -> None:
        with suppress(Refused):  # it is deleted
            await self.tree.propose({"do": "note_use", "id": queue_id})

    async def _delete_unused(self, handle: Handle, term: int) -> None:
        await self.declarations.delete_unused(handle, term)
