"""The mirrors elsewhere of the masters on this node.

Decides when a master offers itself to a mirror, how much of catch-up is under way, and when a mirror's entry into the
in-sync set is proposed. It must not decide who is master or mirror: that is committed, and told to it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import trio

from broker.cluster.records import QueueRecord
from broker.mirroring import catch_up
from broker.mirroring.follower import Follower
from broker.mirroring.mirror import Offer, Statement
from broker.mirroring.pacing import BATCH_MESSAGES, Pacing
from broker.vhosts.pager import LostContents
from broker.wire import queue_frames as frames

if TYPE_CHECKING:
    from broker.mirroring.ranges import Range
    from broker.vhosts.local import Local
    from broker.vhosts.switchboard import Switchboard

CATCH_UP_BYTES_MAX = 2 * 1024 * 1024
"""So much of catch-up, of all queues, may be under way to one node and not yet on its disk: what is confirmed waits
behind it, and behind what else the disks have to take at a time."""
REST_S = 0.1
"""A mirror for which there is a limit joins the live stream when it lacks no more than what may go out in this time."""


class Followers:
    """One per node."""

    def __init__(
        self,
        switchboard: "Switchboard",
        enter: Callable[["Local", Follower], Awaitable[None]],
        spawn: Callable[..., None],
        pacing: Pacing | None = None,
    ) -> None:
        self._pacing = pacing or Pacing()
        self._resting: set[Follower] = set()
        """They are fed again when the limit of their catch-up allows it."""
        self._switchboard = switchboard
        self._enter = enter
        self._spawn = spawn
        self._records: dict[int, QueueRecord] = {}
        self._locals: dict[int, Local] = {}
        self._followed: dict[int, Local] = {}
        """Those of them that have mirrors now: most of what comes along is about these only."""
        self._outside: dict[Local, None] = {}
        """Those of them that have a mirror which does not simply follow: it is being filled, or is not in sync."""
        self._acknowledged: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, int] = {}
        """Where the last record of catch-up ends in the stream to each node."""
        self._fetching: dict[Local, dict[Follower, None]] = {}
        """Masters of which contents are being read, and the mirrors that wait for that."""
        links = switchboard.links
        links.handle(frames.STATEMENT, self._receive_statement)
        links.handle(frames.UNAPPLIED, self._receive_unapplied)
        links.handle(frames.ACKNOWLEDGED, self._receive_acknowledged)

    def lead(self, local: "Local", record: QueueRecord) -> None:
        """This node's master has these mirrors and this in-sync set now."""
        self._locals[record.id] = local
        self._records[record.id] = record
        own = self._switchboard.node
        witnesses = local.master.witnesses
        wanted = {life.node: life.number for life in record.mirrors}
        for node, follower in list(witnesses.followers.items()):
            if wanted.get(node) != follower.life and not follower.entering:
                del witnesses.followers[node]
        before = witnesses.member_nodes
        witnesses.member_nodes = {life.node for life in record.in_sync if life.node != own}
        if record.is_mirrored:
            local.master.mirror()
        for node, number in wanted.items():
            if node not in witnesses.followers:
                witnesses.followers[node] = Follower(node, number)
                self._offer(local, node)
            elif node in before and node not in witnesses.member_nodes:
                self.start_over(local, node)  # it was given up, and comes back by catch-up (S11)
            elif self._is_automatic(record, node):
                catch_up.fill(witnesses.followers[node])
                self._feed(local, witnesses.followers[node])
        if witnesses.followers:
            self._followed[record.id] = local
        else:
            self._followed.pop(record.id, None)
        if witnesses.anybody:
            self._outside[local] = None
        else:
            self._outside.pop(local, None)
        self._switchboard.touch(local)

    def unlead(self, queue_id: int) -> None:
        """The master is not here any more."""
        local = self._locals.pop(queue_id, None)
        if local is not None:
            self._outside.pop(local, None)
        self._followed.pop(queue_id, None)
        self._records.pop(queue_id, None)

    def synchronise(self, queue_id: int, *, start: bool) -> bool:
        """An operator wants every mirror to be filled, or that to stop; False if there is nothing to start or stop.

        What has arrived stays: a later synchronisation goes on from there.
        """
        local = self._locals[queue_id]
        witnesses = local.master.witnesses
        changed = False
        for node, follower in witnesses.followers.items():
            follower.filling = start
            if start and node not in witnesses.member_nodes and not follower.complete:
                changed = True  # also one that has not yet stated what it holds
                catch_up.fill(follower)
                self._feed(local, follower)
            elif not start and follower.missing:
                changed = True
                catch_up.stop(follower)
                self._feed(local, follower)
        return changed

    def link_up(self, peer: str) -> None:
        """Records, statements and acknowledgements can be sent to this node again."""
        begin = self._switchboard.links.offset(peer, "data")
        self._acknowledged[peer] = (begin, begin)
        for local in list(self._followed.values()):
            self.start_over(local, peer)

    def link_down(self, peer: str) -> None:
        """What was sent to this node may be lost: its mirrors have to state anew what they hold."""
        self._switchboard.transit.forget(peer)
        for local in self._followed.values():
            self._renew(local, peer)

    def link_closed(self, peer: str) -> None:
        """The stream from this node has ended: what it said of its copies may be lost."""
        for local in self._followed.values():
            self.start_over(local, peer)

    def start_over(self, local: "Local", node: str) -> None:
        """This mirror, if it is one, has to state anew what it holds."""
        if self._renew(local, node):
            self._offer(local, node)

    def _renew(self, local: "Local", node: str) -> bool:
        followers = local.master.witnesses.followers
        before = followers.get(node)
        if before is None:
            return False
        followers[node] = fresh = Follower(node, before.life)
        fresh.entering = before.entering
        fresh.filling = before.filling
        self._outside[local] = None
        return True

    def _offer(self, local: "Local", node: str) -> None:
        copy = local.master.copy
        offer = Offer(copy.queue_id, local.master.term, list(copy.terms.entries), copy.next_position)
        payload = frames.encode_json(asdict(offer))
        local.master.witnesses.followers[node].offered = self._switchboard.send(node, frames.OFFER, payload)

    def _is_automatic(self, record: QueueRecord, node: str) -> bool:
        member = any(life.node == node for life in record.in_sync)
        return member or record.mirroring.get("ha-sync-mode") == "automatic"

    def _receive_statement(self, peer: str, payload: bytes, offset: int) -> None:
        fields = frames.decode_json(payload)
        statement = Statement(**{**fields, "living": [(first, last) for first, last in fields["living"]]})
        local = self._locals.get(statement.queue_id)
        if local is None or local.master.term != statement.term:
            return
        follower = local.master.witnesses.followers.get(peer)
        if follower is None or follower.stated or statement.offset != follower.offered:
            return
        if statement.refused:
            follower.refused = True
            return
        local.flush()
        automatic = follower.filling or self._is_automatic(self._records[statement.queue_id], peer)
        first = catch_up.receive_statement(local.master, follower, statement, automatic=automatic)
        if self._send(follower, first):
            self._feed(local, follower)

    def _receive_unapplied(self, peer: str, payload: bytes, offset: int) -> None:
        queue_id, promised, at = frames.decode_triple(payload)
        local = self._locals.get(queue_id)
        follower = None if local is None else local.master.witnesses.followers.get(peer)
        if local is None or follower is None or at <= follower.offered:
            return
        if promised > local.master.term:
            follower.refused = True
            self._outside[local] = None
        else:  # its copy is not the one any more that answered the offer
            self.start_over(local, peer)

    def _send_missing(self, local: "Local", follower: Follower, chunk: list[bytes]) -> bool:
        """Messages that it lacked; see `_send`."""
        if self._pacing.bytes_per_s:
            self._pacing.spend(local.queue_id, follower.node, sum(map(len, chunk)), trio.current_time())
        return not chunk or self._send_behind_marks(local, follower, chunk)

    def _send_behind_marks(self, local: "Local", follower: Follower, chunk: list[bytes]) -> bool:
        """Once it has joined it hears of all that is announced anyway. Nothing is announced for its own sake: while
        contents are read, each word would be answered by a word."""
        marks = [] if follower.joined else catch_up.announced(local.master)
        return self._send(follower, [*marks, *chunk])

    def _send(self, follower: Follower, chunk: list[bytes]) -> bool:
        """Records of catch-up; False if there is no link: when there is, the mirror states anew what it holds."""
        for raw in chunk:
            offset = self._switchboard.send(follower.node, frames.RECORD, raw)
            if offset < 0:
                return False
            follower.sent = self._sent[follower.node] = offset
        return True

    def _has_room(self, node: str) -> bool:
        """Whether more of catch-up may be on its way to this node, with what is just being read for it."""
        readings = sum(any(follower.node == node for follower in waiting) for waiting in self._fetching.values())
        under_way = self._sent.get(node, 0) - self._acknowledged.get(node, (0, 0))[1]
        return under_way + readings * catch_up.CHUNK_BYTES < CATCH_UP_BYTES_MAX

    def _feed(self, local: "Local", follower: Follower) -> None:
        """Send the next of what it lacks, as far as its node has room; let it join when the rest is small."""
        if not follower.stated or follower.refused or (follower.missing and not self._has_room(follower.node)):
            return
        master = local.master
        joins = catch_up.may_join(master, follower, self._pacing.carries_bytes(REST_S))
        if not joins and self._rests(local, follower):
            return
        batch_messages = self._pacing.batch_of(self._records[local.queue_id].mirroring, master.queue.mean_bytes)
        filled = bool(follower.missing)
        while follower.missing:
            chunk = catch_up.take_chunk(master, follower, batch_messages)
            if not chunk and follower.missing:
                if self._fetch_more(local, follower, batch_messages):
                    return
                continue  # what came next has settled
            if not self._send_missing(local, follower, chunk):
                return
            if not joins:
                self._rests(local, follower)
                break  # the next one when the mirror has answered, or this one is paid for: clients are served between
        if follower.missing:
            self._switchboard.transit.sent(follower.node, follower.sent, local)
            return
        if follower.joined and not filled:
            return  # nothing went out, so nothing would be acknowledged
        if not self._send_behind_marks(local, follower, catch_up.last_words(master, follower)):
            return
        follower.joined = True
        unsent = master.outbox[0].number - 1 if master.outbox else master.note
        follower.filled_note = unsent
        follower.noted(unsent, follower.sent)
        self._switchboard.transit.sent(follower.node, follower.sent, local)
        follower.acknowledged(*self._acknowledged.get(follower.node, (0, 0)))
        self._propose_entry(local, follower)
        self._switchboard.touch(local)

    def _rests(self, local: "Local", follower: Follower) -> bool:
        """Whether it has had enough for now: it is fed again later."""
        if not self._pacing.bytes_per_s:
            return False
        rest_s = self._pacing.rest_s(local.queue_id, follower.node, trio.current_time())
        if rest_s and follower not in self._resting:
            self._resting.add(follower)
            self._spawn(self._feed_later, local, follower, rest_s)
        return rest_s > 0

    async def _feed_later(self, local: "Local", follower: Follower, rest_s: float) -> None:
        await trio.sleep(rest_s)
        self._resting.discard(follower)
        if self._is_served(local, follower):
            self._feed(local, follower)

    def _fetch_more(self, local: "Local", follower: Follower, batch_messages: int) -> bool:
        """Read what it lacks next, if that has to be read. Mirrors that are filled together want the same: one reading
        at a time serves all."""
        wanted = catch_up.wanted(local.master, follower)
        if wanted is None:
            return False
        waiting = self._fetching.setdefault(local, {})
        if not waiting:
            first, last = wanted
            last = min(last, first + batch_messages - 1) if batch_messages < BATCH_MESSAGES else last
            self._spawn(self._fetch, local, first, last)
        waiting[follower] = None
        return True

    async def _fetch(self, local: "Local", first: int, last: int) -> None:
        """Send what is out of memory; it does not come back into the queue for that."""
        runs = await local.pager.load(first, last)
        encoded: dict[Range, bytes] = {}
        waiting = self._fetching.pop(local)
        for follower in waiting:
            if not self._is_served(local, follower):
                continue
            chunk = catch_up.chunk_of(local.master, follower, runs, encoded)
            again = catch_up.wanted(local.master, follower)
            if not chunk and again is not None and again[0] == first:
                raise LostContents(local.queue_id, first, last)
            if self._send_missing(local, follower, chunk):
                self._feed(local, follower)
        for follower in waiting:  # what was kept free for this may not have been needed, and then nobody answers
            self._feed_all(follower.node)

    def _is_served(self, local: "Local", follower: Follower) -> bool:
        """Whether this is still a master of this node, and its mirror."""
        return not local.ended and local.master.witnesses.followers.get(follower.node) is follower

    def _receive_acknowledged(self, peer: str, payload: bytes, offset: int) -> None:
        self._acknowledged[peer] = received, synced = frames.decode_pair(payload)
        for local in self._switchboard.transit.acknowledged(peer, received, synced):
            follower = local.master.witnesses.followers.get(peer)
            if follower is None or follower.refused or self._followed.get(local.queue_id) is not local:
                continue
            if follower.unsynced and follower.acknowledged(received, synced):
                local.advance()
            self._propose_entry(local, follower)
        self._feed_all(peer)  # there is room again for what others lack

    def _feed_all(self, peer: str) -> None:
        room = self._has_room(peer)
        for local in list(self._outside):
            follower = local.master.witnesses.followers.get(peer)
            if follower is not None and (room if follower.missing else not follower.joined):
                self._feed(local, follower)
                room = room and self._has_room(peer)

    def _propose_entry(self, local: "Local", follower: Follower) -> None:
        if local.master.witnesses.may_enter(follower, local.master.confirmed_note):
            follower.entering = True  # it is waited for until the answer has been seen (S2)
            self._spawn(self._enter, local, follower)

    def entered(self, local: "Local", node: str) -> None:
        """The proposal of a mirror's entry was seen committed or refused."""
        if self._locals.get(local.queue_id) is not local:
            return
        follower = local.master.witnesses.followers.get(node)
        if follower is not None:
            follower.entering = False
            follower.awaited = None
        self.lead(local, self._records[local.queue_id])

    def progress(self) -> None:
        """Settles may have drained what a mirror lacked."""
        for local in list(self._outside):
            witnesses = local.master.witnesses
            for follower in witnesses.followers.values():
                if follower.joined:
                    self._propose_entry(local, follower)
                elif not follower.missing:
                    self._feed(local, follower)
            if witnesses.are_settled:
                self._outside.pop(local, None)

    def concerned(self) -> "list[Local]":
        """The masters that wait for a mirror, or have one that does not simply follow."""
        waiting = (local for local in self._switchboard.transit.masters() if not local.ended)
        return list({**self._outside, **dict.fromkeys(waiting)})
