"""The books: whatever happens to queues and segments, reading what is left gives what the books say."""

from collections.abc import Iterable
from random import Random

import pytest

from broker.storage.books import Account, Books
from broker.storage.segments import Segment
from broker.wire.message import Run, Traits
from broker.wire.records import Drop, Hole, Mark, Origin, Outline, Publish, QueueRecord, Settle, Term

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
            for record in self.books.forget(segment):
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

    def reread(self) -> Books:
        return replay(self.log, sorted(self.books.segments))


class TestOneQueue:
    def test_a_segment_goes_when_its_last_message_is_settled(self):
        writer = Writer()
        writer.write(publish(1, 1, 1, 10))
        first = writer.roll()
        writer.settle(1, 1, (1, 9))
        assert (first.living, writer.sweep()) == (1, [])
        writer.settle(1, 1, (10, 10))
        assert (first.living, writer.sweep()) == (0, [1])

    def test_a_message_settled_but_not_everywhere_keeps_its_segment(self):
        writer = Writer()
        writer.write(publish(1, 1, 1, 10))
        writer.roll()
        writer.write(Settle(1, 1, [(1, 10)]))
        assert writer.sweep() == []
        writer.books.settled(1, [(1, 10)])
        assert writer.sweep() == [1]

    def test_settles_outlive_the_messages_they_kill(self):
        """Message 5 keeps segment 1; the settle of 6 stands in segment 2, which goes."""
        writer = Writer()
        writer.write(publish(1, 1, 5, 2))
        writer.roll()
        writer.settle(1, 1, (6, 6))
        writer.roll()
        assert writer.sweep() == [2]
        assert living(writer.reread().accounts[1]) == {5}

    def test_a_settle_outlives_a_copy_made_before_it(self):
        """Safety 17: 50 lies in 2, is copied to 3, is settled in 4; 2 and 4 go, 3 stays for another queue."""
        writer = Writer()
        writer.roll()
        writer.write(publish(1, 1, 50))
        old = writer.roll()
        writer.write(publish(2, 1, 1))
        writer.compact(old)
        writer.roll()
        writer.settle(1, 1, (50, 50))
        writer.roll()
        assert writer.sweep() == [1, 2, 4]
        assert living(writer.reread().accounts[1]) == set()

    def test_a_message_that_comes_again_is_not_killed_by_an_older_settle(self):
        """Safety 9, undo: settled here, alive at the new master, sent again."""
        writer = Writer()
        writer.write(publish(1, 1, 1, 2))
        writer.settle(1, 1, (1, 1))
        writer.roll()
        writer.write(Term(1, 2, 3))
        writer.write(publish(1, 1, 1))
        writer.settle(1, 1, (2, 2))
        writer.roll()
        assert writer.sweep() == [1]
        assert living(writer.reread().accounts[1]) == {1}

    def test_a_new_term_voids_what_the_older_wrote_above_it(self):
        writer = Writer()
        writer.write(Term(1, 5, 1))
        writer.write(publish(1, 5, 1, 20))
        first = writer.roll()
        writer.write(Term(1, 6, 11))
        writer.write(publish(1, 6, 11, 5))
        assert first.living == 10
        for books in (writer.books, writer.reread()):
            account = books.accounts[1]
            assert living(account) == set(range(1, 16))
            assert account.terms == [(5, 1), (6, 11)]
            assert account.next_position == 16

    def test_a_term_written_again_behind_its_messages_spares_them(self):
        writer = Writer()
        writer.write(publish(1, 5, 1, 20))
        writer.roll()
        writer.write(Term(1, 6, 11))
        writer.roll()
        writer.write(publish(1, 6, 11, 5))
        assert writer.sweep() == [2]
        assert living(writer.reread().accounts[1]) == set(range(1, 16))

    def test_what_an_older_term_writes_above_a_newer_one_is_void(self):
        writer = Writer()
        writer.write(Term(1, 6, 11))
        writer.write(publish(1, 5, 9, 4))
        writer.write(publish(1, 5, 12))
        assert living(writer.books.accounts[1]) == {9, 10}

    def test_state_moves_on_before_its_segment_goes(self):
        writer = Writer()
        writer.write(Term(1, 5, 1))
        writer.write(publish(1, 5, 1, 7, origin="n1/3/1", sequence=20))
        writer.write(Mark(1, 5, 0, 6))
        writer.write(Mark(1, 5, 9, 2))
        writer.write(Hole(1, 5, [(3, 4)]))
        writer.write(Origin(1, 5, "n2/1/1", 8, [(7, 7)]))
        writer.write(Origin(1, 5, "n2/1/2", 8))
        writer.write(Origin(1, 5, "n2/1/2", 0))
        writer.settle(1, 5, (1, 7))
        for expected in ([1], [2], [3]):
            writer.roll()
            assert writer.sweep() == expected
        for books in (writer.books, writer.reread()):
            account = books.accounts[1]
            assert account.terms == [(5, 1)]
            assert account.marks == {0: 6, 9: 2}
            assert account.holes == [(3, 4)]
            assert account.origins == {"n1/3/1": (26, []), "n2/1/1": (8, [(7, 7)])}
            assert account.next_position == 8
            assert account.owner(3) == 5
            assert account.owner(0) == 0

    def test_the_highest_position_is_known_by_the_message_that_has_it(self):
        writer = Writer()
        writer.write(publish(1, 1, 1))
        first = writer.roll()
        writer.compact(first)
        writer.roll()
        assert writer.sweep() == [1]
        assert writer.reread().accounts[1].next_position == 2


