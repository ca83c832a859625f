from broker.queues.counters import Counters
from broker.queues.dead_letter import DeadLetter
from broker.queues.departures import KEPT_AT_ONCE_MAX, KEPT_PER_MS, Departures
from broker.queues.page import Page
from broker.queues.settings import Settings
from tests.queues.fakes import run_of

DLX = Settings(dead_letter_exchange="dlx")


def kept(count, *, at_ms):
    """Departures that keep so many letters."""
    departures = Departures(Counters(), logged=True)
    for position in range(1, count + 1):
        departures.keep(DeadLetter("expired", run_of(1, first=position), "dlx", None), at_ms)
    return departures


def test_kept_letters_go_again_when_it_is_time_in_their_order():
    departures = kept(3, at_ms=1000)
    departures.send_kept(999, DLX)
    assert departures.take_dead() == []
    assert departures.kept_until_ms == 1000
    departures.send_kept(1000, DLX)
    assert [dead.run.first for dead in departures.take_dead()] == [1, 2, 3]
    assert departures.kept_until_ms is None
    assert not departures.kept


def test_many_kept_letters_go_in_portions_so_that_others_are_served_too():
    count = 2 * KEPT_AT_ONCE_MAX + 10
    departures = kept(count, at_ms=1000)
    late_ms = 1_000_000
    sent = []
    while departures.kept:
        departures.send_kept(late_ms, DLX)
        sent.append(len(departures.take_dead()))
    assert sent == [KEPT_AT_ONCE_MAX, KEPT_AT_ONCE_MAX, 10]


def test_the_more_letters_wait_the_longer_they_do():
    departures = kept(50 * KEPT_PER_MS, at_ms=1000)
    departures.send_kept(1024, DLX)
    assert len(departures.take_dead()) == 25 * KEPT_PER_MS
    assert departures.kept_until_ms == 1025


def test_a_letter_is_in_memory_no_longer_than_what_it_tells_of():
    departures = Departures(Counters(), logged=True)
    for position in (1, 2, 3, 4):
        departures.bury(run_of(1, first=position), "rejected", DLX)
    one, two, under_way, _ = departures.take_dead()
    departures.keep(one, 10)
    departures.bury(run_of(1, first=5), "rejected", DLX)
    assert [run.first for run in departures.page_out(0)] == [1, 2, 3, 4, 5]
    departures.keep(two, 10)
    (unread,) = departures.take_dead()
    assert (unread.page.first, under_way.page) == (5, None)
    departures.send_kept(10, DLX)
    assert [(dead.page.first, dead.page.last, dead.reason) for dead in departures.take_dead()] == [(1, 2, "rejected")]
    departures.settle_dead(1, 5)
    assert departures.take_settled() == [(1, 5)]


def test_a_letter_that_never_was_in_the_queue_keeps_its_contents():
    departures = Departures(Counters(), logged=True)
    departures.bury(run_of(1, first=1), "rejected", DLX)
    departures.keep(DeadLetter("maxlen", run_of(2), "dlx", None), 10)
    departures.page_out(0)
    departures.send_kept(10, DLX)
    assert departures.take_dead()[-1].run.contents == run_of(2).contents


def test_kept_letters_that_are_not_in_memory_are_few_however_many_messages_they_are_of():
    departures = Departures(Counters(), logged=True)
    for position in range(1, 1001):
        page = Page(position, 1, 10)
        departures.dying.add(page)
        departures.keep(DeadLetter("expired", page, "dlx", None), 1000)
    departures.keep(DeadLetter("rejected", Page(1001, 1, 10), "dlx", None), 1000)
    departures.send_kept(1000, DLX)
    departures.send_kept(1_000_000, DLX)
    assert [(dead.reason, dead.piece.first, dead.piece.last) for dead in departures.take_dead()] == [
        ("expired", 1, 1000),
        ("rejected", 1001, 1001),
    ]
