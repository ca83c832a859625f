"""What clients of this node have acknowledged or rejected at a queue whose master is on another node, or taken without
having to, as far as not every in-sync copy is known to have that.

Decides what a successor of that master is told again: what was answered for, by position and by whose history the
position is of (DESIGN rule S6); so a surviving consumer's acknowledged message does not come back. What was given back
is not kept: with its master it has returned by itself. What a quorum queue's consumers had not answered for has come
back, too, which counts there. It must not know channels, nor what became of the master.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from broker.mirroring.ranges import Range
from broker.mirroring.terms import Term
from broker.wire import queue_frames as frames

History = Sequence[Term]
"""The terms of the master that gave messages out: it says whose positions they have."""
_ANSWERS = (frames.ACKNOWLEDGE, frames.REJECT)
_KINDS = (*_ANSWERS, frames.RELEASE)
"""In the order in which a new master is told of them."""
KEPT_MAX = 4096
"""So many stretches of positions are kept of each kind; what is forgotten may come again, and is flagged then (S11)."""


class Answer:
    """A stretch of positions with the same answer; `number` is that of the last part of it."""

    __slots__ = ("first", "history", "last", "number")

    def __init__(self, number: int, history: History, first: int, last: int) -> None:
        self.number = number
        self.history = history
        self.first = first
        self.last = last


class Settles:
    """The answers of one queue's clients here, oldest first. Answers in the order of positions are one stretch."""

    __slots__ = ("_counted", "_kept", "number")

    def __init__(self) -> None:
        self.number = 0
        """The number of the newest."""
        self._kept: dict[int, deque[Answer]] = {kind: deque() for kind in _KINDS}
        self._counted = (0, 0)
        """The term of the master that has counted what came back, and the number of the last of that."""

    def add(self, what: int, history: History, first: int, last: int) -> int:
        """Keep an answer; the number under which it will be said to be safe, 0 if it is not kept."""
        if what not in _ANSWERS:
            return 0
        kept = self._kept[what]
        self.number += 1
        newest = kept[-1] if kept else None
        if newest is not None and newest.last + 1 == first and newest.history is history:
            newest.last = last
            newest.number = self.number
            return self.number
        kept.append(Answer(self.number, history, first, last))
        if len(kept) > KEPT_MAX:
            kept.popleft()
        return self.number

    def keep(self, history: History, answers: Mapping[int, Sequence[Range]]) -> None:
        """What a master here was told, by kind, that has ended before every in-sync copy had it."""
        for what, ranges in answers.items():
            for first, last in ranges:
                self.add(what, history, first, last)

    def come_back(self, history: History, ranges: list[Range]) -> None:
        """These returned when their master went: its successor has to count that."""
        kept = self._kept[frames.RELEASE]
        for first, last in ranges:
            self.number += 1
            kept.append(Answer(self.number, history, first, last))
            if len(kept) > KEPT_MAX:
                kept.popleft()

    def safe_upto(self, what: int, number: int) -> None:
        """Every in-sync copy has these."""
        kept = self._kept[what]
        while kept and kept[0].number <= number:
            kept.popleft()

    def forget(self) -> None:
        """Whoever is master now knows all of them, and keeps them."""
        for kept in self._kept.values():
            kept.clear()

    def counted(self, term: int, number: int) -> None:
        """The master of this term was told of everything up to this number, and must not count twice what came back."""
        self._counted = (term, number)

    def again(self, term: int = 0, above: int = 0) -> Iterator[tuple[int, History, list[Range]]]:
        """What a master of this term is to be told: (what, history, ranges of positions in the order of answering);
        those with numbers `above` are the ones that it has not been told."""
        for what, kept in self._kept.items():
            counted = self._counted[1] if what == frames.RELEASE and self._counted[0] == term else 0
            untold = [answer for answer in kept if answer.number > max(above, counted)]
            for _, answers in groupby(untold, key=lambda answer: id(answer.history)):
                same = list(answers)
                yield what, same[0].history, [(answer.first, answer.last) for answer in same]
