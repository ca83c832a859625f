"""What a queue keeps in memory, what it reads ahead, and when it wants anything at all."""

import pytest

from broker.queues.line import Line
from broker.queues.page import Page
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.queues.window import LOAD_BYTES_MAX
from broker.wire.message import Run, Traits
from tests.queues.fakes import ADDRESS, PLAIN, FakeConsumer, content, positions, run_of

KIB = 1024
MIB = 1024 * KIB


def filled(settings: Settings | None = None, *, count: int = 1000, size: int = KIB) -> Queue:
    queue = Queue(settings or Settings(), logged=True)
    for _ in range(count):
        queue.publish(run_of(1, size=size), 0)
    return queue


def paged(count: int, *, size: int = KIB, expires: bool = False) -> Line:
    """As after a restart."""
    return Line(Page(position, 1, size, expires=expires) for position in range(1, count + 1))


def loaded(first: int, last: int, *, size: int = KIB, traits: Traits = PLAIN) -> list[Run]:
    return [run_of(1, first=position, size=size, traits=traits) for position in range(first, last + 1)]


def test_both_ends_stay_and_the_next_call_has_nothing_to_do() -> None:
    queue = filled()
    assert queue.page_out(2 * MIB) == []
    forgotten = queue.page_out(400 * KIB)
    kept = [piece for piece in queue.living() if isinstance(piece, Run)]
    assert 190 * KIB < queue.resident_bytes < 210 * KIB
    assert sorted(positions(forgotten) + positions(kept)) == list(range(1, 1001))
    assert (kept[0].first, kept[-1].last) == (1, 1000)
    assert positions(forgotten) == sorted(positions(forgotten))
    for _ in range(100):
        queue.publish(run_of(1, size=KIB), 0)
        assert queue.page_out(400 * KIB) == []
    assert queue.message_bytes == 1100 * KIB


def test_a_little_leaves_memory_at_a_time() -> None:
    """Four thousand messages at one go kept clients waiting for as long as it takes to forget them."""
    queue = filled(count=5 * KIB)
    for _ in range(3):
        while queue.resident_bytes <= 8 * MIB:
            queue.publish(run_of(16, size=KIB), 0)
        resident_bytes = queue.resident_bytes
        assert queue.page_out(8 * MIB)
        assert MIB <= resident_bytes - queue.resident_bytes < MIB + MIB // 2
    queue.page_out(4 * MIB)
    assert queue.resident_bytes < 4 * MIB, "all that is too much goes at once"


@pytest.mark.parametrize("levels", [1, 3])
def test_it_is_enough_whatever_level_it_leaves(levels: int) -> None:
    queue = Queue(Settings(max_priority=levels - 1 or None), logged=True)
    for number in range(9 * KIB):
        queue.publish(run_of(1, size=KIB, traits=Traits(priority=number % levels)), 0)
    resident_bytes = queue.resident_bytes
    queue.page_out(8 * MIB)
    assert 7 * MIB - 64 * KIB < queue.resident_bytes <= 7 * MIB < 9 * MIB <= resident_bytes


def test_what_cannot_be_avoided_is_not_looked_at_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = filled(count=2, size=100 * KIB)
    assert queue.page_out(64 * KIB) == []
    with monkeypatch.context() as patch:
        patch.delattr(Line, "page_out")
        assert queue.page_out(64 * KIB) == []
    queue.publish(run_of(1, size=100 * KIB), 0)
    assert positions(queue.page_out(64 * KIB)) == [2]
    assert positions(queue.page_out(2)) == [1, 3]


def test_a_window_that_shrinks_counts_at_once() -> None:
    queue = filled()
    queue.page_out(800 * KIB)
    assert 390 * KIB < queue.resident_bytes < 410 * KIB
    queue.page_out(100 * KIB)
    assert queue.resident_bytes < 55 * KIB


