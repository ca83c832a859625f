"""What channels of this node with confirms have published to one queue, and nobody has answered yet.

Decides what is sent again when the master changes: everything unanswered, in order, under the same dense sequence
numbers, so that the new master can tell what it has (DESIGN rule S6). The origin is this life of this node.
"""

from collections import deque
from typing import Protocol

from broker.wire.message import Run


class Pending(Protocol):
    """Whoever waits for an answer: a channel's confirm, or a dead letter's source."""

    missing: int

    def answer(self) -> None:
        """One queue is safe."""

    def refuse(self, start: int, stop: int) -> None:
        """A queue did not take these messages of the run."""


class Publication:
    """One run on its way. `note` is the master's note that makes it safe, once a master of this node has it; `sent`:
    some master may have had it, and given it out."""

    __slots__ = ("note", "pending", "run", "sent")

    def __init__(self, run: Run, pending: Pending) -> None:
        self.run = run
        self.pending = pending
        self.note = 0
        self.sent = False

    @property
    def last_sequence(self) -> int:
        """The sequence of its last message."""
        return self.run.sequence + len(self.run.contents) - 1


class Publications:
    """The unanswered publications of one queue, oldest first."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.entries: deque[Publication] = deque()
        self.next_sequence = 1

    @property
    def next_unanswered(self) -> int:
        """The first sequence that nobody has answered, or the next one to be given."""
        return self.entries[0].run.sequence if self.entries else self.next_sequence

    @property
    def size_bytes(self) -> int:
        """What all of them come to."""
        return sum(entry.run.size_bytes for entry in self.entries)

    def add(self, run: Run, pending: Pending) -> Publication:
        """Give a run its origin and sequence, and remember it until it is answered."""
        run.origin = self.origin
        run.sequence = self.next_sequence
        self.next_sequence += len(run.contents)
        entry = Publication(run, pending)
        self.entries.append(entry)
        return entry

    def answered_upto(self, sequence: int) -> None:
        """The master has everything up to this sequence safe."""
        entries = self.entries
        while entries and entries[0].last_sequence <= sequence:
            self._answer()

    def noted_upto(self, note: int) -> None:
        """The master on this node has everything up to this note safe."""
        entries = self.entries
        while entries and 0 < entries[0].note <= note:
            self._answer()

    def refused(self, first: int, last: int) -> None:
        """The master did not take these sequences."""
        for entry in self.entries:
            if entry.run.sequence <= last and entry.last_sequence >= first:
                start = max(first, entry.run.sequence) - entry.run.sequence
                stop = min(last, entry.last_sequence) - entry.run.sequence + 1
                entry.pending.refuse(start, stop)

    def refuse_all(self) -> None:
        """No master will ever answer: everything is refused."""
        while self.entries:
            entry = self.entries[0]
            entry.pending.refuse(0, len(entry.run.contents))
            self._answer()

    def answer_all(self) -> None:
        """The queue was deleted: that answers everything (RabbitMQ confirms it)."""
        while self.entries:
            self._answer()

    def _answer(self) -> None:
        self.entries.popleft().pending.answer()
