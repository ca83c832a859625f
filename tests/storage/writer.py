"""Books with a log beside them, and the books of somebody who reads that log."""

from collections.abc import Iterable

from broker.storage.accounts import Account
from broker.storage.books import Books
from broker.storage.segments import Segment
from broker.wire.footers import pack_entries, unpack_entries
from broker.wire.records import Outline, QueueRecord, Settle

Log = list[tuple[int, QueueRecord | Outline]]
"""(number of the segment, record)."""


def publish(
    queue_id: int, term: int, first: int, count: int = 1, origin: str | None = None, sequence: int = 0
) -> Outline:
    return Outline(queue_id, term, first, count, origin, sequence)


def replay(log: Log, numbers: Iterable[int]) -> Books:
    """The books of somebody who reads the log from disk."""
    books = Books()
    for number in numbers:
        segment = books.open(number)
        for home, record in log:
            if home == number:
                books.note(record, segment)
                if isinstance(record, Settle):
                    books.settled(record.queue_id, record.ranges)
        books.close(segment)
    return books


def living(account: Account | None) -> set[int]:
    if account is None or account.dropped:
        return set()
    held = {position for stretch in account.holdings for position in range(stretch.first, stretch.last + 1)}
    return held - {position for first, last in account.unreleased for position in range(first, last + 1)}


def tallied(account: Account | None, alive: Iterable[int]) -> dict[int, int]:
    """How often these messages were given back."""
    stretches = [] if account is None else list(account.tallies)
    return {at: times for first, last, times in stretches for at in range(first, last + 1) if at in alive}


class Writer:
    """Books with a log beside them, as the journal keeps them."""

    def __init__(self) -> None:
        self.books = Books()
        self.log: Log = []
        self.segment = self.books.open(1)

    def write(self, record: QueueRecord | Outline, *, again: bool = False) -> None:
        self.log.append((self.segment.number, record))
        self.books.note(record, self.segment, again=again)

    def settle(self, queue_id: int, term: int, *ranges: tuple[int, int]) -> None:
        self.write(Settle(queue_id, term, list(ranges)))
        self.books.settled(queue_id, list(ranges))

    def roll(self) -> Segment:
        closed = self.segment
        self.books.close(closed)
        self.segment = self.books.open(closed.number + 1)
        return closed

    def sweep(self) -> list[int]:
        """Let go what may go; the numbers of it."""
        gone = []
        for segment in self.books.ready_to_go():
            gone.append(segment.number)
            for records in self.books.forget(segment, 2):
                for record in records:
                    self.write(record, again=True)
            self.log = [entry for entry in self.log if entry[0] != segment.number]
        return gone

    def compact(self, segment: Segment) -> None:
        """Write again what lives in the segment, message by message."""
        for number, record in list(self.log):
            if number == segment.number and isinstance(record, Outline):
                account = self.books.accounts[record.queue_id]
                for stretch in account.holdings.within(record.first, record.last):
                    for position in range(stretch.first, stretch.last + 1):
                        if (
                            stretch.segment is segment
                            and stretch.term == record.term
                            and not account.unreleased.within(position, position)
                        ):
                            self.write(publish(record.queue_id, record.term, position), again=True)

    def reread_summaries(self) -> Books:
        """The books of somebody who reads the footers of closed segments only, and the open one."""
        books = Books()
        for number, known in sorted(self.books.segments.items()):
            segment = books.open(number)
            segment.summed_up = True
            for queue_id, chapter in known.chapters.items():
                assert chapter.digest is not None
                for entry in unpack_entries(pack_entries(chapter.digest.entries(queue_id))):
                    books.note(entry, segment)
                    if isinstance(entry, Settle):
                        books.settled(entry.queue_id, entry.ranges)
            books.close(segment)
        return books

    def reread(self) -> Books:
        return replay(self.log, sorted(self.books.segments))