def test_what_was_given_out_goes_oldest_first() -> None:
    queue = filled(count=0)
    consumer = FakeConsumer()
    queue.consume(consumer)
    for _ in range(100):
        queue.publish(run_of(1, size=KIB), 0)
    forgotten = positions(queue.page_out(80 * KIB))
    assert forgotten == list(range(1, len(forgotten) + 1))
    assert 70 < len(forgotten) < 90
    assert queue.settle(consumer, 1, 50) == 50
    queue.release(consumer)
    assert next((piece.redelivered, type(piece)) for piece in queue.living()) == (True, Page)
    assert queue.wanted() == (51, len(forgotten))


def test_nothing_is_wanted_that_nobody_needs() -> None:
    queue = Queue(Settings(max_length=50), logged=True, line=paged(100), next_position=101)
    assert queue.wanted() is None
    queue.publish(run_of(1), 0)
    assert (queue.messages_ready, queue.paged_messages, queue.wanted()) == (50, 49, None)
    assert queue.take_settled() == [(1, 51)]


def test_a_consumer_has_them_read_ahead_until_there_is_enough() -> None:
    queue = Queue(Settings(), logged=True, line=paged(10_000), next_position=10_001)
    consumer = FakeConsumer(window=0)
    queue.consume(consumer)
    assert not queue.wants_contents()
    consumer.window = 1
    queue.pump(consumer)
    assert queue.wants_contents()
    consumer.window = 0
    queue.window_bytes = 8 * MIB
    loads = []
    while (wanted := queue.wanted()) is not None:
        loads.append(wanted)
        queue.page_in(loaded(*wanted))
    assert len(loads) == 2  # a mebibyte is half of what the head may have
    assert loads[0][0] == 1
    assert 700 < loads[0][1] < 1025
    assert loads[1][0] == loads[0][1] + 1
    looks = 0
    while not looks or queue.wanted() is None:
        looks += 1
        consumer.window += 100
        queue.pump(consumer)
    assert 300 < len(consumer.take()) < loads[1][1]
    assert queue.wanted() == (loads[1][1] + 1, 3 * loads[0][1])
    assert LOAD_BYTES_MAX == MIB


def test_one_large_message_is_worth_a_load() -> None:
    queue = Queue(Settings(), logged=True, line=Line([Page(1, 3, 30 * MIB)]), next_position=4)
    queue.consume(FakeConsumer())
    assert queue.wanted() == (1, 1)


def test_a_load_does_not_span_far_more_than_it_is_for() -> None:
    line = Line([Page(1, 10, 10), Page(15, 10, 10), Page(5000, 10, 10)])
    assert line.wanted(MIB) == (1, 24)


def test_basic_get_can_tell_empty_from_not_in_memory() -> None:
    queue = Queue(Settings(), logged=True, line=paged(2), next_position=3)
    assert queue.wanted() is None
    assert queue.get("g", False) is None
    assert queue.want_head()
    assert queue.wanted() == (1, 2)
    queue.page_in(loaded(1, 1))
    assert queue.wanted() is None
    assert positions([queue.get("g", False)]) == [1]
    assert queue.wanted() is None
    assert queue.want_head()
    queue.page_in(loaded(2, 2))
    assert positions([queue.get("g", False)]) == [2]
    assert not queue.want_head()


def test_a_head_that_may_be_too_old_is_loaded_to_know() -> None:
    queue = Queue(Settings(), logged=True, line=paged(4, expires=True), next_position=5)
    assert queue.deadline_ms() is None
    assert queue.wanted() == (1, 4)
    traits = Traits(expiration_ms=10)
    queue.tell_time(10)
    queue.page_in(loaded(1, 2, traits=traits))
    assert queue.living_ranges() == [(3, 4)]
    assert queue.wanted() == (3, 4)
    queue.page_in([run_of(1, first=3, traits=Traits(expiration_ms=50))])
    assert (queue.wanted(), queue.deadline_ms()) == (None, 50)


