"""A line of messages in the order of their positions, kept as runs.

Decides where a message stands, never what happens to it: the same line serves the ready messages of a queue, what a
consumer holds unacknowledged and a mirror's copy. Both ends cost the same however long the runs are; places in the
middle are found by bisection. There is nothing per message but its bytes. It must not know consumers, limits or time.
"""

from bisect import bisect_right
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING

from broker.wire.content import body_size
from broker.wire.message import Run, Traits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GONE = Run([], b"\0\0", Traits())  # stands where a run was taken from the head, so that its bytes are free at once
_COMPACT_AT = 64  # so many empty places at the head are worth a move of the rest
_SINGLY_MAX = 16  # more runs than that are put back in one sweep: each place in a long line costs a move of the rest
_first_of = attrgetter("first")


class Line:
    """Living messages by position. `open_upto` is the last position that `take` may give away; None means all."""

    __slots__ = ("_count", "_head", "_measured_bytes", "_measured_upto", "_runs", "_taken", "open_upto")

    def __init__(self, runs: "Iterable[Run]" = ()) -> None:
        self._runs: list[Run] = []
        self._head = 0  # index of the first run that has living messages
        self._taken = 0  # messages of that run which have left already
        self._count = 0
        self._measured_upto = 0  # bodies are measured only when somebody asks: up to this position they have been
        self._measured_bytes = 0
        self.open_upto: int | None = None
        for run in runs:
            self.add(run)

    # -- coming ------------------------------------------------------------------------------------------------------

    def append(self, run: Run) -> None:
        """Put a run behind all others; its first position must be above the last one here."""
        if self._count and run.first <= self._runs[-1].last:
            raise ValueError(f"{run} does not come after {self.last}")
        self._runs.append(run)
        self._count += len(run.contents)
        if run.first <= self._measured_upto:
            self._forget_measures()

    def add(self, run: Run) -> None:
        """Append the run, or insert it if it belongs further ahead."""
        if not self._count or run.first > self._runs[-1].last:
            self.append(run)
        else:
            self.insert(run)

    def insert(self, run: Run) -> None:
        """Put a run where its positions belong; positions that are here already are skipped."""
        if not run.contents:
            return
        self._trim()
        index = self._index_of(run.first)
        position = run.first
        while position <= run.last:
            stop = self._runs[index].first if index < len(self._runs) else run.last + 1
            if position < stop:
                stop = min(stop, run.last + 1)
                self._place(index, run if stop - position == len(run.contents) else self._part(run, position, stop - 1))
                index = self._index_of(stop)
                position = stop
            else:
                position = self._runs[index].last + 1
                index += 1

    def put_back(self, runs: list[Run]) -> None:
        """Put runs, in order, where they stood before: nothing of them may be here."""
        if len(runs) <= _SINGLY_MAX:
            for run in reversed(runs):  # the last first: each then goes to the very head
                self.add(run)
            return
        self._trim()
        self._runs = sorted([*runs, *self._runs[self._head :]], key=_first_of)
        self._head = 0
        for run in runs:
            self._count_in(run)

    def _place(self, index: int, run: Run) -> None:
        self._count_in(run)
        if index == self._head and index > 0:
            self._head -= 1
            self._runs[self._head] = run
        else:
            self._runs.insert(index, run)

    def _count_in(self, run: Run) -> None:
        self._count += len(run.contents)
        if run.last <= self._measured_upto:
            self._measured_bytes += bytes_of(run)
        elif run.first <= self._measured_upto:
            self._forget_measures()

    def may_pass(self, run: Run) -> bool:
        """Whether a new run may be delivered without standing in line."""
        return not self._count and (self.open_upto is None or run.last <= self.open_upto)

    # -- leaving -----------------------------------------------------------------------------------------------------

    def at_hand(self) -> int:
        """How many messages of the first run `take` would give now."""
        if not self._count:
            return 0
        run = self._runs[self._head]
        size = len(run.contents) - self._taken
        if self.open_upto is None:
            return size
        return max(0, min(size, self.open_upto + 1 - run.first - self._taken))

    def take(self, count_max: int, bytes_max: int | None = None) -> Run | None:
        """Remove up to `count_max` messages of one run from the head, not beyond `open_upto`.

        With `bytes_max` the contents taken are at most so long together, but one message is always given.
        """
        count = min(count_max, self.at_hand())
        if count <= 0:
            return None
        if bytes_max is not None:
            count = self._count_within(count, bytes_max)
        return self.drop_head(count)

    def drop_head(self, count: int) -> Run:
        """Remove up to `count` messages of the first run, whatever `open_upto` says; the line must not be empty."""
        run = self._runs[self._head]
        taken = self._taken
        end = min(taken + count, len(run.contents))
        if end - taken != len(run.contents):
            run = run.cut(taken, end)
        self._advance(end - taken)
        if run.first <= self._measured_upto:
            self._measured_bytes -= bytes_of(run)
        return run

    def discard(self, first: int, last: int) -> list[tuple[int, int]]:
        """Remove the positions first..last and return the ranges that really were here."""
        if self._count and first > self._measured_upto:
            run = self._runs[self._head]
            ahead = first - run.first
            if ahead == self._taken and last - run.first < len(run.contents):
                self._advance(last - first + 1)
                return [(first, last)]
        return [(run.first, run.last) for run in self.remove(first, last)]

    def remove(self, first: int, last: int) -> list[Run]:
        """Remove the positions first..last and return what was there, in order."""
        removed: list[Run] = []
        self._trim()
        while self._count and first <= self._runs[self._head].first and self._runs[self._head].last <= last:
            removed.append(self.drop_head(len(self._runs[self._head].contents)))
        if not self._count:
            return removed
        start = stop = self._index_of(first)
        rest: list[Run] = []
        while stop < len(self._runs) and self._runs[stop].first <= last:
            run = self._runs[stop]
            inner_first, inner_last = max(first, run.first), min(last, run.last)
            if run.first < inner_first:
                rest.append(self._part(run, run.first, inner_first - 1))
            if inner_last < run.last:
                rest.append(self._part(run, inner_last + 1, run.last))
            piece = self._part(run, inner_first, inner_last)
            removed.append(piece)
            self._count -= len(piece.contents)
            if piece.first <= self._measured_upto:
                self._measured_bytes -= bytes_of(piece)
            stop += 1
        self._runs[start:stop] = rest
        return removed

    def clear(self) -> list[Run]:
        """Remove everything and return it."""
        runs = list(self.runs())
        self._runs.clear()
        self._head = self._taken = self._count = 0
        self._forget_measures()
        return runs

    # -- looking -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._count

    @property
    def first(self) -> int | None:
        """The first living position."""
        return self._runs[self._head].first + self._taken if self._count else None

    @property
    def last(self) -> int | None:
        """The last living position."""
        return self._runs[-1].last if self._count else None

    @property
    def size_bytes(self) -> int:
        """Bytes of all bodies. Measures only what came since the last question."""
        if self._count and self._runs[-1].last > self._measured_upto:
            self._trim()
            unmeasured = self._runs[self._index_of(self._measured_upto + 1) :]
            self._measured_bytes += sum(map(bytes_of, unmeasured))
            self._measured_upto = self._runs[-1].last
        return self._measured_bytes

    def head(self) -> Run | None:
        """The first run, as far as it is still here."""
        self._trim()
        return self._runs[self._head] if self._count else None

    def runs(self) -> "Iterator[Run]":
        """All runs in order. The line must not change meanwhile."""
        self._trim()
        for index in range(self._head, len(self._runs)):
            yield self._runs[index]

    def level_of(self, run: Run) -> int:
        """A plain line has one level (see `Levels`)."""
        return 0

    def lines(self) -> "list[Line]":
        """The line itself, as the only one (see `Levels`)."""
        return [self]

    def first_closed(self) -> int:
        """The first position behind `open_upto`; there must be one."""
        mark = self.open_upto or 0
        return next(max(run.first, mark + 1) for run in self.runs() if run.last > mark)

    def between(self, first: int, last: int) -> "Iterator[Run]":
        """What is here of the positions first..last, in order. The line must not change meanwhile."""
        self._trim()
        for index in range(self._index_of(first), len(self._runs)):
            run = self._runs[index]
            if run.first > last:
                return
            yield self._part(run, max(first, run.first), min(last, run.last))

    def ranges(self) -> list[tuple[int, int]]:
        """The living positions as ranges (first, last), as few as possible."""
        return ranges_of(self.runs())

    def flag_redelivered(self, upto: int) -> None:
        """Mark everything up to this position as delivered before."""
        self._trim()
        for index in range(self._head, len(self._runs)):
            run = self._runs[index]
            if run.first > upto:
                return
            if run.redelivered:
                continue
            if run.last > upto:
                self._runs[index : index + 1] = [self._part(run, run.first, upto), self._part(run, upto + 1, run.last)]
                run = self._runs[index]
            run.redelivered = True

    def count_returned(self, first: int, last: int, times: int) -> None:
        """What is here of the positions first..last was given back at least so often."""
        self._trim()
        for position in (first, last + 1):
            self._split(position)
        for index in range(self._index_of(first), len(self._runs)):
            run = self._runs[index]
            if run.first > last:
                return
            run.returned = max(run.returned, times)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _advance(self, count: int) -> None:
        """So many messages of the first run have left."""
        self._count -= count
        self._taken += count
        runs, head = self._runs, self._head
        if self._taken < len(runs[head].contents):
            return
        runs[head] = _GONE
        self._taken = 0
        self._head = head = head + 1
        if head == len(runs):
            runs.clear()
            self._head = 0
        elif head >= _COMPACT_AT and head * 2 >= len(runs):
            del runs[:head]
            self._head = 0

    def _trim(self) -> None:
        """Make the first run exactly what is left of it."""
        if self._taken:
            run = self._runs[self._head]
            self._runs[self._head] = run.cut(self._taken, len(run.contents))
            self._taken = 0

    def _split(self, position: int) -> None:
        """Let a run begin here, if the position is inside of one; the head must be trimmed."""
        index = self._index_of(position)
        if index < len(self._runs) and self._runs[index].first < position:
            run = self._runs[index]
            parts = [self._part(run, run.first, position - 1), self._part(run, position, run.last)]
            self._runs[index : index + 1] = parts

    def _index_of(self, position: int) -> int:
        """Index of the run that holds the position, or of the first one behind it; the head must be trimmed."""
        index = bisect_right(self._runs, position, lo=self._head, key=_first_of)
        if index > self._head and self._runs[index - 1].last >= position:
            return index - 1
        return index

    def _count_within(self, count: int, bytes_max: int) -> int:
        """How many of the next `count` contents are at most `bytes_max` long together, at least one."""
        contents = self._runs[self._head].contents
        total = 0
        for index in range(self._taken, self._taken + count):
            total += len(contents[index])
            if total > bytes_max:
                return max(1, index - self._taken)
        return count

    def _forget_measures(self) -> None:
        self._measured_upto = self._measured_bytes = 0

    @staticmethod
    def _part(run: Run, first: int, last: int) -> Run:
        if first == run.first and last == run.last:
            return run
        return run.cut(first - run.first, last - run.first + 1)


def bytes_of(run: Run) -> int:
    """Bytes of the bodies of a run."""
    return sum(map(body_size, run.contents))


def merged(several: "Iterable[Iterator[Run]]") -> "Iterator[Run]":
    """The runs of several lines in one order; no two lines hold the same position."""
    return merge(*several, key=_first_of)


def ranges_of(runs: "Iterable[Run]") -> list[tuple[int, int]]:
    """The positions of runs in order, as ranges (first, last), as few as possible."""
    ranges: list[tuple[int, int]] = []
    for run in runs:
        join_range(ranges, run.first, run.last)
    return ranges


def join_range(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    """Add a range to the end of a list of ranges, joined with the last one if it continues that one."""
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))
