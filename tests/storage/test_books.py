"""The books: whatever happens to queues and segments, reading what is left gives what the books say."""

from broker.storage.books import Books
from broker.wire.message import Run, Traits
from broker.wire.records import Drop, Hole, Mark, Origin, Publish, Returned, Settle, Term
from tests.storage.writer import Writer, living, publish, tallied


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

    def test_a_term_written_again_behind_its_messages_says_what_of_them_was_not_given_back(self):
        """Others were that stood there before (crash seed 10859)."""
        writer = Writer()
        for record in (Term(1, 1, 1), publish(1, 1, 1, 9), Returned(1, 1, [(4, 6, 1)])):
            writer.write(record)
        writer.roll()
        writer.write(Term(1, 2, 5))
        writer.roll()
        for record in (publish(1, 2, 5, 3), Returned(1, 2, [(7, 7, 1)])):
            writer.write(record)
        writer.roll()
        assert writer.sweep() == [2]
        for books in (writer.books, writer.reread(), writer.reread_summaries()):
            assert tallied(books.accounts[1], range(1, 8)) == {4: 1, 7: 1}

    def test_how_often_messages_came_back_is_said_once_behind_all_terms_of_a_segment(self):
        """Said behind each of them it took more room than all the rest (seed 910000)."""
        writer = Writer()
        for record in (Term(1, 1, 1), Term(1, 2, 4), Term(1, 3, 6)):
            writer.write(record)
        writer.roll()
        for record in (publish(1, 3, 1, 9), Returned(1, 3, [(2, 2, 1), (5, 7, 2)])):
            writer.write(record)
        writer.roll()
        assert writer.sweep() == [1]
        returned = [record for number, record in writer.log if number == 3 and isinstance(record, Returned)]
        assert returned == [Returned(1, 3, [(1, 9, 0), (2, 2, 1), (5, 7, 2)])]
        for books in (writer.books, writer.reread()):
            assert tallied(books.accounts[1], range(1, 10)) == {2: 1, 5: 2, 6: 2, 7: 2}

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
            books.note(publish(number, 1, 1, taken), segment, bytes(1000))
            segment.fill = 1000
            books.settled(number, [(living_ + 1, taken)])
            books.close(segment)
        return books

    def test_nothing_to_do_while_the_living_outweigh_the_dead(self):
        assert self.segments((10, 6), (10, 5)).worth_compacting(0, 10**9) == []
        assert Books().worth_compacting(0, 10**9) == []

    def test_the_segments_with_the_least_life(self):
        books = self.segments((10, 3), (10, 1), (10, 2), (10, 4), (10, 6))
        for bytes_max, expected in ((0, [2]), (300, [2, 3]), (10**9, [2, 3, 1, 4])):
            assert [segment.number for segment in books.worth_compacting(0, bytes_max)] == expected
        second = books.segments[2]
        assert books.worth_compacting(0, 300, {second}) == [books.segments[3]]

    def test_some_waste_is_allowed(self):
        books = self.segments((10, 3), (10, 2))
        assert not books.worth_compacting(1000, 10**9)
        assert books.worth_compacting(999, 10**9)

    def test_a_damaged_one_first(self):
        books = self.segments((10, 9), (10, 2))
        books.segments[1].damaged = True
        assert books.worth_compacting(10**9, 0) == [books.segments[1]]
        assert books.worth_compacting(10**9, 0, {books.segments[1]}) == []
        assert "9 living, 900 of 1000 bytes" in repr(books.segments[1])


def test_a_run_is_noted_like_its_outline():
    run = Run([b"a", b"b"], b"\0\0", Traits(persistent=True), first=4, origin="n1/1/1", sequence=3)
    books, other = Books(), Books()
    books.note(Publish(1, 2, run), books.open(1))
    other.note(publish(1, 2, 4, 2, "n1/1/1", 3), other.open(1))
    for noted in (books, other):
        assert living(noted.accounts[1]) == {4, 5}
        assert noted.accounts[1].origins == {"n1/1/1": (4, [])}
