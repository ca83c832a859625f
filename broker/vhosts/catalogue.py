"""Committed changes of the tree become exchanges, bindings, queues and copies on this node.

Decides, for each queue record, what this node is to it: master, mirror, or neither. It must not propose anything: it
follows what was committed, also when that was this node's own wish.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from broker.cluster import schema
from broker.cluster.arguments import from_json
from broker.cluster.records import RUNNING, BindingRecord, ExchangeRecord, Life, QueueRecord, VhostRecord, decode
from broker.cluster.watches import Change
from broker.mirroring.copy import Copy
from broker.mirroring.master import Master
from broker.mirroring.ranges import count
from broker.routing.exchange import DestinationKind
from broker.vhosts.aside import ASK_AGAIN_S
from broker.vhosts.dead_letters import DeadLetters
from broker.vhosts.handle import Handle
from broker.vhosts.local import Local
from broker.vhosts.releases import Releases
from broker.vhosts.settings import alternate_of, settings_of
from broker.vhosts.switchboard import PeerLost
from broker.vhosts.vhost import Vhost
from broker.wire import records

if TYPE_CHECKING:
    from random import Random

    from broker.cluster.tree import Tree
    from broker.meters.meters import Churn
    from broker.vhosts.aside import Aside
    from broker.vhosts.followers import Followers
    from broker.vhosts.guests import Guests
    from broker.vhosts.mirrors import Mirrors
    from broker.vhosts.paging import Paging
    from broker.vhosts.replies import Replies
    from broker.vhosts.switchboard import Switchboard
    from broker.vhosts.timers import Timers


class Catalogue:
    """The derived tables of one life of one node."""

    def __init__(
        self,
        switchboard: "Switchboard",
        followers: "Followers",
        mirrors: "Mirrors",
        paging: "Paging",
        guests: "Guests",
        timers: "Timers",
        copies: dict[int, Copy],
        spawn: Callable[..., None],
        running_peers: Callable[[], list[str]],
        note_use: Callable[[int], Awaitable[None]],
        delete_unused: Callable[[Handle, int], Awaitable[None]],
        chance: "Random",
        replies: "Replies",
        aside: "Aside",
        churn: "Churn",
    ) -> None:
        """`churn`: where it is counted what comes and goes with its master here."""
        self.vhosts: dict[str, Vhost] = {}
        self.handles: dict[int, Handle] = {}
        self._life = Life(switchboard.node, switchboard.life)
        self._switchboard = switchboard
        self._followers = followers
        self._mirrors = mirrors
        self._paging = paging
        self._guests = guests
        self._timers = timers
        self._copies = copies
        self._spawn = spawn
        self._running_peers = running_peers
        self._note_use = note_use
        self._delete_unused = delete_unused
        self._chance = chance
        self._replies = replies
        self._aside = aside
        self._churn = churn
        self._loaded = False
        self._going: set[int] = set()
        """Copies of a lost history that nobody wants: they go once what only they have is kept."""

    def held(self, queue_id: int) -> tuple[int, int]:
        """How many messages of a queue this node's copy holds, and how many it knows to lack."""
        mirror = self._mirrors.mirrors.get(queue_id)
        copy = self._copies.get(queue_id) if mirror is None else mirror.copy
        return (0, 0) if copy is None else (len(copy.line), count(copy.lacking))

    # ------------------------------------------------------------------ from the tree

    def load(self, tree: "Tree") -> None:
        """Take in everything that stands in the tree, then follow it."""
        self._aside.has_copies(self._copies.keys())
        for vhost in schema.vhosts(tree):
            self._put_vhost(vhost)
            for exchange in schema.exchanges(tree, vhost.name):
                self._put_exchange(exchange)
            for queue in schema.all_queues(tree, vhost.name):
                self._put_queue(queue)
            for binding in schema.bindings(tree, vhost.name):
                self._put_binding(binding)
        for queue_id in list(self._copies):
            if queue_id not in self.handles:
                self._forget_copy(queue_id)  # deleted while this node was away
        self._loaded = True
        tree.watches.add(schema.VHOSTS, self._change, subtree=True)

    def _change(self, change: Change) -> None:
        parts = change.path.split("/")
        data = change.new if change.new is not None else change.old
        if data is None or not data:
            return
        if len(parts) == 3:
            vhost = decode(VhostRecord, data)
            if change.new is None:
                self.vhosts.pop(vhost.name, None)
            else:
                self._put_vhost(vhost)
        elif len(parts) == 5:
            self._change_inside(parts[3], data, gone=change.new is None)

    def _change_inside(self, folder: str, data: bytes, *, gone: bool) -> None:
        if folder == "queues":
            queue = decode(QueueRecord, data)
            self._drop_queue(queue) if gone else self._put_queue(queue)
        elif folder == "exchanges":
            exchange = decode(ExchangeRecord, data)
            self._drop_exchange(exchange) if gone else self._put_exchange(exchange)
        elif folder == "bindings":
            binding = decode(BindingRecord, data)
            self._drop_binding(binding) if gone else self._put_binding(binding)

    # ------------------------------------------------------------------ vhosts, exchanges, bindings

    def _put_vhost(self, record: VhostRecord) -> None:
        if record.name not in self.vhosts:
            self.vhosts[record.name] = Vhost(record.name, self._switchboard, self._chance, self._replies)

    def _put_exchange(self, record: ExchangeRecord) -> None:
        arguments = from_json(record.arguments)
        graph = self.vhosts[record.vhost].graph
        if record.name:
            alternate = alternate_of(record)
            graph.add_exchange(record.name, record.kind, arguments, internal=record.internal, alternate=alternate)

    def _drop_exchange(self, record: ExchangeRecord) -> None:
        vhost = self.vhosts.get(record.vhost)
        if vhost is not None and record.name in vhost.graph:
            vhost.graph.remove_exchange(record.name)

    def _put_binding(self, record: BindingRecord) -> None:
        graph = self.vhosts[record.vhost].graph
        graph.bind(record.source, _kind(record), record.destination, record.key, from_json(record.arguments))

    def _drop_binding(self, record: BindingRecord) -> None:
        vhost = self.vhosts.get(record.vhost)
        if vhost is not None and record.source in vhost.graph:
            arguments = from_json(record.arguments)
            vhost.graph.unbind(record.source, _kind(record), record.destination, record.key, arguments)

    # ------------------------------------------------------------------ queues

    def _put_queue(self, record: QueueRecord) -> None:
        vhost = self.vhosts[record.vhost]
        handle = self.handles.get(record.id)
        if handle is None:
            handle = self.handles[record.id] = Handle(record, self._switchboard, self._spawn)
            vhost.add_queue(handle)
            self._churn.queues_created += self._loaded and record.master == self._life and not record.delays
        handle.record = record
        if record.master == self._life and record.state == RUNNING and record.term >= self._promised(record.id):
            self._be_master(vhost, handle, record)
        else:
            self._stop_being_master(handle)
            if self._life in record.mirrors:
                self._mirrors.follow(self._take_copy(record))
            else:
                self._stop_being_mirror(record)
            handle.serve_at(record)

    def _promised(self, queue_id: int) -> int:
        """The highest term that the copy here has accepted: a later master may be heard of before the commit that made
        it one, and before the one that made this node master for a moment (S4)."""
        mirror = self._mirrors.mirrors.get(queue_id)
        copy = self._copies.get(queue_id) if mirror is None else mirror.copy
        return 0 if copy is None else copy.promised

    def _be_master(self, vhost: Vhost, handle: Handle, record: QueueRecord) -> None:
        local = handle.local
        settings = settings_of(record)
        if local is None or local.master.term != record.term:
            self._stop_being_master(handle)
            follows = self._mirrors.follows(record.id)
            copy = self._mirrors.leave(record.id, record.term) or self._take_copy(record)
            self._copies[record.id] = copy
            master = Master(copy, record.term, settings, mirrored=record.is_mirrored)
            self._aside.served(record.id)
            local = Local(
                master,
                handle.publications,
                self._switchboard,
                self._timers,
                self._paging,
                _road(record, vhost),
                auto_delete=record.auto_delete,
                delete=lambda: self._delete_unused(handle, record.term),
                spawn=self._spawn,
                unheard=self._running_peers(),
            )
            handle.serve_here(local)
            self._guests.locals[record.id] = local
            if record.used and follows:  # else all have been away, and those who consume will come
                self._spawn(local.await_consumers, self._running_peers)
        elif settings != local.queue.settings:
            local.apply(settings)
        self._remember_use(local, record)
        self._followers.lead(local, record)

    def _remember_use(self, local: Local, record: QueueRecord) -> None:
        """Let the tree know of the first consumer of an auto-delete queue that may have another master one day."""
        local.on_use = None
        if record.auto_delete and record.is_mirrored and not record.used:
            on_use = partial(self._note_use, record.id)
            if local.queue.has_had_consumers:
                self._spawn(on_use)
            else:
                local.on_use = on_use

    def _stop_being_master(self, handle: Handle) -> None:
        local = handle.local
        if local is None:
            return
        queue_id = handle.record.id
        self._followers.unlead(queue_id)
        self._guests.leave(local)
        self._copies[queue_id] = local.end()

    def _take_copy(self, record: QueueRecord) -> Copy:
        copy = self._copies.get(record.id)
        if copy is None:
            copy = self._copies[record.id] = Copy(record.id, record.durable)
        return copy

    def _stop_being_mirror(self, record: QueueRecord) -> None:
        """A copy stays while this node may be asked for it again; when the queue goes on without it, it goes.

        A former life of this node may be in the in-sync set of a master that is dead and not yet known to be.
        """
        self._mirrors.leave(record.id, record.term)
        if record.id in self._copies and not self._may_serve(record):
            self._forget_copy(record.id)

    def _may_serve(self, record: QueueRecord) -> bool:
        named = {*record.candidates, *(life.node for life in (*record.mirrors, *record.in_sync, record.master))}
        return record.state != RUNNING or self._life.node in named

    def _forget_copy(self, queue_id: int) -> None:
        if self._aside.is_of_lost_history(queue_id):
            if queue_id not in self._going:
                self._going.add(queue_id)
                self._spawn(self._let_go, queue_id)
            return
        copy = self._copies.pop(queue_id)
        self._paging.forget(queue_id)
        if copy.durable or self._switchboard.journal.holds(queue_id):
            drop = records.Drop(queue_id)
            self._switchboard.journal.append(records.encode(drop), drop)

    async def _let_go(self, queue_id: int) -> None:
        """Keep what only this copy has, and forget it, unless it is wanted again meanwhile."""
        while self._aside.is_of_lost_history(queue_id) and not self._is_wanted(queue_id):
            handle = self.handles.get(queue_id)
            try:
                master = None if handle is None else handle.record.master.node
                await self._aside.keep_of_unwanted(self._copies[queue_id], master)
            except PeerLost:
                await trio.sleep(ASK_AGAIN_S)
            else:
                self._aside.served(queue_id)
        self._going.discard(queue_id)
        if not self._is_wanted(queue_id):
            self._forget_copy(queue_id)

    def _is_wanted(self, queue_id: int) -> bool:
        """Whether there is a queue that this node's copy is, or may become, a part of."""
        handle = self.handles.get(queue_id)
        if queue_id not in self._copies:
            return True  # there is nothing to let go
        return handle is not None and self._may_serve(handle.record)

    def _drop_queue(self, record: QueueRecord) -> None:
        handle = self.handles.pop(record.id, None)
        if handle is None:
            return
        self._churn.queues_deleted += handle.local is not None and not record.delays
        self._stop_being_master(handle)
        self._mirrors.leave(record.id)
        if record.id in self._copies:
            self._forget_copy(record.id)
        vhost = self.vhosts.get(record.vhost)
        if vhost is not None:
            vhost.remove_queue(handle)
        handle.delete()


def _road(record: QueueRecord, vhost: Vhost) -> DeadLetters | Releases:
    """By which messages of a queue go on to others."""
    if record.delays:
        return Releases(record.delays, vhost.find)
    return DeadLetters(record.name, vhost.find, vhost.graph.per_message)


def _kind(record: BindingRecord) -> DestinationKind:
    return "queue" if record.destination_kind == "queue" else "exchange"