class TestDrop:
    def test_a_dropped_queue_leaves_nothing_behind(self):
        writer = Writer()
        writer.write(publish(1, 1, 1, 5))
        writer.roll()
        writer.write(Drop(1))
        writer.roll()
        assert writer.sweep() == [1, 2]
        assert not writer.books.accounts

    def test_a_drop_is_remembered_while_anything_mentions_the_queue(self):
        writer = Writer()
        writer.write(publish(1, 1, 1, 5))
        writer.write(publish(2, 1, 1))
        writer.roll()
        writer.write(Drop(1))
        writer.roll()
        assert writer.sweep() == [2]
        assert living(writer.reread().accounts[1]) == set()

    def test_a_queue_that_comes_back_has_only_what_is_new(self):
        writer = Writer()
        writer.write(publish(1, 1, 1, 5))
        writer.write(Mark(1, 1, 0, 3))
        writer.settle(1, 1, (5, 5))
        writer.write(publish(2, 1, 1))
        writer.roll()
        writer.write(Drop(1))
        writer.roll()
        writer.write(publish(1, 2, 5))
        writer.roll()
        assert writer.sweep() == [], "segment 2 has to keep the drop"
        for books in (writer.books, writer.reread()):
            assert living(books.accounts[1]) == {5}
            assert books.accounts[1].marks == {}
        writer.settle(2, 1, (1, 1))
        assert writer.sweep() == [1]
        assert writer.sweep() == [2]
        assert living(writer.reread().accounts[1]) == {5}


class TestCompaction:
    def segments(self, *counts: tuple[int, int]) -> Books:
        books = Books()
        for number, (taken, living_) in enumerate(counts, 1):
            segment = books.open(number)
            segment.size_bytes = 1000
            books.note(publish(number, 1, 1, taken), segment)
            books.settled(number, [(living_ + 1, taken)])
            books.close(segment)
        return books

    def test_nothing_to_do_while_the_living_outweigh_the_dead(self):
        assert self.segments((10, 6), (10, 5)).worth_compacting(0) is None
        assert Books().worth_compacting(0) is None

    def test_the_segment_with_the_least_life(self):
        segment = self.segments((10, 3), (10, 2), (10, 4)).worth_compacting(0)
        assert segment is not None
        assert segment.number == 2

    def test_some_waste_is_allowed(self):
        assert self.segments((10, 3), (10, 2)).worth_compacting(1500) is None

    def test_a_damaged_one_first(self):
        books = self.segments((10, 9), (10, 2))
        books.segments[1].damaged = True
        assert books.worth_compacting(10**9) is books.segments[1]
        assert "9 of 10 living" in repr(books.segments[1])


