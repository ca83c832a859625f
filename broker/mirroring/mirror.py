"""A mirror: the same log, told instead of asked.

Decides whether a master may be followed, what of the own copy is still valid under its term, and applies the master's
records. It never expires, drops or delivers anything by itself: the master does, and says so. It must not know links
and disks: what has to be stored goes to an outbox.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from broker.mirroring.copy import Copy
from broker.mirroring.ranges import Range, extend, remove, subtract, upto
from broker.mirroring.repeats import Change, is_of_letters
from broker.queues.gauge import Gauge
from broker.queues.page import Page, Piece
from broker.queues.window import enough_of
from broker.wire import records
from broker.wire.message import Run

LOAD_BYTES_MAX = 1024 * 1024
"""So much is read at once of what a copy has to give up."""
LAST_BYTES = 64 * 1024
"""So much of what came last stays in memory, if half of what may stay is not less."""


@dataclass(slots=True)
class Offer:
    """What a master says first: its term, whose positions were whose, and where its log ends."""

    queue_id: int
    term: int
    terms: list[tuple[int, int]]
    next_position: int


@dataclass(slots=True)
class Statement:
    """What a mirror answers: the common point and what it holds below; `refused` names a newer term instead.

    `offset` is the end of the offer in the master's stream: an answer to an earlier offer may be true no more.
    """

    queue_id: int
    term: int
    refused: int
    common: int
    living: list[Range]
    offset: int = 0


@dataclass(slots=True)
class Entry:
    """A record to be stored as it came; `ranges` are the positions that it settles here."""

    raw: bytes
    record: records.QueueRecord
    ranges: list[Range] | None = None


class Beyond:
    """What was read of the pages that a copy has beyond the common point with a master, up to some position."""

    __slots__ = ("lowest", "offer", "upto")

    def __init__(self, offer: Offer, common: int) -> None:
        self.offer = offer
        self.upto = common
        self.lowest: dict[str, int] = {}
        """Per origin the lowest sequence found."""


class Mirror:
    """A copy that follows the master of one term at a time."""

    __slots__ = ("_beyond", "_former_term", "_freed", "_gauge", "copy", "outbox", "term")

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.term = 0
        self._former_term = copy.terms.newest
        self._beyond: Beyond | None = None
        self._freed: list[Range] = []
        self._gauge = Gauge(lambda: copy.line.resident_bytes)
        self.outbox: list[Entry] = []

    def pages_beyond(self, offer: Offer) -> Range | None:
        """The next positions whose contents have to be read, and told to `look_beyond`, before this offer can be
        received; mostly None.

        What this copy has to give up may be a publisher's that it claims to have, and only the contents say whose.
        """
        copy = self.copy
        if offer.term < copy.promised:
            return None
        if self._beyond is None or self._beyond.offer != offer:
            self._beyond = Beyond(offer, copy.terms.common(offer.terms, copy.next_position - 1))
        return copy.line.wanted_of(self._beyond.upto + 1, copy.next_position, LOAD_BYTES_MAX)

    def look_beyond(self, last: int, runs: list[Run]) -> None:
        """These are all messages that live at the positions that `pages_beyond` has named, up to `last`."""
        beyond = self._beyond
        if beyond is None:
            return
        beyond.upto = max(last, beyond.upto)
        for run in runs:
            if run.origin is not None:
                beyond.lowest[run.origin] = min(run.sequence, beyond.lowest.get(run.origin, run.sequence))

    def beyond(self, offer: Offer) -> Iterator[Piece]:
        """What this copy would have to give up for this master, in order; it must not change meanwhile."""
        copy = self.copy
        common = copy.terms.common(offer.terms, copy.next_position - 1)
        if common >= copy.next_position - 1:
            return iter(())
        return copy.line.between(common + 1, copy.next_position - 1)

    def begins_anew(self, offer: Offer) -> bool:
        """Whether this copy has to be dropped before it can follow this master: what a term here owned is void, and
        none of the master's terms says so, so that on disk it would come to light again."""
        copy = self.copy
        return copy.durable and offer.term >= copy.promised and not copy.terms.gives_way_to(offer.terms)

    def former_term_under(self, offer: Offer) -> int:
        """The newest term that this copy had a part in before it followed this master, or will follow it."""
        return self._former_term if offer.term == self.term else self.copy.terms.newest

    def receive_offer(self, offer: Offer) -> Statement:
        """Follow this master, or refuse it for a newer one (S4).

        Beyond the common point the own records are void. The statement must not leave before the outbox is on disk: the
        promise has to survive this process. Raises ValueError while there are `pages_beyond`.
        """
        copy = self.copy
        if self.pages_beyond(offer) is not None:
            raise ValueError(f"what queue {copy.queue_id} has to give up was not read")
        if offer.term < copy.promised:
            return Statement(copy.queue_id, offer.term, copy.promised, 0, [])
        self._former_term = self.former_term_under(offer)
        self.term = copy.promised = offer.term
        common = copy.terms.common(offer.terms, copy.next_position - 1)
        dropped = copy.line.remove(common + 1, copy.next_position)
        copy.next_position = max(common + 1, offer.next_position)  # holes below are filled by catch-up
        for term, first in offer.terms:
            if (term, first) not in copy.terms.entries:
                record = records.Term(copy.queue_id, term, first)
                self.outbox.append(Entry(records.encode(record), record))
        copy.terms.adopt(offer.terms)
        self._take_back(dropped)
        self._store_letters(copy.repeats.truncate(common))
        if copy.paged:
            self._freed += [(piece.first, piece.last) for piece in dropped]
        return Statement(copy.queue_id, offer.term, 0, common, copy.line.ranges())

    def _take_back(self, dropped: list[Piece]) -> None:
        """These messages are not here any more, so their publishers must not hear that they are."""
        lowest = {} if self._beyond is None else self._beyond.lowest
        self._beyond = None
        for piece in dropped:
            if not isinstance(piece, Page) and piece.origin is not None:
                lowest[piece.origin] = min(piece.sequence, lowest.get(piece.origin, piece.sequence))
        origins = self.copy.origins
        for origin, sequence in lowest.items():
            if origins.get(origin, 0) >= sequence:
                origins[origin] = kept = sequence - 1
                self.copy.refused[origin] = refused = upto(self.copy.refused.get(origin, []), kept)
                record = records.Origin(self.copy.queue_id, self.term, origin, kept, refused)
                self._store(Entry(records.encode(record), record))

    def _store_letters(self, changes: Iterable[Change]) -> None:
        for change in changes:
            letters = records.Origin(self.copy.queue_id, self.term, *change)
            self._store(Entry(records.encode(letters), letters))

    def apply(self, record: records.QueueRecord, raw: bytes) -> bool:
        """Do what the master did; False if the record is of another term than the one that is followed."""
        if record.term != self.term:
            return False
        match record:
            case records.Publish():
                self._publish(record, raw)
            case records.Settle():
                self._settle(record, raw)
            case records.Mark(_, _, level, upto):
                self.copy.marks[level] = max(upto, self.copy.marks.get(level, 0))
                self._store(Entry(raw, record))
            case records.Origin(_, _, origin, highest, refused) if is_of_letters(origin):
                self._store(Entry(raw, record))
                self._store_letters(self.copy.repeats.learn(origin, highest, refused))
            case records.Origin(_, _, origin, highest, refused):
                self._take_origin(origin, highest, refused)
                self._store(Entry(raw, record))
            case records.Hole(_, _, ranges):
                self.copy.lacking = list(ranges)
                self._store(Entry(raw, record))
            case records.Returned(_, _, counts):
                for first, last, times in counts:
                    self.copy.line.count_returned(first, last, times)
                self._store(Entry(raw, record))
            case records.Term() | records.Drop():
                pass  # terms come with the offer; a copy is dropped by the tree's word alone
        return True

    def _publish(self, record: records.Publish, raw: bytes) -> None:
        copy, run = self.copy, record.run
        if run.first >= copy.next_position:
            copy.line.append(run)
            copy.next_position = run.last + 1
        else:
            copy.line.insert(run)  # catch-up fills what is missing further ahead
        if copy.lacking:
            remove(copy.lacking, [(run.first, run.last)])
        if run.origin is not None:
            last = run.sequence + len(run.contents) - 1
            copy.origins[run.origin] = max(last, copy.origins.get(run.origin, 0))
            if copy.refused.get(run.origin):  # by an earlier master: this one let it in
                copy.refused[run.origin] = subtract(copy.refused[run.origin], [(run.sequence, last)])
        if copy.durable and run.traits.persistent:
            self.outbox.append(Entry(raw, record))

    def _take_origin(self, origin: str, highest: int, refused: list[Range]) -> None:
        if highest:
            self.copy.origins[origin] = highest
            self.copy.refused[origin] = refused
        else:
            self.copy.origins.pop(origin, None)
            self.copy.refused.pop(origin, None)

    def _settle(self, record: records.Settle, raw: bytes) -> None:
        copy, ranges = self.copy, record.ranges
        gone: list[Range] = []
        for first, last in ranges:
            for left, right in copy.line.discard(first, last):
                extend(gone, left, right)
        if copy.lacking:
            remove(copy.lacking, ranges)
        if copy.durable:  # what was never here, too: nothing is to be remembered of it
            self.outbox.append(Entry(raw, record, ranges))
        elif copy.paged:
            self._freed += gone

    def _store(self, entry: Entry) -> None:
        if self.copy.durable:
            self.outbox.append(entry)

    @property
    def resident_bytes(self) -> int:
        """What the contents in memory take up, about, as of a few turns ago at most; as of now while it is filled."""
        gauge, count = self._gauge, len(self.copy.line)
        return gauge.measure(count) if self.copy.lacking else gauge.read(count)

    def page_out(self, window_bytes: int) -> list[Run]:
        """Forget contents if they are more than this, the oldest first and as much as is enough; returns what was
        forgotten.

        Call it when everything taken in is stored: then only what is not persistent, or not `stored`, has to be.
        """
        line = self.copy.line
        resident_bytes = self._gauge.measure(len(line))
        if resident_bytes <= window_bytes:
            return []
        forgotten = line.page_out(0, min(LAST_BYTES, window_bytes // 2), enough_of(resident_bytes, window_bytes))
        self._gauge.measure(len(line))
        if forgotten and not self.copy.durable:
            self.copy.paged = True
        return forgotten

    def take_freed(self) -> list[Range]:
        """Drain the positions of a copy that is not durable which settled or were given up: nobody will ask the journal
        for them any more."""
        freed, self._freed = self._freed, []
        return freed

    def take_entries(self) -> list[Entry]:
        """Drain what has to be stored, in order."""
        entries, self.outbox = self.outbox, []
        return entries