def test_each_level_has_its_head_looked_at() -> None:
    line = Line([Page(1, 2, 6, priority=1), Page(3, 2, 6, expires=True), Page(5, 1, 3, priority=2)])
    queue = Queue(Settings(max_priority=2), logged=True, line=line, next_position=6)
    assert queue.wanted() == (3, 4)
    queue.page_in(loaded(3, 4, traits=Traits(expiration_ms=9)))
    assert queue.wanted() is None
    consumer = FakeConsumer()
    queue.consume(consumer)
    assert queue.wanted() == (5, 5)
    queue.page_in([run_of(1, first=5, traits=Traits(priority=2))])
    assert queue.wanted() == (1, 2)
    queue.page_in([run_of(2, first=1, traits=Traits(priority=1))])
    assert consumer.take() == [5, 1, 2, 3, 4]


def test_a_limit_in_bytes_reads_ahead_and_else_takes_messages_for_equal() -> None:
    queue = Queue(Settings(max_length_bytes=1000), logged=True, line=Line([Page(1, 10, 1000)]), next_position=11)
    assert queue.wanted() == (1, 10)
    run = Run([content(b"x" * 150)], ADDRESS, PLAIN)
    queue.publish(run, 0)
    assert queue.living_ranges() == [(3, 11)]
    queue.page_in([Run([content(b"x" * size)], ADDRESS, PLAIN, first=3 + at) for at, size in enumerate([400, 9, 9])])
    assert queue.message_bytes <= 1000
    assert queue.living_ranges() == [(3, 11)]
    assert queue.message_bytes == 950


def test_letters_of_what_is_not_in_memory_are_loaded_before_they_go() -> None:
    settings = Settings(max_length=5, dead_letter_exchange="x")
    queue = Queue(settings, logged=True, line=paged(8), next_position=9)
    queue.apply(settings, 0)
    (dead,) = queue.take_dead()
    assert (dead.page.first, dead.page.last, dead.reason) == (1, 3, "maxlen")
    assert (queue.counters.dropped, queue.counters.dead_lettered, queue.messages_ready) == (3, 3, 5)
    letters = dead.loaded(loaded(1, 2) + loaded(3, 5))
    assert positions([letter.run for letter in letters]) == [1, 2, 3]
    assert [(letter.reason, letter.exchange) for letter in letters] == [("maxlen", "x")] * 3
    queue.settle_dead(1, 3)
    assert queue.take_settled() == [(1, 3)]


def test_what_came_back_too_often_dies_also_if_it_is_not_in_memory() -> None:
    settings = Settings(counts_returns=True, delivery_limit=2, dead_letter_exchange="x")
    line = Line([Page(1, 2, 6, returned=3), Page(3, 2, 6, returned=2)])
    queue = Queue(settings, logged=True, line=line, next_position=5)
    assert [(dead.page.first, dead.page.last) for dead in queue.take_dead()] == [(1, 2)]
    assert queue.messages_ready == 2


def test_nothing_is_pushed_out_while_a_head_may_only_be_too_old() -> None:
    settings = Settings(max_length=3)
    queue = Queue(settings, logged=True, line=paged(3, expires=True), next_position=4)
    queue.publish(run_of(1), 10)
    assert (queue.messages_ready, queue.counters.dropped) == (4, 0)
    queue.page_in(loaded(1, 1, traits=Traits(expiration_ms=10)))
    assert (queue.living_ranges(), queue.counters.expired, queue.counters.dropped) == ([(2, 4)], 1, 0)


def test_what_a_limit_brings_to_the_head_is_given_out() -> None:
    """A consumer waits for what is not in memory, and that is what has to go."""
    queue = Queue(Settings(max_length=2), logged=True, line=paged(1), next_position=2)
    consumer = FakeConsumer(window=1)
    queue.consume(consumer)
    queue.publish(run_of(2), 0)
    assert queue.messages_unacked == 1
    assert queue.wanted() is None


def test_what_a_limit_brings_to_the_head_too_old_is_expired_in_memory_as_on_disk() -> None:
    queue = Queue(Settings(max_length=0), logged=True)
    consumer = FakeConsumer(window=3)
    queue.consume(consumer)
    queue.publish(run_of(1), 0)
    queue.publish(run_of(1, traits=Traits(expiration_ms=0)), 0)
    queue.cancel(consumer)
    queue.release(consumer)
    assert (queue.counters.dropped, queue.counters.expired) == (1, 1)