class Story:
    """Random events that a queue's master or mirror could see, and what has to be alive after them."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.writer = Writer()
        self.term = 1
        self.alive: dict[int, dict[int, int]] = {1: {}, 2: {}, 3: {}}  # queue id -> position -> term
        self.next = dict.fromkeys(self.alive, 1)
        self.terms: dict[int, list[tuple[int, int]]] = {queue_id: [] for queue_id in self.alive}
        self.waiting: list[tuple[int, list[tuple[int, int]]]] = []

    def step(self) -> None:
        queue_id = self.chance.choice(list(self.alive))
        events = [self.publish] * 6 + [self.settle] * 6 + [self.release, self.fill, self.begin_term, self.note_mark]
        events += [self.roll] * 3 + [self.sweep] * 3 + [self.compact] * 2
        if self.chance.random() < 0.02:
            events = [self.drop]
        self.chance.choice(events)(queue_id)

    def owner(self, queue_id: int, position: int) -> int:
        return max([term for term, first in self.terms[queue_id] if first <= position], default=0)

    def publish(self, queue_id: int) -> None:
        if not self.terms[queue_id]:
            self.begin_term(queue_id)
        self.next[queue_id] += self.chance.choice((0, 0, 0, 2))  # transient messages in between
        first, count = self.next[queue_id], self.chance.randint(1, 5)
        term = self.terms[queue_id][-1][0]
        self.writer.write(publish(queue_id, term, first, count))
        self.alive[queue_id].update(dict.fromkeys(range(first, first + count), term))
        self.next[queue_id] += count

    def settle(self, queue_id: int) -> None:
        alive = sorted(self.alive[queue_id])
        if not alive:
            return
        chosen = alive[: self.chance.randint(1, 6)] if self.chance.random() < 0.6 else self.chance.sample(alive, 1)
        ranges = [(position, position) for position in chosen]
        self.writer.write(Settle(queue_id, self.terms[queue_id][-1][0], ranges))
        self.waiting.append((queue_id, ranges))
        for position in chosen:
            del self.alive[queue_id][position]
        if self.chance.random() < 0.7:
            self.release(queue_id)

    def release(self, queue_id: int) -> None:
        for waiting_id, ranges in self.waiting:
            self.writer.books.settled(waiting_id, [r for r in ranges if r[0] not in self.alive[waiting_id]])
        self.waiting.clear()

    def fill(self, queue_id: int) -> None:
        """Catch-up sends something below the end, dead here or not."""
        position = self.chance.randint(1, self.next[queue_id])
        term = self.owner(queue_id, position)
        if position < self.next[queue_id] and term:
            self.release(queue_id)
            self.writer.write(publish(queue_id, term, position))
            self.alive[queue_id][position] = term

    def begin_term(self, queue_id: int) -> None:
        self.term += 1
        first = max(self.next[queue_id] - self.chance.choice((0, 0, 1, 4)), 1)
        self.writer.write(Term(queue_id, self.term, first))
        self.terms[queue_id] = [entry for entry in self.terms[queue_id] if entry[1] < first] + [(self.term, first)]
        self.alive[queue_id] = {at: term for at, term in self.alive[queue_id].items() if at < first}
        self.next[queue_id] = first

    def note_mark(self, queue_id: int) -> None:
        if self.terms[queue_id]:
            self.writer.write(Mark(queue_id, self.terms[queue_id][-1][0], 0, self.next[queue_id] - 1))

    def drop(self, queue_id: int) -> None:
        self.writer.write(Drop(queue_id))
        self.alive[queue_id], self.terms[queue_id] = {}, []
        self.waiting = [entry for entry in self.waiting if entry[0] != queue_id]
        self.next[queue_id] = self.chance.randint(1, self.next[queue_id])

    def roll(self, queue_id: int) -> None:
        self.writer.roll()

    def sweep(self, queue_id: int) -> None:
        self.writer.sweep()

    def compact(self, queue_id: int) -> None:
        closed = [segment for segment in self.writer.books.segments.values() if segment.closed]
        if closed:
            self.writer.compact(self.chance.choice(closed))

    def check(self) -> None:
        books = self.writer.books
        for name, read in (("live", books), ("reread", self.writer.reread())):
            for queue_id, alive in self.alive.items():
                account = read.accounts.get(queue_id)
                assert living(account) == set(alive), f"{name}, queue {queue_id}"
                if account is not None and not account.dropped:
                    assert account.terms == self.terms[queue_id], name
                    assert account.marks == books.accounts[queue_id].marks
                    assert account.next_position > max(alive, default=0)
                    assert account.next_position >= books.accounts[queue_id].next_position
        for segment in books.segments.values():
            stretches = [s for account in books.accounts.values() for s in account.holdings if s.segment is segment]
            assert segment.living == sum(stretch.last - stretch.first + 1 for stretch in stretches)


@pytest.mark.parametrize("seed", range(60))
def test_reading_what_is_left_gives_what_the_books_say(seed):
    story = Story(seed)
    for _ in range(150):
        story.step()
        story.check()


def test_a_run_is_noted_like_its_outline():
    run = Run([b"a", b"b"], b"\0\0", Traits(persistent=True), first=4, origin="n1/1/1", sequence=3)
    books, other = Books(), Books()
    books.note(Publish(1, 2, run), books.open(1))
    other.note(Outline(1, 2, 4, 2, "n1/1/1", 3), other.open(1))
    for noted in (books, other):
        assert living(noted.accounts[1]) == {4, 5}
        assert noted.accounts[1].origins == {"n1/1/1": (4, [])}
