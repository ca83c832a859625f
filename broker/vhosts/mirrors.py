"""The mirrors on this node of masters elsewhere.

Decides what a copy here is told and answers, and what this node acknowledges to other masters. It must not decide who
is master or mirror: that is committed, and told to it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import trio

from broker.mirroring.copy import Copy
from broker.mirroring.mirror import Mirror, Offer, Statement
from broker.vhosts.aside import ASK_AGAIN_S, Aside
from broker.vhosts.switchboard import PeerLost
from broker.wire import queue_frames as frames
from broker.wire import records

if TYPE_CHECKING:
    from broker.vhosts.paging import Paging
    from broker.vhosts.switchboard import Switchboard


class Mirrors:
    """One per node."""

    def __init__(self, switchboard: "Switchboard", paging: "Paging", spawn: Callable[..., None], aside: Aside) -> None:
        self._switchboard = switchboard
        self._paging = paging
        self._spawn = spawn
        self._aside = aside
        self.mirrors: dict[int, Mirror] = {}
        self._grown: dict[Mirror, None] = {}
        """Those that were told something since they were last looked at."""
        self._parked: dict[int, dict[str, tuple[str, Offer, int]]] = {}
        """By queue id and master's node."""
        self._looking: dict[Mirror, tuple[str, Offer, int]] = {}
        """The newest offers to copies of which something is just being read or kept."""
        self._received: dict[str, int] = {}
        self._unsynced: dict[str, deque[tuple[int, int]]] = {}
        self._told: dict[str, tuple[int, int]] = {}
        self._statements: list[tuple[int, str, Statement]] = []
        links = switchboard.links
        links.handle(frames.OFFER, self._receive_offer)
        links.handle(frames.RECORD, self._receive_record)

    def link_up(self, peer: str) -> None:
        """Statements and acknowledgements can be sent to this node again."""
        self._told.pop(peer, None)
        self._switchboard.touch(self)

    def link_closed(self, peer: str) -> None:
        """The stream from this node has ended: its numbers say nothing about the next one."""
        for known in (self._received, self._unsynced, self._told):
            known.pop(peer, None)
        for queue_id, parked in [*self._parked.items()]:
            parked.pop(peer, None)
            if not parked:
                del self._parked[queue_id]
        self._statements = [due for due in self._statements if due[1] != peer]  # it will offer itself again

    def follow(self, copy: Copy) -> None:
        """This node is a mirror of a queue, with what it has of it."""
        if copy.queue_id not in self.mirrors:
            self.mirrors[copy.queue_id] = Mirror(copy)
        for parked in self._parked.pop(copy.queue_id, {}).values():
            self._take_offer(*parked)

    def follows(self, queue_id: int) -> bool:
        """Whether a copy here has followed a master in this life."""
        mirror = self.mirrors.get(queue_id)
        return mirror is not None and mirror.term > 0

    def leave(self, queue_id: int, term: int | None = None) -> Copy | None:
        """This node is no mirror under this term, or of no queue any more; what it holds. An offer of a later term
        waits on: the commit that makes this node a mirror again is on its way."""
        mirror = self.mirrors.pop(queue_id, None)
        parked = self._parked.pop(queue_id, {})
        if waiting := {peer: each for peer, each in parked.items() if term is not None and each[1].term > term}:
            self._parked[queue_id] = waiting
        self._paging.forget(queue_id)
        if mirror is None:
            return None
        self._aside.left(mirror)
        return mirror.copy

    def _receive_offer(self, peer: str, payload: bytes, offset: int) -> None:
        fields = frames.decode_json(payload)
        offer = Offer(**{**fields, "terms": [(term, first) for term, first in fields["terms"]]})
        if offer.queue_id in self.mirrors:
            self._take_offer(peer, offer, offset)
        else:  # the commit that makes us a mirror is still on its way (S15)
            self._park(peer, offer, offset)

    def _park(self, peer: str, offer: Offer, offset: int) -> None:
        self._parked.setdefault(offer.queue_id, {})[peer] = (peer, offer, offset)

    def _take_offer(self, peer: str, offer: Offer, offset: int) -> None:
        if self._aside.is_undecided(offer):
            self._park(peer, offer, offset)
            return
        mirror = self.mirrors[offer.queue_id]
        looking = self._looking.get(mirror)
        if looking is not None and looking[1].term > offer.term:
            return  # a master of the past
        if looking is not None or self._is_unprepared(mirror, offer):
            self._looking[mirror] = (peer, offer, offset)
            if looking is None:
                self._spawn(self._prepare, mirror)
            return
        if self._aside.begins_anew(mirror, offer) or mirror.begins_anew(offer):
            if self._aside.is_relied_on(offer.queue_id):  # its master, which does not hear of it, has it leave the set
                self._park(peer, offer, offset)
                return
            mirror = self._begin_anew(mirror.copy)
        statement = mirror.receive_offer(offer)
        statement.offset = offset
        if not statement.refused:
            self._aside.followed(mirror)
            # What this node settled while it was master is the new one's to settle now: where that has not heard of it,
            # it sends the message again.
            if unreleased := self._switchboard.journal.unreleased(offer.queue_id):
                self._switchboard.journal.settled(offer.queue_id, unreleased)
        self._store(mirror)
        # all that it claims must be on disk, also what came from an earlier master a moment ago
        self._statements.append((self._switchboard.journal.appended, peer, statement))
        self._switchboard.touch(self)

    def _begin_anew(self, copy: Copy) -> Mirror:
        self.leave(copy.queue_id)
        copy.clear()
        drop = records.Drop(copy.queue_id)
        self._switchboard.journal.append(records.encode(drop), drop)
        mirror = self.mirrors[copy.queue_id] = Mirror(copy)
        return mirror

    def _is_unprepared(self, mirror: Mirror, offer: Offer) -> bool:
        return mirror.pages_beyond(offer) is not None or self._aside.is_due(mirror, offer)

    async def _prepare(self, mirror: Mirror) -> None:
        """Only the contents say whose messages the copy may have to give up, and some of them have to be kept first.
        What was read for an offer says nothing of one that came meanwhile: for that it is looked again."""
        queue_id = mirror.copy.queue_id
        while self.mirrors.get(queue_id) is mirror:
            peer, offer, _ = self._looking[mirror]
            if (pages := mirror.pages_beyond(offer)) is not None:
                runs = await self._switchboard.journal.load(queue_id, *pages)
                mirror.look_beyond(pages[1], runs)
            elif self._aside.is_due(mirror, offer):
                try:
                    await self._aside.keep_for(mirror, peer, offer)
                except PeerLost:
                    await trio.sleep(ASK_AGAIN_S)
            else:
                break
        newest = self._looking.pop(mirror)
        if self.mirrors.get(queue_id) is mirror:
            self._take_offer(*newest)

    def _receive_record(self, peer: str, payload: bytes, offset: int) -> None:
        record, _ = records.decode(payload)
        if isinstance(record, records.JournalRecord):
            raise AssertionError(f"{peer} sent a record of its own journal")
        mirror = self.mirrors.get(record.queue_id)
        if mirror is not None and mirror.apply(record, payload):
            self._grown[mirror] = None
            lsn = self._store(mirror)
            if lsn:
                self._unsynced.setdefault(peer, deque()).append((offset, lsn))
        else:
            # said ahead of the acknowledgement that covers this record: it must not count (S4)
            promised = 0 if mirror is None else mirror.copy.promised
            self._switchboard.send(peer, frames.UNAPPLIED, frames.encode_triple(record.queue_id, promised, offset))
        self._received[peer] = offset
        self._switchboard.touch(self)

    def _store(self, mirror: Mirror) -> int:
        lsn = 0
        queue_id = mirror.copy.queue_id
        for entry in mirror.take_entries():
            lsn = self._switchboard.journal.append(entry.raw, entry.record)
            if entry.ranges:
                self._switchboard.journal.settled(queue_id, entry.ranges)
        if freed := mirror.take_freed():
            self._switchboard.journal.settled(queue_id, freed)
        return lsn

    def flush(self) -> None:
        """Tell masters how far their streams have been received and synced."""
        grown, self._grown = self._grown, {}
        for mirror in grown:
            copy = mirror.copy
            self._paging.relieve(
                copy.queue_id, mirror.term, mirror.resident_bytes, mirror.page_out, durable=copy.durable
            )
        synced_lsn = self._switchboard.journal.synced
        self._statements = [due for due in self._statements if due[0] > synced_lsn or not self._state(due[1], due[2])]
        for peer, received in list(self._received.items()):
            waiting = self._unsynced.get(peer)
            while waiting and waiting[0][1] <= synced_lsn:
                waiting.popleft()
            synced = waiting[0][0] - 1 if waiting else received
            if self._told.get(peer) != (received, synced):
                sent = self._switchboard.send(peer, frames.ACKNOWLEDGED, frames.encode_pair(received, synced))
                if sent >= 0:
                    self._told[peer] = (received, synced)

    def _state(self, peer: str, statement: Statement) -> bool:
        return self._switchboard.send(peer, frames.STATEMENT, frames.encode_json(asdict(statement))) >= 0

    def statistics(self) -> dict[int, Any]:
        """How many living messages each mirror here holds."""
        return {queue_id: len(mirror.copy.line) for queue_id, mirror in self.mirrors.items()}
