"""One queue in the books: what of it is in force on this disk, and where the last word on it stands.

Decides what must be written again before a segment goes: its settles of messages that lie dead in others, and the state
of which it has the last copy. It must not know which segments go, nor how a record changes what is in force.
"""

from collections.abc import Collection, Iterator

from broker.storage.holdings import Holdings
from broker.storage.ranges import Ranges
from broker.storage.segments import Chapter, Segment
from broker.storage.tallies import Tallies
from broker.wire.records import Hole, Mark, Origin, QueueRecord, Returned, Settle, Term
from broker.wire.sealed import PositionRanges

HOLES, LAST = "holes", "last"
Slot = str | tuple[str, int]
"""A piece of an account's state: HOLES, LAST, ("term", term) or ("mark", level)."""

_NO_CHAPTER = Chapter(Segment(0))


class Taken:
    """What came from one origin. `home` is where its highest sequence is told, `refused_home` where the rest.

    `term` is that of the master who said so. It stays when the record is written again: what of that term was cut off
    is void, also of what it says.
    """

    __slots__ = ("highest", "home", "refused", "refused_home", "term")

    def __init__(
        self, term: int, highest: int, refused: PositionRanges, home: Segment, refused_home: Segment | None
    ) -> None:
        self.term = term
        self.highest = highest
        self.refused = refused
        self.home = home
        self.refused_home = refused_home


class Account:
    """One queue: what of it is in force on this disk."""

    __slots__ = (
        "chapters",
        "dropped",
        "drops",
        "holdings",
        "holes",
        "homes",
        "last",
        "latest",
        "marks",
        "queue_id",
        "taken",
        "tallied",
        "tallied_in",
        "tallies",
        "term",
        "terms",
        "unreleased",
    )

    def __init__(self, queue_id: int) -> None:
        self.queue_id = queue_id
        self.chapters: dict[int, Chapter] = {}  # by number of segment, ascending: all that have lasting records of it
        self.drops: set[int] = set()  # numbers of the segments with drop records of it
        self.clear()

    def clear(self) -> None:
        """As if nothing had been written; only what mentions the queue is still there."""
        self.dropped = False
        self.latest = _NO_CHAPTER  # the one last noted in `chapters`
        self.holdings = Holdings()
        self.unreleased = Ranges()  # settled here, but not yet everywhere: still to be kept (S14)
        self.last = 0  # the highest position that was ever used
        self.term = 0  # the highest term seen
        self.terms: list[tuple[int, int]] = []  # (term, first position), both ascending
        self.marks: dict[int, int] = {}  # level -> upto
        self.holes: PositionRanges = []
        self.taken: dict[str, Taken] = {}  # by origin
        self.tallies = Tallies()  # how often living messages were given back
        self.tallied = False  # whether any were, and be they void by now
        self.tallied_in: set[int] = set()  # numbers of the segments whose records say so
        self.homes: dict[Slot, Segment] = {}  # where the last copy of each piece of state is

    def owner(self, position: int) -> int:
        """The term that owns the position; 0 if none was noted."""
        return next((term for term, first in reversed(self.terms) if first <= position), 0)

    def owned_upto(self, term: int, first: int, last: int) -> int:
        """The last of the positions that no later term owns."""
        return min([last, *(start - 1 for later, start in self.terms if later > term)])

    @property
    def next_position(self) -> int:
        """The lowest position that was never used."""
        return max(self.last + 1, self.terms[-1][1] if self.terms else 1)

    @property
    def origins(self) -> dict[str, tuple[int, PositionRanges]]:
        """Origin -> (highest taken, refused)."""
        return {origin: (taken.highest, taken.refused) for origin, taken in self.taken.items()}

    def raise_origin(self, origin: str, highest: int, segment: Segment) -> None:
        """Messages up to this sequence were taken; that stands in the segment."""
        taken = self.taken.get(origin)
        if taken is None:
            self.taken[origin] = Taken(self.term, highest, [], segment, None)
            return
        if highest > taken.highest:
            taken.highest = highest
        taken.home = segment

    def set_origin(self, record: Origin, segment: Segment) -> None:
        """What was taken and refused is this, and stands in the segment; 0 if the origin is to be forgotten."""
        if not record.highest:
            # Not held on to: an older record of a forgotten origin may come to light again after a restart.
            self.taken.pop(record.origin, None)
            return
        refused = list(record.refused)
        self.taken[record.origin] = Taken(record.term, record.highest, refused, segment, segment if refused else None)

    def revive(self, first: int, last: int) -> None:
        """What stands at these positions from now on is not what older settles were about."""
        self.unreleased.remove(first, last)
        for chapter in self.chapters.values():
            chapter.settled.remove(first, last)

    # -- a segment goes ------------------------------------------------------------------------------------------------

    def farewell(self, chapter: Chapter) -> Iterator[QueueRecord]:
        """What must be written again before this chapter goes; it is no longer among `chapters`."""
        yield from self._settles_needed(chapter)
        yield from self._state_at_home(chapter.segment)
        yield from self._tallies_needed(chapter.segment)

    def _settles_needed(self, chapter: Chapter) -> Iterator[Settle]:
        if not chapter.settled:
            return
        needed = Ranges()
        for other in self.chapters.values():
            for first, last in chapter.settled.shared_with(other.published):
                needed.add(first, last)
        if needed:
            yield Settle(self.queue_id, self.term, list(needed))

    def _state_at_home(self, segment: Segment) -> Iterator[QueueRecord]:
        slots = [slot for slot, home in self.homes.items() if home is segment]
        yield from self._terms_again({slot[1] for slot in slots if isinstance(slot, tuple) and slot[0] == "term"})
        for slot in slots:
            match slot:
                case "holes":
                    yield Hole(self.queue_id, self.term, self.holes)
                case "last":
                    home = self._lasting_home(self.last)
                    if home is not None:
                        self.homes[LAST] = home
                    elif self.last:
                        yield Settle(self.queue_id, self.term, [(self.last, self.last)])
                case ("mark", int(level)):
                    yield Mark(self.queue_id, self.term, level, self.marks[level])
        for origin, taken in self.taken.items():
            if segment in (taken.home, taken.refused_home):
                yield Origin(self.queue_id, taken.term, origin, taken.highest, taken.refused)

    def _terms_again(self, numbers: Collection[int]) -> Iterator[Term | Returned]:
        """Behind messages that stand where others stood before: how often those were given back must not meet them."""
        again = [(term, first) for term, first in self.terms if term in numbers]
        for term, first in again:
            yield Term(self.queue_id, term, first)
        if again and self.tallied and again[0][1] <= self.last:
            void_from = again[0][1]
            kept = [(max(from_, void_from), upto, times) for from_, upto, times in self.tallies if upto >= void_from]
            yield Returned(self.queue_id, self.term, [(void_from, self.last, 0), *kept])

    def _lasting_home(self, position: int) -> Segment | None:
        """The segment in which the living message there will be found in a later life, too."""
        for stretch in self.holdings.within(position, position):
            chapter = self.chapters.get(stretch.segment.number)
            if chapter is not None and chapter.published.within(position, position):
                return stretch.segment
        return None

    def _tallies_needed(self, segment: Segment) -> Iterator[Returned]:
        """All of them, as often as a part of them goes: they are few."""
        if segment.number in self.tallied_in:
            self.tallied_in.clear()
            if self.tallies:
                yield Returned(self.queue_id, self.term, list(self.tallies))
