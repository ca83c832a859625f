"""What the journal's records add up to: per queue what is in force, per segment what still needs it.

Decides which segments may go, and which records must be written again before one does. It must not know files, waiting
or time. Reading all segments in use from the first record to the last must give what the live books say; everything
here keeps that sentence true (DESIGN S4, S14, and `Settle kills what was written before it`):

* A segment goes only without living messages, and after its settles of messages that lie dead in other segments, the
  last copy of any state (terms, marks, holes, origins, the highest position, how often living messages were given back)
  and drops still needed were written again.
* A position that is published again (catch-up fills a hole, a term was cut back) lives again: no older settle of it is
  ever written again behind it.
* Drop voids a queue up to that point. If the queue comes back, its drop stays until nothing older mentions the queue.
"""

from bisect import insort
from collections.abc import Collection, Iterator

from broker.storage.holdings import Holdings
from broker.storage.ranges import Ranges
from broker.storage.segments import Chapter, Segment
from broker.storage.tallies import Tallies
from broker.wire.packed_run import Buffer
from broker.wire.records import (
    Drop,
    Hole,
    Mark,
    Origin,
    Outline,
    PositionRanges,
    Publish,
    QueueRecord,
    Returned,
    Settle,
    Term,
    Volatile,
)

POSITION_MAX = 2**64 - 1
HOLES, LAST = "holes", "last"
Slot = str | tuple[str, str | int]
"""A piece of an account's state: HOLES, LAST, ("term", term), ("mark", level) or ("origin", origin)."""

_PUBLISHES = (Publish, Outline)
_NO_CHAPTER = Chapter(Segment(0))


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
        "origins",
        "queue_id",
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
        self.origins: dict[str, tuple[int, PositionRanges]] = {}  # origin -> highest taken, refused
        self.tallies = Tallies()  # how often living messages were given back
        self.tallied_in: set[int] = set()  # numbers of the segments whose records say so
        self.homes: dict[Slot, Segment] = {}  # where the last copy of each piece of state is

    def owner(self, position: int) -> int:
        """The term that owns the position; 0 if none was noted."""
        return next((term for term, first in reversed(self.terms) if first <= position), 0)

    @property
    def next_position(self) -> int:
        """The lowest position that was never used."""
        return max(self.last + 1, self.terms[-1][1] if self.terms else 1)


