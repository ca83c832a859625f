"""What the records of one queue in one segment add up to: the shortest log that says the same.

Decides which records may be told together: within a group publishes come first, then how often messages were given
back, then what was settled, then the rest of the state, of which only the last word counts. Whatever has to keep its
place begins a new group: a term, a drop, and messages where others of the group stand or were settled. It must not
know other segments, nor that void records exist.
"""

from collections.abc import Iterator

from broker.storage.ranges import Ranges
from broker.storage.tallies import Tallies
from broker.wire.footers import Entry, Raised
from broker.wire.records import Drop, Extent, Hole, Mark, Origin, Returned, Settle, Term
from broker.wire.sealed import PositionRanges

_NONE = Extent(0, 0, 0, 0, 0, False, 0)


class _Group:
    __slots__ = ("extents", "holes", "marks", "opening", "origins", "returned", "settled", "term")

    def __init__(self, opening: Term | Drop | None = None) -> None:
        self.opening = opening
        self.extents: list[Extent] = []
        self.settled: Ranges | None = None
        self.returned: Tallies | None = None
        self.marks: dict[int, int] = {}
        self.holes: PositionRanges | None = None
        self.origins: dict[str, tuple[int | None, int, PositionRanges]] = {}
        """Origin -> (the term under which it was set anew, None: only raised; highest; refused)."""
        self.term = 0  # the highest that was seen

    def entries(self, queue_id: int) -> Iterator[Entry]:
        """The group as a log."""
        term = self.term
        if self.opening is not None:
            yield self.opening
        yield from self.extents
        if self.returned is not None:
            yield Returned(queue_id, term, list(self.returned))
        if self.settled is not None:
            yield Settle(queue_id, term, list(self.settled))
        for level, upto in self.marks.items():
            yield Mark(queue_id, term, level, upto)
        if self.holes is not None:
            yield Hole(queue_id, term, self.holes)
        for origin, (set_under, highest, refused) in self.origins.items():
            if set_under is None:
                yield Raised(queue_id, term, origin, highest)
            else:
                yield Origin(queue_id, set_under, origin, highest, refused)


class Digest:
    """Told of each record in turn."""

    __slots__ = ("_done", "_extent", "_group", "_high", "_highest", "_next", "_origin")

    def __init__(self) -> None:
        self._done: list[_Group] = []
        self._begin(_Group())

    def _begin(self, group: _Group) -> None:
        self._group = group
        self._high = 0  # no position above was published or settled in this group
        self._next = 0  # what the last extent would be continued by
        self._extent = _NONE
        self._origin: str | None = None  # the last one that messages came from
        self._highest = 0

    def published(
        self,
        queue_id: int,
        term: int,
        first: int,
        count: int,
        priority: int,
        expires: bool,
        body_bytes: int,
        size_bytes: int,
        earlier: Ranges,
    ) -> None:
        """A record with messages; `earlier` are the positions of all others since the queue was dropped."""
        end = first + count
        if first > self._high:
            self._high = end - 1
        else:
            settled = self._group.settled
            if earlier.within(first, end - 1) or (settled is not None and settled.within(first, end - 1)):
                self._close_group()
                self._begin(_Group())
            self._high = max(self._high, end - 1)
        extent = self._extent
        if first == self._next and extent.term == term and extent.priority == priority and extent.expires == expires:
            extent.count += count
            extent.body_bytes += body_bytes
            extent.size_bytes += size_bytes
        else:
            self._extent = Extent(queue_id, term, first, count, priority, expires, body_bytes, size_bytes)
            self._group.extents.append(self._extent)
            if term > self._group.term:
                self._group.term = term
        self._next = end

    def raised(self, origin: str, highest: int) -> None:
        """Messages just published came from that origin."""
        if origin != self._origin:
            self._note_origin()
            self._origin = origin
            self._highest = highest
        elif highest > self._highest:
            self._highest = highest

    def _note_origin(self) -> None:
        if self._origin is not None:
            set_under, so_far, refused = self._group.origins.get(self._origin, (None, 0, []))
            self._group.origins[self._origin] = (set_under, max(so_far, self._highest), refused)
            self._origin = None

    def _close_group(self) -> None:
        self._note_origin()
        self._done.append(self._group)

    def settled(self, term: int, ranges: PositionRanges) -> None:
        """A settle record."""
        group = self._group
        if term > group.term:
            group.term = term
        settled = group.settled
        if settled is None:
            settled = group.settled = Ranges()
        for first, last in ranges:
            settled.add(first, last)
            if last > self._high:
                self._high = last

    def stated(self, record: Mark | Hole | Origin | Returned) -> None:
        """A record that counts until the next of its kind."""
        self._note_origin()
        group = self._group
        group.term = max(group.term, record.term)
        match record:
            case Mark():
                group.marks[record.level] = record.upto
            case Hole():
                group.holes = list(record.ranges)
            case Origin():
                group.origins[record.origin] = (record.term, record.highest, list(record.refused))
            case Returned():
                if group.returned is None:
                    group.returned = Tallies()
                for stretch in record.counts:
                    group.returned.put(*stretch)

    def began(self, record: Term) -> None:
        """A term: what comes behind it must stay behind it."""
        self._close_group()
        self._begin(_Group(record))

    def dropped(self, record: Drop) -> None:
        """Nothing before it counts any more."""
        self._done.clear()
        self._begin(_Group(record))

    def entries(self, queue_id: int) -> Iterator[Entry]:
        """All of it as a log."""
        self._note_origin()
        for group in (*self._done, self._group):
            yield from group.entries(queue_id)
