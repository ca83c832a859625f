"""The side of a queue whose master is on this node.

Decides nothing about messages (the queue does) nor about copies (the master machine does): it carries what they leave
in their outboxes to the journal, to the mirrors and to the publishers. It must not know policies or clients' dialogue.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

import trio

from broker.mirroring.ranges import upto
from broker.mirroring.terms import Terms
from broker.queues.consumers import Consumer
from broker.vhosts.fetching import Fetching
from broker.vhosts.hearing import Hearing
from broker.vhosts.intake import FOR_ALL
from broker.vhosts.loans import Loans
from broker.vhosts.pager import Pager
from broker.vhosts.receipts import Receipts
from broker.wire import queue_frames as frames
from broker.wire.message import PassedRun, Place, Run

if TYPE_CHECKING:
    from collections.abc import Hashable

    from broker.mirroring.copy import Copy
    from broker.mirroring.master import Master
    from broker.mirroring.ranges import Range
    from broker.queues.dead_letter import DeadLetter
    from broker.queues.settings import Settings
    from broker.vhosts.dispatch import Road
    from broker.vhosts.guests import Guest
    from broker.vhosts.paging import Paging
    from broker.vhosts.publications import Publications
    from broker.vhosts.settles import History
    from broker.vhosts.switchboard import Switchboard
    from broker.vhosts.timers import Timers

COMING_BACK_S = 1.0
"""A consumer consumes again a moment after its node has heard of the new master."""


class Local(Fetching):
    """A master with its journal, its mirrors and its publishers."""

    def __init__(
        self,
        master: "Master",
        publications: "Publications",
        switchboard: "Switchboard",
        timers: "Timers",
        paging: "Paging",
        dead_letters: "Road",
        auto_delete: bool,
        delete: Callable[[], Awaitable[None]],
        spawn: Callable[..., None],
        unheard: Collection[str] = (),
    ) -> None:
        """`unheard`: the nodes whose consumers may have answered for messages that the last master gave out."""
        super().__init__(master, publications, switchboard)
        self.timers = timers
        self.delete = delete
        self._auto_delete = auto_delete
        self._spawn = spawn
        self.pager = Pager(self, paging, dead_letters, spawn)
        self.receipts = Receipts(self.queue_id, switchboard)
        self.unsafe: dict[int, list[Range]] = {}
        """Of a master that has ended: what was answered for here, by kind, and its successor may not know of."""
        self._stored_lsn = 0
        self.hearing = Hearing(master, unheard, spawn, self._heed_lease)
        self._awaits_consumers = False
        self.on_use: Callable[[], Awaitable[None]] | None = None
        """Who has to know of the first consumer of an auto-delete queue."""
        self._roomy: dict[Consumer, None] = {}
        self._loans = Loans(master)
        if unreleased := switchboard.journal.unreleased(self.queue_id):
            master.settle_again(unreleased)
        self._replay()

    def end(self) -> "Copy":
        """The queue is deleted or has another master: from now on nothing of it is sent, given out or answered. Returns
        the copy as it is: the journal has all of it, also what came in this turn."""
        self.ended = True
        self.timers.forget(self)
        self.pager.end()
        self.receipts.end()
        self.hearing.end()
        self.widen()
        self.master.note_settled()
        self.unsafe = {frames.ACKNOWLEDGE: self.master.unsafe_settles(), frames.REJECT: self.receipts.rejected_here}
        for note in self.master.last_notes():
            self.switchboard.journal.append(note.raw, note.record)
        if freed := self.master.take_freed():
            self.switchboard.journal.settled(self.queue_id, freed)
        return self.master.retire()

    # ------------------------------------------------------------------ consuming

    def consume(self, consumer: Consumer) -> None:
        """Let a consumer join; raises ExclusiveUse. It is served when it is woken."""
        self.queue.consume(consumer)
        if self.on_use is not None:
            on_use, self.on_use = self.on_use, None
            self._spawn(on_use)

    def cancel(self, consumer: Consumer) -> None:
        """The consumer gets nothing any more."""
        self.queue.cancel(consumer)
        self.switchboard.touch(self)

    @property
    def is_unused(self) -> bool:
        """An auto-delete queue whose last consumer has gone."""
        has_been_used = self.queue.has_had_consumers and not self._awaits_consumers
        return self._auto_delete and has_been_used and not self.queue.consumers.members

    async def await_consumers(self, running_peers: Callable[[], list[str]]) -> None:
        """It had consumers under a former master: unless one of them comes back, the last has gone."""
        self.queue.has_had_consumers = self._awaits_consumers = True
        await self.hearing.all_heard(running_peers)
        await trio.sleep(COMING_BACK_S)
        self._awaits_consumers = False
        if self.is_unused and not self.ended:
            await self.delete()

    def part_with(self, consumer: Consumer) -> None:
        """The consumer's node or channel is gone: what it held returns, and an auto-delete queue may end."""
        self.cancel(consumer)
        self.settle(consumer, frames.RELEASE, 0, 0)
        if self.is_unused:
            self._spawn(self.delete)

    def wake(self, consumer: Consumer | None) -> None:
        """Somebody has room."""
        if self.ended:
            return
        self._heed_lease()
        self.queue.tell_time(self.switchboard.stamp_ms)
        self.queue.pump(consumer)
        self.switchboard.touch(self)

    def lend(self, consumer: "Guest") -> None:
        """A consumer was lent room for this turn, or until the messages that are there may be given out."""
        if not self.ended:
            self._loans.add(consumer)
            self.wake(consumer)

    def use(self) -> None:
        """The queue was declared again, or looked at: its time as an unused one (x-expires) begins anew."""
        self.queue.used()
        self.switchboard.touch(self)

    def apply(self, settings: "Settings") -> None:
        """Other settings are in force; where an operator paused the queue or lets it go on, everybody looks again."""
        was_paused = self.queue.settings.paused
        self.queue.apply(settings, self.switchboard.stamp_ms)
        if settings.paused != was_paused:
            self.wake(None)
            self.widen()

    def tick(self, stamp_ms: int) -> None:
        """Let expire what is due."""
        if self.ended:
            return
        self._heed_lease()
        self.queue.tick(stamp_ms)
        self.switchboard.touch(self)
        if self.queue.expired:
            self._spawn(self.delete)

    def settle(self, holder: "Hashable", what: int, first: int, last: int) -> None:
        """Acknowledge, requeue or reject positions that this holder holds; or take back all of them."""
        self._heed_lease()
        queue = self.queue
        if what != frames.ACKNOWLEDGE:
            queue.tell_time(self.switchboard.stamp_ms)  # what comes back may be too old by now
        if what == frames.ACKNOWLEDGE:
            queue.settle(holder, first, last)
        elif what == frames.REQUEUE:
            queue.requeue(holder, first, last)
        elif what == frames.REJECT:
            queue.reject(holder, first, last)
        else:
            queue.release(holder)
        if isinstance(holder, Consumer):
            if queue.consumers.ranked:
                self.wake(holder)  # what is published next in this turn may be for it, not for one behind it
            else:
                self._roomy[holder] = None
        self.switchboard.touch(self)

    # ------------------------------------------------------------------ what a former master gave out

    @property
    def history(self) -> "History":
        """Whose positions are whose, as far as this master knows."""
        return list(self.master.copy.terms.entries) or [(self.master.term, 1)]

    def settle_again(self, history: "History", what: int, ranges: "list[Range]") -> None:
        """What consumers have answered for under a former master, who had this history (S6). Where this log has
        another one, other messages are meant."""
        common = Terms(self.history).common(history, self.queue.next_position - 1)
        for first, last in upto(ranges, common):
            if what == frames.ACKNOWLEDGE:
                self.queue.settle_wherever(first, last)
            elif what == frames.REJECT:
                self.queue.reject_ready(first, last, self.queue.settings)
                self.receipts.reject_here(first, last)
            elif self.queue.settings.counts_returns and history[-1][0] != self.master.term:  # own ones it has counted
                self.queue.come_back(first, last)
        self.switchboard.touch(self)

    # ------------------------------------------------------------------ whether anything is given out

    def _heed_lease(self) -> None:
        """Nothing is given out while somebody else may be master already (S4), nor ever again once one is."""
        if self.ended:
            return
        leased = self.switchboard.lease_valid()
        if not leased:
            self.switchboard.lease_missed = True
        self._heed(leased=leased)

    def _heed(self, *, leased: bool) -> None:
        """Nor while what stands here may have been answered for elsewhere (S6)."""
        if (leased and not self.hearing.holds_back) != self.master.gives and self.master.give(not self.master.gives):
            self.queue.pump()
            self.switchboard.touch(self)
            self.widen()
            self.pager.letters.go_on()

    async def purge(self) -> dict[str, int] | None:
        """Drop what is ready; the `count` of messages that were, as soon as no failover brings them back, and nobody
        else can have others that this master does not know. None if it ends before."""
        if self.ended:
            return None
        self.switchboard.touch(self)
        count = self.queue.purge()
        is_safe = await self.receipts.safe()
        await self.switchboard.leased()
        return None if self.ended or not is_safe else {"count": count}

    def forget_dead(self, first: int, last: int) -> None:
        """Dead letters of these positions are safe elsewhere; position 0 was never in the log."""
        if first:
            self.queue.settle_dead(first, last)
        if self.pager.letters.answered(last - first + 1) or first:
            self.switchboard.touch(self)

    def pass_on(self, run: Run) -> list[Run]:
        """Messages of this queue that go to others, so that those know what they have already had of them (S16): in
        parts whose positions have one owner. What was never in the log is known to nobody."""
        if not run.first:
            return [run]
        parts: list[Run] = []
        first = run.first
        while first <= run.last:
            term, upto = self.master.copy.terms.owned(first)
            last = run.last if upto is None else min(run.last, upto)
            part = run.cut(first - run.first, last - run.first + 1)
            parts.append(PassedRun(part, Place(self.queue_id, term, first)))
            first = last + 1
        return parts

    def keep_dead(self, dead: "DeadLetter") -> None:
        """No queue took this dead letter, which must arrive."""
        self.queue.keep_dead(dead)
        self.pager.letters.answered(dead.piece.count)
        self.switchboard.touch(self)

    # ------------------------------------------------------------------ the end of a turn

    def flush(self) -> None:
        """Store and send the log's new records; answer what has become safe."""
        if self.ended:
            return
        self.changed = FOR_ALL
        master, queue = self.master, self.queue
        if self._roomy:
            self._serve_roomy()
        departed = queue.has_departed
        if departed and master.gives:  # else a successor may bury the same
            for letter in queue.take_dead():
                self.pager.letters.send(letter)
        if not master.logged:
            self.debts.pay(master.note)
            self.receipts.note(0, 0, queue.dying)
            self.receipts.pay(-1, 0)
        else:
            if queue.consumers.members:
                master.open_more()
            if departed or queue.has_returned:
                master.note_settled()
            self._ship()
            if self.receipts.has_news:
                self.receipts.note(master.note, self._stored_lsn, queue.dying)
            if master.witnesses.reached(self.switchboard.journal.synced):
                self.advance()
        if self._loans.borrowers:
            self._loans.call_in()
        if queue.heeds_time:
            self.timers.watch(self)
        self.pager.turn()

    def _serve_roomy(self) -> None:
        """Consumers that answered in this turn have room again: one delivery for all their answers."""
        roomy, self._roomy = self._roomy, {}
        if self.queue.heeds_time:
            self.queue.tell_time(self.switchboard.stamp_ms)
        for consumer in roomy:
            self.queue.pump(consumer)

    def _ship(self) -> None:
        master, switchboard = self.master, self.switchboard
        journal = switchboard.journal
        followers, last_lsn = master.witnesses.followers, 0
        ends: dict[str, int] = {}
        for note in master.take_notes():
            lsn = 0
            if note.durable:
                last_lsn = lsn = journal.append(note.raw, note.record)
            for follower in followers.values():
                if follower.heeds(note.record):
                    offset = switchboard.send(follower.node, frames.RECORD, note.raw)
                    if offset >= 0 and follower.joined:  # without a link it will state anew what it holds
                        follower.noted(note.number, offset)
                        ends[follower.node] = offset
            master.shipped(note, lsn)
        for node, offset in ends.items():
            switchboard.transit.sent(node, offset, self)
        if last_lsn:
            self._stored_lsn = last_lsn
            switchboard.advance_at(last_lsn, self)

    def advance(self) -> None:
        """Disk or mirrors have got further.

        A master that is the only synchronised copy acts only under a lease: else nobody could tell that it has been
        replaced (S3).
        """
        if self.ended:
            return
        master, journal = self.master, self.switchboard.journal
        leased = self.switchboard.lease_valid()
        if not leased:
            self.switchboard.lease_missed = True
        self._heed(leased=leased)
        if master.logged and not leased and not master.witnesses.required():
            return
        openings = master.openings
        freed = master.advance(journal.synced)
        if master.openings != openings:
            self.widen()
            if self.queue.paged_messages or self.queue.has_departed:  # to consumers for which the mark was moved
                self.switchboard.touch(self)
        if freed and master.copy.durable:
            journal.settled(self.queue_id, freed)
        if master.outbox:
            self.switchboard.touch(self)
        self._publications.noted_upto(master.confirmed_note)
        if self.debts.owed:
            self.debts.pay(master.confirmed_note)
        if self.receipts.owed or self.receipts.asked:
            self.receipts.pay(master.witnesses.marks()[1], journal.synced)
        if self._loans.borrowers:
            self._loans.call_in()

    @property
    def waits(self) -> bool:
        """Whether something waits for disk or mirrors."""
        return bool(self.master.witnesses.waiting)
