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

from broker.storage.accounts import HOLES, LAST, Account
from broker.storage.segments import Chapter, Segment
from broker.wire.content import bodies_size_of
from broker.wire.footers import Entry, Raised
from broker.wire.packed_run import Buffer
from broker.wire.records import (
    Drop,
    Extent,
    Hole,
    Mark,
    Origin,
    Outline,
    Publish,
    QueueRecord,
    Returned,
    Settle,
    Term,
    Volatile,
)
from broker.wire.sealed import PositionRanges

POSITION_MAX = 2**64 - 1


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

    def note(
        self, record: QueueRecord | Outline | Entry, segment: Segment, data: Buffer = b"", *, again: bool = False
    ) -> None:
        """The record (`data` are its bytes) comes to stand at the end of `segment`, at `segment.fill`.

        `again` if only to save it from a segment that goes. An entry of a summary counts as its records did.
        """
        account = self.accounts.get(record.queue_id)
        if account is None:
            account = self.accounts[record.queue_id] = Account(record.queue_id)
        if isinstance(record, Drop):
            self._note_drop(account, record, segment)
            return
        if isinstance(record, Volatile):
            self._note_volatile(account, record, segment, len(data))
            return
        chapter = account.latest
        if chapter.segment is not segment:
            chapter = account.latest = account.chapters[segment.number] = segment.chapter(account.queue_id)
            account.dropped = False
        if isinstance(record, Term):
            self._note_term(account, record, chapter)
            return
        if record.term > account.term:
            account.term = record.term
        if isinstance(record, Publish):
            run, size_bytes = record.run, len(data)
            traits, contents = run.traits, run.contents
            body_bytes = bodies_size_of(run)
            kind = (traits.priority, traits.expiration_ms is not None, body_bytes, size_bytes)
            self._note_messages(account, chapter, record.term, run.first, len(contents), kind, again=again)
            if run.origin is not None and not again:
                self._raise_origin(account, chapter, run.origin, run.sequence + len(contents) - 1)
        elif isinstance(record, Settle):
            self._note_settle(account, record, chapter, again=again)
        elif isinstance(record, Outline | Extent):
            size_bytes = record.size_bytes if isinstance(record, Extent) else len(data)
            kind = (record.priority, record.expires, record.body_bytes, size_bytes)
            self._note_messages(account, chapter, record.term, record.first, record.count, kind, again=again)
            if isinstance(record, Outline) and record.origin is not None and not again:
                self._raise_origin(account, chapter, record.origin, record.sequence + record.count - 1)
        elif isinstance(record, Raised):
            account.raise_origin(record.origin, record.highest, segment)
        else:
            self._note_state(account, record, chapter)

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

    def unreleased(self, queue_id: int) -> PositionRanges:
        """What was settled and not released."""
        account = self.accounts.get(queue_id)
        return [] if account is None else list(account.unreleased)

    def holds(self, queue_id: int) -> bool:
        """Whether messages of the queue live here."""
        account = self.accounts.get(queue_id)
        return account is not None and bool(account.holdings)

    def _note_messages(
        self,
        account: Account,
        chapter: Chapter,
        term: int,
        first: int,
        count: int,
        kind: tuple[int, bool, int, int],
        *,
        again: bool,
    ) -> None:
        """`kind` is (priority, whether they expire, bytes of all bodies, bytes of the record)."""
        last, segment, size_bytes = first + count - 1, chapter.segment, kind[3]
        if chapter.digest is not None:
            chapter.digest.published(account.queue_id, term, first, count, *kind, chapter.published)
        if chapter.places is not None:
            chapter.places.add(first, last, segment.fill, size_bytes, segment.sound_from)
        chapter.published.add(first, last)
        if account.terms and term < account.terms[-1][0]:
            last = account.owned_upto(term, first, last)
            if last < first:
                return
            size_bytes = size_bytes * (last - first + 1) // count
        if first <= account.last and not again:  # a copy was made of living messages, so no settle is about them
            account.revive(first, last)
        emptied = account.holdings.put(first, last, term, segment, size_bytes)
        if emptied:
            self._lost_last(emptied)
        if last > account.last:
            account.last = last
            account.homes[LAST] = segment

    @staticmethod
    def _raise_origin(account: Account, chapter: Chapter, origin: str, highest: int) -> None:
        if chapter.digest is not None:
            chapter.digest.raised(origin, highest)
        account.raise_origin(origin, highest, chapter.segment)

    def _note_volatile(self, account: Account, record: Volatile, segment: Segment, size_bytes: int) -> None:
        """Nothing of it counts in a later life, so it is no reason to remember anything."""
        run = record.run
        places = segment.chapter(account.queue_id).places
        assert places is not None
        places.add(run.first, run.last, segment.fill, size_bytes)
        last = account.owned_upto(record.term, run.first, run.last)
        if run.first <= last:
            size_bytes = size_bytes * (last - run.first + 1) // len(run.contents)
            self._lost_last(account.holdings.put(run.first, last, record.term, segment, size_bytes))

    def _note_settle(self, account: Account, record: Settle, chapter: Chapter, *, again: bool) -> None:
        settled = chapter.settled
        if chapter.digest is not None:
            chapter.digest.settled(record.term, record.ranges)
        for first, last in record.ranges:
            settled.add(first, last)
            if not again:
                account.unreleased.add(first, last)
            if last >= account.last:
                account.last = last
                account.homes[LAST] = chapter.segment

    @staticmethod
    def _note_state(account: Account, record: Mark | Hole | Origin | Returned, chapter: Chapter) -> None:
        segment = chapter.segment
        if chapter.digest is not None:
            chapter.digest.stated(record)
        match record:
            case Mark():
                account.marks[record.level] = record.upto
                account.homes["mark", record.level] = segment
            case Hole():
                account.holes = list(record.ranges)
                account.homes[HOLES] = segment
            case Origin():
                account.set_origin(record, segment)
            case Returned():
                account.tallied = True
                account.tallied_in.add(segment.number)
                for first, last, times in record.counts:
                    if times:
                        account.tallies.put(first, last, times)
                    else:
                        account.tallies.remove(first, last)

    def _note_term(self, account: Account, record: Term, chapter: Chapter) -> None:
        if chapter.digest is not None:
            chapter.digest.began(record)
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
        account.homes["term", term] = chapter.segment
        if term > account.term:
            account.term = term
            account.last = min(account.last, first - 1)
            account.tallies.remove(first, POSITION_MAX)
            account.revive(first, POSITION_MAX)  # settles of what is void must not meet what will stand there

    def _note_drop(self, account: Account, record: Drop, segment: Segment) -> None:
        digest = segment.chapter(account.queue_id).digest
        if digest is not None:
            digest.dropped(record)
        self._lost_last(account.holdings.take(0, POSITION_MAX))
        for chapter in account.chapters.values():
            chapter.clear()
        account.clear()
        account.dropped = True
        account.drops.add(segment.number)
        segment.drops.add(account.queue_id)

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
                yield from account.farewell(chapter)
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
        used = sum(max(segment.fill, segment.size_bytes) for segment in self.segments.values())
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
