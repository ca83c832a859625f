"""A digest is as short as it may be, and keeps what must stay in its order."""

from broker.storage.digest import Digest
from broker.storage.ranges import Ranges
from broker.wire.footers import Raised
from broker.wire.records import Drop, Extent, Hole, Mark, Origin, Returned, Settle, Term


class Bench:
    """A digest of queue 1, told as the books tell it."""

    def __init__(self) -> None:
        self.digest = Digest()
        self.earlier = Ranges()

    def publish(self, first: int, count: int, term: int = 1, priority: int = 0, *, expires: bool = False) -> None:
        self.digest.published(1, term, first, count, priority, expires, 10 * count, 100 * count, self.earlier)
        self.earlier.add(first, first + count - 1)

    def entries(self) -> list[object]:
        return list(self.digest.entries(1))


def extent(first: int, count: int, term: int = 1, priority: int = 0, *, expires: bool = False) -> Extent:
    return Extent(1, term, first, count, priority, expires, 10 * count, 100 * count)


def test_a_busy_queue_is_two_entries():
    bench = Bench()
    for first in range(1, 1000, 10):
        bench.publish(first, 10)
        bench.digest.settled(1, [(first, first + 9)])
    assert bench.entries() == [extent(1, 1000), Settle(1, 1, [(1, 1000)])]


def test_neighbours_of_another_kind_are_an_extent_of_their_own():
    bench = Bench()
    bench.publish(1, 2)
    bench.publish(3, 1, priority=5)
    bench.publish(4, 1, priority=5, expires=True)
    bench.publish(5, 1, term=2)
    bench.publish(7, 1, term=2)
    assert bench.entries() == [
        extent(1, 2),
        extent(3, 1, priority=5),
        extent(4, 1, priority=5, expires=True),
        extent(5, 1, term=2),
        extent(7, 1, term=2),
    ]


def test_a_message_that_comes_again_stays_behind_its_settle():
    bench = Bench()
    bench.publish(1, 3)
    bench.digest.settled(1, [(2, 2)])
    bench.publish(2, 1)
    assert bench.entries() == [extent(1, 3), Settle(1, 1, [(2, 2)]), extent(2, 1)]


def test_what_was_settled_before_it_came_lives():
    bench = Bench()
    bench.digest.settled(1, [(5, 5)])
    bench.publish(5, 1)
    assert bench.entries() == [Settle(1, 1, [(5, 5)]), extent(5, 1)]


def test_a_term_stays_in_its_place():
    bench = Bench()
    bench.publish(1, 3)
    bench.digest.began(Term(1, 2, 3))
    bench.publish(3, 1, term=2)
    assert bench.entries() == [extent(1, 3), Term(1, 2, 3), extent(3, 1, term=2)]


def test_a_drop_leaves_nothing_before_it():
    bench = Bench()
    bench.publish(1, 3)
    bench.digest.stated(Mark(1, 1, 0, 3))
    bench.digest.dropped(Drop(1))
    bench.digest.stated(Mark(1, 2, 0, 1))
    assert bench.entries() == [Drop(1), Mark(1, 2, 0, 1)]


def test_the_last_word_counts():
    bench = Bench()
    for upto in (1, 2, 3):
        bench.digest.stated(Mark(1, 1, 0, upto))
        bench.digest.stated(Hole(1, 1, [(upto, upto)]))
        bench.digest.stated(Returned(1, 1, [(upto, upto + 1, upto)]))
    assert bench.entries() == [
        Returned(1, 1, [(1, 1, 1), (2, 2, 2), (3, 4, 3)]),
        Mark(1, 1, 0, 3),
        Hole(1, 1, [(3, 3)]),
    ]


def test_origins_are_raised_and_set():
    bench = Bench()
    bench.digest.raised("n1", 5)
    bench.digest.raised("n1", 7)
    bench.digest.raised("n2", 1)
    bench.digest.raised("n1", 6)
    assert bench.entries() == [Raised(1, 0, "n1", 7), Raised(1, 0, "n2", 1)]
    bench.digest.stated(Origin(1, 1, "n1", 8, [(8, 8)]))
    bench.digest.raised("n1", 9)
    bench.digest.stated(Origin(1, 1, "n2", 0))
    assert bench.entries() == [Origin(1, 1, "n1", 9, [(8, 8)]), Origin(1, 1, "n2", 0, [])]


def test_what_an_origin_said_under_an_older_master_stays_what_he_said():
    """As a record that was written again: what of his term was cut off is void, and so is what it says."""
    digest = Digest()
    digest.began(Term(7, 2, 1))
    digest.stated(Mark(7, 2, 0, 1))
    digest.stated(Origin(7, 1, "n1", 5, [(1, 5)]))
    assert Origin(7, 1, "n1", 5, [(1, 5)]) in list(digest.entries(7))
