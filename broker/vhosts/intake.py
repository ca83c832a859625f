"""What publishers send to a master on this node, and how they are answered.

Decides what is taken of that: nothing twice, and nothing out of order (DESIGN rule S6). It must not know consumers, nor
how the log gets to disk and mirrors: it leaves notes, and is told when the last of them are safe.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.vhosts.debts import Debts
from broker.vhosts.publications import Pending, Publications
from broker.wire.message import Run

if TYPE_CHECKING:
    from broker.mirroring.master import Master
    from broker.vhosts.switchboard import Switchboard


FOR_TOTALS = 1
"""See `totals`."""
FOR_HISTORY = 2
"""Whoever draws rates."""
FOR_ALL = FOR_TOTALS | FOR_HISTORY


class Intake(ABC):
    """The side of a master that publishers see."""

    def __init__(self, master: "Master", publications: Publications, switchboard: "Switchboard") -> None:
        self.master = master
        self.queue = master.queue
        self.queue_id = master.copy.queue_id
        self.switchboard = switchboard
        self.debts = Debts(self.queue_id, switchboard)
        self._publications = publications
        self.changed = FOR_ALL
        """For whom anything may be other than when they looked last."""

    @abstractmethod
    def flush(self) -> None:
        """Called at the end of a turn in which something was taken."""

    @abstractmethod
    def _heed_lease(self) -> None:
        """Nothing is given out while that is not allowed."""

    def figures(self) -> dict[str, int]:
        """What can be summed up over queues."""
        counted = self.queue.statistics()
        counted["resident_bytes"] = self.queue.resident_bytes
        counted["mirrors"], counted["synchronised_mirrors"] = self.master.witnesses.counts()
        return counted

    def statistics(self) -> dict[str, Any]:
        """What can be counted, and which mirror lacks how much."""
        return {**self.queue.statistics(), **self.master.witnesses.statistics()}

    def publish(self, run: Run, pending: Pending | None) -> None:
        """Take a run from a channel of this node."""
        if self.queue.consumers.members:  # else nothing is given out
            self._heed_lease()
        if pending is None:
            self.master.publish(run, self.switchboard.stamp_ms)
            self.switchboard.touch(self)
            return
        if not self.master.logged:
            refused, _ = self.master.publish(run, self.switchboard.stamp_ms)
            for start, stop in refused:
                pending.refuse(start, stop)
            pending.answer()
            self.switchboard.touch(self)
            return
        entry = self._publications.add(run, pending)
        entry.sent = True
        entry.note = self._take(run, pending)
        self.switchboard.touch(self)

    @property
    def may_wait(self) -> bool:
        """Whether what is published now may as well come at the end of the turn: no consumer waits for it, and this
        node's disk is all that its confirm will wait for."""
        if self.master.witnesses.anybody:
            return False
        return not self.queue.consumers.members or self.queue.messages_ready > 0

    def _take(self, run: Run, pending: Pending) -> int:
        refused, note = self.master.publish(run, self.switchboard.stamp_ms)
        for start, stop in refused:
            pending.refuse(start, stop)
        if refused:
            self.master.answered(self._publications.origin, self._publications.next_unanswered - 1)
        # without a note of its own the run is as safe as the last one that has one: answers stay in order
        return note or self.master.note

    def publish_from(self, peer: str, run: Run) -> None:
        """Take a run from a channel of another node; what this log has already is only answered (S6)."""
        self._heed_lease()
        if run.origin is None:
            self.master.publish(run, self.switchboard.stamp_ms)
            self.switchboard.touch(self)
            return
        highest = self.master.copy.origins.get(run.origin, 0)
        last = run.sequence + len(run.contents) - 1
        if run.sequence > highest + 1:
            return  # a gap: its node has not yet asked how far we are, and will send all of it again
        self.master.answered(run.origin, run.first - 1)
        if last > highest:
            if run.sequence <= highest:
                run = run.cut(highest + 1 - run.sequence, len(run.contents))
            refused, _ = self.master.publish(run, self.switchboard.stamp_ms)
            for start, stop in refused:
                self.debts.refuse(peer, run.sequence + start, run.sequence + stop - 1)
        self._owe(peer, last)

    def attach(self, peer: str, origin: str, answered: int) -> int:
        """A node asks how far this log has its publications; those up to `answered` have had their answer elsewhere."""
        highest = max(answered, self.master.copy.origins.get(origin, 0))
        if highest:
            self.master.copy.origins[origin] = highest
            self.master.answered(origin, answered)
            for first, last in self.master.copy.refused.get(origin, []):
                self.debts.refuse(peer, first, last)
            self._owe(peer, highest)
        return highest

    def forget_origins(self, is_over: Callable[[str], bool]) -> None:
        """Nobody will ask any more what was taken of lives that are over."""
        self.master.forget_origins(is_over)
        if self.master.outbox:
            self.switchboard.touch(self)

    def _owe(self, peer: str, sequence: int) -> None:
        """Answer this node when all that is in the log now is safe."""
        self.debts.owe(self.master.note, peer, sequence)
        self.switchboard.touch(self)

    def _replay(self) -> None:
        """Publications of this node from before the promotion: those not yet in the log enter it now (S6)."""
        publications = self._publications
        highest = self.master.copy.origins.get(publications.origin, 0)
        for first, last in self.master.copy.refused.get(publications.origin, []):
            publications.refused(first, last)
        for entry in list(publications.entries):
            if entry.last_sequence <= highest:
                entry.note = self.master.note
                continue
            run = entry.run
            if run.sequence <= highest:
                run = run.cut(highest + 1 - run.sequence, len(run.contents))
            run.redelivered, entry.sent = entry.sent, True
            entry.note = self._take(run, entry.pending)
        self.switchboard.touch(self)
