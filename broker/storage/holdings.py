"""Where the living messages of one queue lie: position -> the segment with the newest copy.

Decides which segment gains and which loses a living message, and its bytes. It must not know files or records. Kept as
stretches of positions that lie in one segment and were written under one term, so an ordinary queue has one per
segment. The bytes of a stretch are shared evenly: what leaves takes as much along as its number says.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from broker.storage.segments import Segment


class Stretch:
    """Living messages with consecutive positions, one term, one segment."""

    __slots__ = ("first", "last", "segment", "size_bytes", "term")

    def __init__(self, first: int, last: int, term: int, segment: Segment, size_bytes: int) -> None:
        self.first = first
        self.last = last
        self.term = term
        self.segment = segment
        self.size_bytes = size_bytes

    def cut(self, first: int, last: int) -> "Stretch":
        """These positions of it, as a stretch of their own."""
        share = self.size_bytes * (last - first + 1) // (self.last - self.first + 1)
        return Stretch(first, last, self.term, self.segment, share)

    def lose(self, count: int) -> None:
        """So many messages are about to leave, here and in the segment, and their bytes with them."""
        lost = self.size_bytes * count // (self.last - self.first + 1)
        self.size_bytes -= lost
        self.segment.living -= count
        self.segment.living_bytes -= lost


class Holdings:
    """Disjoint stretches in ascending order; counts what lives in each segment as they come and go."""

    __slots__ = ("_firsts", "_stretches")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._stretches: list[Stretch] = []

    def __iter__(self) -> Iterator[Stretch]:
        return iter(self._stretches)

    def __bool__(self) -> bool:
        return bool(self._stretches)

    def put(self, first: int, last: int, term: int, segment: Segment, size_bytes: int) -> list[Segment]:
        """A copy of these messages, so long, is now in `segment`; older copies no longer count.

        Returns the segments that lost their last living message by that.
        """
        emptied: list[Segment] = []
        stretches = self._stretches
        if stretches:
            end = stretches[-1]
            if first == end.last + 1 and end.segment is segment and end.term == term:
                end.last = last
                end.size_bytes += size_bytes
                segment.living += last - first + 1
                segment.living_bytes += size_bytes
                return emptied
            if first <= end.last:
                emptied = self.take(first, last)
        index = bisect_right(self._firsts, first)
        self._firsts.insert(index, first)
        stretches.insert(index, Stretch(first, last, term, segment, size_bytes))
        segment.living += last - first + 1
        segment.living_bytes += size_bytes
        return emptied

    def take(self, first: int, last: int, *, below_term: int | None = None) -> list[Segment]:
        """These messages are needed no more (with `below_term`, only those of lower terms; not held is fine).

        Returns the segments that lost their last living message by that.
        """
        emptied: list[Segment] = []
        if below_term is None and self._stretches:
            head = self._stretches[0]
            if head.first == first and last < head.last:  # the usual way: from the head on
                head.lose(last - first + 1)
                head.first = self._firsts[0] = last + 1
                return emptied
        start = max(bisect_right(self._firsts, first) - 1, 0)
        stop = bisect_left(self._firsts, last + 1)
        left: list[Stretch] = []
        for stretch in self._stretches[start:stop]:
            from_, upto = max(stretch.first, first), min(stretch.last, last)
            if from_ > upto or (below_term is not None and stretch.term >= below_term):
                left.append(stretch)
                continue
            segment = stretch.segment
            stretch.lose(upto - from_ + 1)
            if not segment.living:
                emptied.append(segment)
            if upto < stretch.last and stretch.first < from_:
                ahead = stretch.size_bytes * (from_ - stretch.first) // (from_ - stretch.first + stretch.last - upto)
                left.append(Stretch(stretch.first, from_ - 1, stretch.term, segment, ahead))
                stretch.size_bytes -= ahead
                stretch.first = upto + 1
                left.append(stretch)
            elif upto < stretch.last:
                stretch.first = upto + 1
                left.append(stretch)
            elif stretch.first < from_:
                stretch.last = from_ - 1
                left.append(stretch)
        self._stretches[start:stop] = left
        self._firsts[start:stop] = [stretch.first for stretch in left]
        return emptied

    def within(self, first: int, last: int) -> list[Stretch]:
        """The stretches between the two positions, cut to them."""
        start = max(bisect_right(self._firsts, first) - 1, 0)
        stop = bisect_left(self._firsts, last + 1)
        return [
            stretch.cut(max(stretch.first, first), min(stretch.last, last))
            for stretch in self._stretches[start:stop]
            if stretch.last >= first
        ]
