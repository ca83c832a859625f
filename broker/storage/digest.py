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


class _Group:
    __slots__ = ("extents", "holes", "marks", "opening", "origins", "published", "returned", "settled", "term")

    def __init__(self, opening: Term | Drop | None = None) -> None:
        self.opening = opening
        self.extents: list[Extent] = []
        self.published: Ranges | None = None
        self.settled: Ranges | None = None
        self.returned: Tallies | None = None
        self.marks: dict[int, int] = {}
        self.holes: PositionRanges | None = None
        self.origins: dict[str, tuple[bool, int, PositionRanges]] = {}  # origin -> (set anew, highest, refused)
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
        for origin, (anew, highest, refused) in self.origins.items():
            yield Origin(queue_id, term, origin, highest, refused) if anew else Raised(queue_id, term, origin, highest)


class Digest:
    """Told of each record in turn."""

    __slots__ = ("_done", "_group", "_high")

    def __init__(self) -> None:
        self._done: list[_Group] = []
        self._group = _Group()
        self._high = 0  # no position above was published or settled in this group

    def published(
        self,
        record: tuple[int, int],
        first: int,
        count: int,
        traits: tuple[int, bool],
        sizes: tuple[int, int],
    ) -> None:
        """Messages of (queue id, term), with (priority, whether they expire) and (bytes of bodies, of the record)."""
        group, last = self._group, first + count - 1
        if first > self._high:
            self._high = last
        elif self._meets(group, first, last):
            self._done.append(group)
            self._group = group = _Group()
            self._high = last
        elif last > self._high:
            self._high = last
        published = group.published
        if published is None:
            published = group.published = Ranges()
        published.add(first, last)
        queue_id, term = record
        if term > group.term:
            group.term = term
        if group.extents:
            extent = group.extents[-1]
            if (
                extent.first + extent.count == first
                and extent.term == term
                and (extent.priority, extent.expires) == traits
            ):
                extent.count += count
                extent.body_bytes += sizes[0]
                extent.size_bytes += sizes[1]
                return
        group.extents.append(Extent(queue_id, term, first, count, *traits, *sizes))

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

    def raised(self, origin: str, highest: int) -> None:
        """Messages just published came from that origin."""
        anew, so_far, refused = self._group.origins.get(origin, (False, 0, []))
        self._group.origins[origin] = (anew, max(so_far, highest), refused)

    def stated(self, record: Mark | Hole | Origin | Returned) -> None:
        """A record that counts until the next of its kind."""
        group = self._group
        group.term = max(group.term, record.term)
        match record:
            case Mark():
                group.marks[record.level] = record.upto
            case Hole():
                group.holes = list(record.ranges)
            case Origin():
                group.origins[record.origin] = (True, record.highest, list(record.refused))
            case Returned():
                if group.returned is None:
                    group.returned = Tallies()
                for stretch in record.counts:
                    group.returned.put(*stretch)

    def began(self, record: Term) -> None:
        """A term: what comes behind it must stay behind it."""
        self._done.append(self._group)
        self._group = _Group(record)
        self._high = 0

    def dropped(self, record: Drop) -> None:
        """Nothing before it counts any more."""
        self._done.clear()
        self._group = _Group(record)
        self._high = 0

    def entries(self, queue_id: int) -> Iterator[Entry]:
        """All of it as a log."""
        for group in (*self._done, self._group):
            yield from group.entries(queue_id)

    @staticmethod
    def _meets(group: _Group, first: int, last: int) -> bool:
        return bool(group.published and group.published.within(first, last)) or bool(
            group.settled and group.settled.within(first, last)
        )