class Books:
    """All queues and all segments in use."""

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self.segments: dict[int, Segment] = {}
        self.emptied: set[Segment] = set()  # closed and without living messages: candidates for going
        self.news = False  # whether there are more of them than when `ready_to_go` was last asked

    def open(self, number: int) -> Segment:
        """A new segment, into which records go from now on."""
        segment = self.segments[number] = Segment(number)
        return segment

    def close(self, segment: Segment) -> None:
        """No record goes into the segment any more."""
        segment.closed = True
        if not segment.living:
            self._lost_last([segment])

    # -- noting records, in the order of the log -----------------------------------------------------------------------

    def note(self, record: QueueRecord | Outline, segment: Segment, data: Buffer = b"", *, again: bool = False) -> None:
        """The record (`data` are its bytes) comes to stand at the end of `segment`, at `segment.fill`.

        `again` if only to save it from a segment that goes.
        """
        account = self.accounts.get(record.queue_id)
        if account is None:
            account = self.accounts[record.queue_id] = Account(record.queue_id)
        if isinstance(record, Drop):
            self._note_drop(account, segment)
            return
        if isinstance(record, Volatile):
            self._note_volatile(account, record, segment, len(data))
            return
        chapter = account.latest
        if chapter.segment is not segment:
            chapter = account.latest = account.chapters[segment.number] = segment.chapter(account.queue_id)
            account.dropped = False
        if isinstance(record, Term):
            self._note_term(account, record, segment)
            return
        if record.term > account.term:
            account.term = record.term
        if isinstance(record, _PUBLISHES):
            self._note_publish(account, record, chapter, len(data), again=again)
        elif isinstance(record, Settle):
            self._note_settle(account, record, chapter, again=again)
        elif isinstance(record, Returned):
            account.tallied_in.add(segment.number)
            for stretch in record.counts:
                account.tallies.put(*stretch)
        else:
            self._note_state(account, record, segment)

    def settled(self, queue_id: int, ranges: PositionRanges) -> None:
        """Every copy that counts has these settles: the messages need no disk any more."""
        account = self.accounts.get(queue_id)
        if account is not None:
            for first, last in ranges:
                account.unreleased.remove(first, last)
                if account.tallies:
                    account.tallies.remove(first, last)
                emptied = account.holdings.take(first, last)
                if emptied:
                    self._lost_last(emptied)
            if not account.chapters:
                self._close_account(account)

    def holds(self, queue_id: int) -> bool:
        """Whether messages of the queue live here."""
        account = self.accounts.get(queue_id)
        return account is not None and bool(account.holdings)

    def _note_publish(
        self, account: Account, record: Publish | Outline, chapter: Chapter, size_bytes: int, *, again: bool
    ) -> None:
        if isinstance(record, Outline):
            first, count, origin, sequence = record.first, record.count, record.origin, record.sequence
        else:
            run = record.run
            first, count, origin, sequence = run.first, len(run.contents), run.origin, run.sequence
        last, segment = first + count - 1, chapter.segment
        chapter.published.add(first, last)
        if chapter.places is not None:
            chapter.places.add(first, last, segment.fill, size_bytes, segment.sound_from)
        if account.terms and record.term < account.terms[-1][0]:
            last = self._owned_upto(account, record.term, first, last)
            if last < first:
                return
            size_bytes = size_bytes * (last - first + 1) // count
        if first <= account.last and not again:  # a copy was made of living messages, so no settle is about them
            self._revive(account, first, last)
        emptied = account.holdings.put(first, last, record.term, segment, size_bytes)
        if emptied:
            self._lost_last(emptied)
        if last > account.last:
            account.last = last
            account.homes[LAST] = segment
        if origin is not None and not again:
            highest, refused = account.origins.get(origin, (0, []))
            account.origins[origin] = (max(highest, sequence + count - 1), refused)
            account.homes["origin", origin] = segment

    def _note_volatile(self, account: Account, record: Volatile, segment: Segment, size_bytes: int) -> None:
        """Nothing of it counts in a later life, so it is no reason to remember anything."""
        run = record.run
        places = segment.chapter(account.queue_id).places
        assert places is not None
        places.add(run.first, run.last, segment.fill, size_bytes)
        last = self._owned_upto(account, record.term, run.first, run.last)
        if run.first <= last:
            size_bytes = size_bytes * (last - run.first + 1) // len(run.contents)
            self._lost_last(account.holdings.put(run.first, last, record.term, segment, size_bytes))

    def _note_settle(self, account: Account, record: Settle, chapter: Chapter, *, again: bool) -> None:
        settled = chapter.settled
        for first, last in record.ranges:
            settled.add(first, last)
            if not again:
                account.unreleased.add(first, last)
            if last >= account.last:
                account.last = last
                account.homes[LAST] = chapter.segment

    @staticmethod
    def _note_state(account: Account, record: Mark | Hole | Origin, segment: Segment) -> None:
        slot: Slot
        match record:
            case Mark():
                account.marks[record.level] = record.upto
                slot = ("mark", record.level)
            case Hole():
                account.holes = list(record.ranges)
                slot = HOLES
            case Origin():
                slot = ("origin", record.origin)
                if not record.highest:
                    # Not held on to: an older record of a forgotten origin may come to light again after a restart.
                    account.origins.pop(record.origin, None)
                    account.homes.pop(slot, None)
                    return
                account.origins[record.origin] = (record.highest, list(record.refused))
        account.homes[slot] = segment

    def _note_term(self, account: Account, record: Term, segment: Segment) -> None:
        # Above its first position the older terms' messages are void at once: the copies that count never had them.
        term, first = record.term, record.first
        self._lost_last(account.holdings.take(first, POSITION_MAX, below_term=term))
        if any(later > term and start <= first for later, start in account.terms):
            return  # an old fact that owns nothing any more
        for void in [entry for entry in account.terms if entry[0] < term and entry[1] >= first]:
            account.terms.remove(void)
            del account.homes["term", void[0]]
        if (term, first) not in account.terms:
            insort(account.terms, (term, first))  # terms written again come behind newer ones
        account.homes["term", term] = segment
        if term > account.term:
            account.term = term
            account.last = min(account.last, first - 1)
            account.tallies.remove(first, POSITION_MAX)
            self._revive(account, first, POSITION_MAX)  # settles of what is void must not meet what will stand there

    def _note_drop(self, account: Account, segment: Segment) -> None:
        self._lost_last(account.holdings.take(0, POSITION_MAX))
        for chapter in account.chapters.values():
            chapter.clear()
        account.clear()
        account.dropped = True
        account.drops.add(segment.number)
        segment.drops.add(account.queue_id)

    @staticmethod
    def _owned_upto(account: Account, term: int, first: int, last: int) -> int:
        """The last of the positions that no later term owns."""
        return min([last, *(start - 1 for later, start in account.terms if later > term)])

    def _revive(self, account: Account, first: int, last: int) -> None:
        account.unreleased.remove(first, last)
        for chapter in account.chapters.values():
            chapter.settled.remove(first, last)

    # -- letting segments go -------------------------------------------------------------------------------------------

    def ready_to_go(self) -> list[Segment]:
        """Closed segments that nothing keeps, oldest first."""
        self.news = False
        ready = [segment for segment in self.emptied if not segment.pins and not self._keeps_a_drop(segment)]
        return sorted(ready, key=lambda segment: segment.number)

    def forget(self, segment: Segment, queues_max: int) -> Iterator[list[QueueRecord]]:
        """The segment goes; gives what must be written (and noted) again before, a few queues at a time."""
        assert segment.closed
        assert not segment.living
        assert not segment.pins
        self.emptied.discard(segment)
        queue_ids = sorted(segment.chapters.keys() | segment.drops)
        for start in range(0, len(queue_ids), queues_max):
            again: list[QueueRecord] = []
            for queue_id in queue_ids[start : start + queues_max]:
                again += self._farewell(queue_id, segment)
            yield again
        del self.segments[segment.number]

    def _farewell(self, queue_id: int, segment: Segment) -> Iterator[QueueRecord]:
        account = self.accounts.get(queue_id)
        if account is None:
            return
        chapter = account.chapters.pop(segment.number, None)
        account.drops.discard(segment.number)
        if not account.dropped:
            if chapter is not None:
                yield from self._settles_needed(account, chapter)
                yield from self._state_at_home(account, segment)
                yield from self._tallies_needed(account, segment)
        elif account.chapters:
            if queue_id in segment.drops:
                yield Drop(queue_id)
        else:
            self._close_account(account)

    def worth_compacting(self, spare_bytes: int, bytes_max: int, stubborn: Collection[Segment] = ()) -> list[Segment]:
        """The closed segments with the least life in them, if what is dead outweighs the living by `spare_bytes`.

        Together they have at most `bytes_max` of living bytes, but one is always given; never a stubborn one.
        """
        closed = [segment for segment in self.segments.values() if segment.closed and segment.living]
        for segment in closed:
            if segment.damaged and segment not in stubborn:
                return [segment]
        used = sum(segment.fill for segment in self.segments.values())
        living = sum(segment.living_bytes for segment in closed)
        chosen: list[Segment] = []
        if used > 2 * living + spare_bytes:
            half_dead = [segment for segment in closed if 2 * segment.living_bytes < segment.fill]
            copied = 0
            for segment in sorted(half_dead, key=lambda segment: segment.living_bytes / segment.fill):
                copied += segment.living_bytes
                if segment not in stubborn and (not chosen or copied <= bytes_max):
                    chosen.append(segment)
        return chosen

    def _lost_last(self, emptied: list[Segment]) -> None:
        for segment in emptied:
            if segment.closed:
                self.emptied.add(segment)
                self.news = True

    def _close_account(self, account: Account) -> None:
        """Forget the queue, if nothing is on the disk that is about it."""
        if not account.chapters and not account.drops and not account.holdings:
            del self.accounts[account.queue_id]

    def _keeps_a_drop(self, segment: Segment) -> bool:
        """Whether a drop here is still needed though the queue is back."""
        accounts = (self.accounts[queue_id] for queue_id in segment.drops)
        return any(
            not account.dropped and next(iter(account.chapters), segment.number) < segment.number
            for account in accounts
        )

    @staticmethod
    def _settles_needed(account: Account, chapter: Chapter) -> Iterator[Settle]:
        if not chapter.settled:
            return
        needed = Ranges()
        for other in account.chapters.values():
            for first, last in chapter.settled.shared_with(other.published):
                needed.add(first, last)
        if needed:
            yield Settle(account.queue_id, account.term, list(needed))

    @staticmethod
    def _tallies_needed(account: Account, segment: Segment) -> Iterator[Returned]:
        """All of them, as often as a part of them goes: they are few."""
        if segment.number in account.tallied_in:
            account.tallied_in.clear()
            if account.tallies:
                yield Returned(account.queue_id, account.term, list(account.tallies))

    @staticmethod
    def _lasting_home(account: Account, position: int) -> Segment | None:
        """The segment in which the living message there will be found in a later life, too."""
        for stretch in account.holdings.within(position, position):
            chapter = account.chapters.get(stretch.segment.number)
            if chapter is not None and chapter.published.within(position, position):
                return stretch.segment
        return None

    def _state_at_home(self, account: Account, segment: Segment) -> Iterator[QueueRecord]:
        queue_id = account.queue_id
        for slot in [slot for slot, home in account.homes.items() if home is segment]:
            match slot:
                case ("term", int(number)):
                    yield from (Term(queue_id, term, first) for term, first in account.terms if term == number)
                case "holes":
                    yield Hole(queue_id, account.term, account.holes)
                case "last":
                    home = self._lasting_home(account, account.last)
                    if home is not None:
                        account.homes[LAST] = home
                    elif account.last:
                        yield Settle(queue_id, account.term, [(account.last, account.last)])
                case ("mark", int(level)):
                    yield Mark(queue_id, account.term, level, account.marks[level])
                case ("origin", str(origin)):
                    yield Origin(queue_id, account.term, origin, *account.origins[origin])
