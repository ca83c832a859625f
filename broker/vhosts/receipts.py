"""Who is still to be told that what was settled at one queue is settled for good: that no failover can undo it.

Decides when that is so: of an acknowledgement and a purge once the log has it on every disk that counts, of a rejection
once its dead letter needs this queue no more, too. It must not know how a note of the log gets there.
"""

from collections import deque
from typing import TYPE_CHECKING

import trio

from broker.wire import queue_frames as frames

if TYPE_CHECKING:
    from broker.mirroring.ranges import Range
    from broker.queues.line import Line
    from broker.vhosts.switchboard import Switchboard

REJECTED_MAX = 4096
"""Of more stretches of rejected messages nobody is told: their nodes keep no more of them, either."""


class Question:
    """Somebody waits until what was settled before this is safe."""

    __slots__ = ("answered", "is_safe")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.is_safe = False

    def answer(self, *, is_safe: bool) -> None:
        """Say so, or that nobody here can say so any more."""
        self.is_safe = is_safe
        self.answered.set()


class Receipts:
    """The answers that one master owes to the nodes of consumers and to those who purge, in the order of its log."""

    def __init__(self, queue_id: int, switchboard: "Switchboard") -> None:
        self._queue_id = queue_id
        self._switchboard = switchboard
        self._answered: dict[tuple[str, int], int] = {}
        """By node and kind the number of the last answer that came in this turn."""
        self._rejected: deque[tuple[str, int, int, int]] = deque()
        """(node, number, first, last) of what may still be on its way as a dead letter; this node waits for nothing."""
        self.owed: deque[tuple[int, int, str, int, int]] = deque()
        """(note, its end in the journal, node, kind, number)."""
        self._questions: list[Question] = []
        """Of this turn."""
        self.has_news = False
        """Whether `note` has anything to do."""
        self.asked: deque[tuple[int, int, Question]] = deque()
        """(note, its end in the journal, who waits)."""

    async def safe(self) -> bool:
        """Wait until all that was settled in this turn is safe; False if the master ended before."""
        question = Question()
        self._questions.append(question)
        self.has_news = True
        await question.answered.wait()
        return question.is_safe

    def end(self) -> None:
        """The master is no more: what is not safe by now its successor may not know of."""
        for question in [*self._questions, *(question for _, _, question in self.asked)]:
            question.answer(is_safe=False)
        self._questions.clear()
        self.asked.clear()

    def take(self, peer: str, what: int, number: int, first: int, last: int) -> None:
        """A consumer's node has answered for these positions, under this number."""
        self.has_news = True
        if what != frames.REJECT:
            self._answered[peer, what] = number
            return
        if self._rejected:
            node, _, begin, upto = self._rejected[-1]
            if node == peer and upto + 1 == first:
                self._rejected[-1] = (peer, number, begin, last)
                return
        self._rejected.append((peer, number, first, last))
        if len(self._rejected) > REJECTED_MAX:
            self._rejected.popleft()

    def reject_here(self, first: int, last: int) -> None:
        """A client of this node has rejected these positions."""
        self.take(self._switchboard.node, frames.REJECT, 0, first, last)

    @property
    def rejected_here(self) -> "list[Range]":
        """Of that what may still be on its way: a successor of this master is to send it on, not to give it out."""
        return [(first, last) for peer, _, first, last in self._rejected if peer == self._switchboard.node]

    def note(self, note: int, lsn: int, dying: "Line") -> None:
        """The end of a turn: what was answered for is in the log up to this note, which ends there in the journal;
        `dying` are the dead letters under way."""
        while self._rejected:
            peer, number, first, last = self._rejected[0]
            if next(dying.between(first, last), None) is not None:
                break
            self._rejected.popleft()
            if peer != self._switchboard.node:
                self._answered[peer, frames.REJECT] = number
        if self._answered:
            answered, self._answered = self._answered, {}
            self.owed += [(note, lsn, peer, what, number) for (peer, what), number in answered.items()]
        if self._questions:
            self.asked += [(note, lsn, question) for question in self._questions]
            self._questions.clear()
        self.has_news = bool(self._rejected)

    def pay(self, synced_note: int, journal_synced: int) -> None:
        """Every mirror that counts has synced up to this note (-1: there is none that does), the own disk up to there.

        Who cannot be told now will ask anew, and tell again what it still keeps.
        """
        asked = self.asked
        while asked and asked[0][1] <= journal_synced and (synced_note < 0 or asked[0][0] <= synced_note):
            asked.popleft()[2].answer(is_safe=True)
        safe: dict[tuple[str, int], int] = {}
        owed = self.owed
        while owed and owed[0][1] <= journal_synced and (synced_note < 0 or owed[0][0] <= synced_note):
            _, _, peer, what, number = owed.popleft()
            safe[peer, what] = number
        for (peer, what), number in safe.items():
            self._switchboard.send(peer, frames.SETTLED, frames.encode_triple(self._queue_id, what, number))

    def cancel(self, peer: str) -> None:
        """The node has gone, or begins anew."""
        self._answered = {key: number for key, number in self._answered.items() if key[0] != peer}
        self._rejected = deque(entry for entry in self._rejected if entry[0] != peer)
        self.owed = deque(entry for entry in self.owed if entry[2] != peer)
