"""What the stories do not tell: rebirth from a line, counters, outboxes nobody reads, reading the log."""

import pytest

from broker.queues.consumers import Consumers, ExclusiveUse
from broker.queues.line import Line
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.wire.message import Run, Traits
from tests.queues.fakes import ADDRESS, PLAIN, FakeConsumer, content, positions, run_of


def test_reborn_from_a_line_with_holes() -> None:
    line = Line([run_of(2, first=3), run_of(1, first=9)])
    queue = Queue(Settings(), logged=True, line=line, next_position=20)
    queue.mark_redelivered(3)
    queue.publish(run_of(1), 0)
    consumer = FakeConsumer()
    queue.consume(consumer)
    queue.pump(consumer)
    assert [(run.first, run.last, run.redelivered) for run in consumer.runs] == [
        (3, 3, True),
        (4, 4, False),
        (9, 9, False),
        (20, 20, False),
    ]


def test_reborn_with_priorities_and_times_to_live() -> None:
    line = Line(run_of(1, first=n, traits=Traits(priority=n, expiration_ms=n * 10)) for n in (1, 2, 3))
    queue = Queue(Settings(max_priority=2), logged=True, line=line, next_position=4)
    assert [queue.level_of(run) for run in queue.living()] == [1, 2, 2]
    assert queue.deadline_ms() == 10
    assert positions([queue.head()]) == [2]
    queue.tick(20)
    assert queue.living_ranges() == [(3, 3)]
    assert queue.counters.expired == 2


def test_a_queue_nobody_logs_collects_nothing() -> None:
    queue = Queue(Settings(), logged=False)
    queue.consume(FakeConsumer(ack_required=False))
    for _ in range(3):
        queue.publish(run_of(5), 0)
    assert queue.take_settled() == []
    assert queue.next_position == 16


def test_settled_ranges_are_joined_and_taken_once() -> None:
    queue = Queue(Settings(), logged=True)
    queue.consume(FakeConsumer(ack_required=False))
    for _ in range(3):
        queue.publish(run_of(5), 0)
    assert queue.take_settled() == [(1, 15)]
    assert queue.take_settled() == []


def test_an_idle_consumer_gets_the_publishers_own_run() -> None:
    queue = Queue(Settings(), logged=True)
    consumer = FakeConsumer()
    queue.consume(consumer)
    run = run_of(300)
    queue.publish(run, 7)
    assert consumer.runs[0] is run
    assert (run.first, run.stamp_ms) == (1, 7)


def test_answers_for_what_is_not_held_change_nothing() -> None:
    queue = Queue(Settings(dead_letter_exchange="x"), logged=True)
    queue.publish(run_of(2), 0)
    assert queue.settle("nobody", 1, 2) == 0
    queue.requeue("nobody", 1, 2)
    queue.reject("nobody", 1, 2)
    queue.release("nobody")
    queue.settle_dead(1, 2)
    assert (queue.messages_ready, queue.take_settled(), queue.take_dead()) == (2, [], [])


def sized(*sizes: int) -> Run:
    return Run([content(b"x" * size) for size in sizes], ADDRESS, PLAIN)


def test_room_in_bytes_is_looked_for_at_each_message() -> None:
    queue = Queue(Settings(max_length_bytes=10, overflow="reject-publish-dlx", dead_letter_exchange="x"), logged=True)
    run = sized(4, 9, 7, 3, 8, 2, 1)
    assert queue.publish(run, 0) == [(1, 3), (4, 5)]
    assert (run.first, queue.living_ranges(), queue.message_bytes) == (1, [(1, 4)], 10)
    assert [len(dead.run.contents) for dead in queue.take_dead()] == [2, 1]
    full = sized(2, 0)
    assert queue.publish(full, 0) == [(0, 1)]
    assert full.first == 5


def test_a_changed_ttl_is_for_what_comes_also_after_the_queue_was_born_again() -> None:
    queue = Queue(Settings(message_ttl_ms=100), logged=True)
    queue.publish(run_of(1), 0)
    queue.apply(Settings(message_ttl_ms=20), 0)
    queue.publish(run_of(1, traits=Traits(expiration_ms=50)), 0)
    queue.apply(Settings(), 0)
    queue.publish(run_of(1, traits=Traits(expiration_ms=150)), 0)
    again = Queue(Settings(message_ttl_ms=1), logged=True, line=Line(queue.living()), next_position=4)
    again.tick(50)
    assert again.living_ranges() == [(1, 3)]  # the second is due, but stands behind the first
    again.tick(100)
    assert again.living_ranges() == [(3, 3)]
    again.tick(150)
    assert again.living_ranges() == []


def test_what_is_too_old_is_not_delivered_when_it_comes_to_the_head() -> None:
    queue = Queue(Settings(), logged=True)
    for expiration_ms in (None, 10, None):
        queue.publish(run_of(1, traits=Traits(expiration_ms=expiration_ms)), 0)
    queue.tick(20)
    consumer = FakeConsumer()
    queue.consume(consumer)
    queue.pump(consumer)
    assert consumer.take() == [1, 3]
    assert queue.take_settled() == [(2, 2)]


def test_what_is_given_back_too_often_dies() -> None:
    settings = Settings(counts_returns=True, delivery_limit=2, dead_letter_exchange="x")
    queue = Queue(settings, logged=True)
    queue.publish(run_of(3), 0)
    for times in (1, 2):
        for _ in range(3):
            queue.get("holder", True)
        queue.requeue("holder", 2, 3)
        queue.release("holder")
        assert queue.take_returned() == [(2, 3, times), (1, 1, times)]
    assert [(run.first, run.returned) for run in queue.living()] == [(1, 2), (2, 2), (3, 2)]
    queue.get("holder", True)
    queue.release("holder")
    (dead,) = queue.take_dead()
    assert (dead.reason, dead.run.first, queue.messages_ready) == ("delivery_limit", 1, 2)
    assert queue.take_returned() == [(1, 1, 3)]
    heir = Queue(settings, logged=True, line=Line(queue.living()), next_position=4)
    (again,) = heir.take_dead()
    assert (again.reason, again.run.first, heir.messages_ready) == ("delivery_limit", 1, 2), "nobody gets it once more"
    assert heir.living_ranges() == [(1, 3)]


def test_an_ordinary_queue_counts_no_returns() -> None:
    queue = Queue(Settings(delivery_limit=0), logged=True)
    queue.publish(run_of(1), 0)
    queue.get("holder", True)
    queue.release("holder")
    assert [(run.returned, run.redelivered) for run in queue.living()] == [(0, True)]
    assert queue.take_returned() == []


def test_a_dead_letter_that_must_arrive_goes_out_again_and_takes_up_room_meanwhile() -> None:
    settings = Settings(
        max_length=2,
        overflow="reject-publish",
        dead_letter_exchange="x",
        dead_letters_must_arrive=True,
        delivery_limit=0,
    )
    queue = Queue(settings, logged=True)
    queue.publish(run_of(2), 0)
    queue.get("holder", True)
    queue.reject("holder", 1, 1)
    (dead,) = queue.take_dead()
    assert dead.must_arrive
    queue.keep_dead(dead)
    assert queue.publish(run_of(1), 0) == [(0, 1)]
    assert queue.deadline_ms() == 5000
    queue.tick(4999)
    assert queue.take_dead() == []
    queue.tick(5000)
    (again,) = queue.take_dead()
    assert (again.reason, again.run.first, again.exchange) == ("rejected", 1, "x")
    queue.keep_dead(again)
    queue.apply(Settings(), 5000)  # nowhere to go any more
    queue.tick(10_000)
    assert (queue.take_dead(), queue.take_settled(), queue.deadline_ms()) == ([], [(1, 1)], None)


def test_statistics_count_everything() -> None:
    queue = Queue(Settings(max_length=3, dead_letter_exchange="x"), logged=True)
    consumer = FakeConsumer(window=2)
    queue.consume(consumer)
    queue.publish(run_of(6, size=5), 0)
    queue.settle(consumer, 1, 1)
    queue.requeue(consumer, 2, 2)
    queue.get("x", False)
    queue.get("x", True)
    assert queue.statistics() == {
        "messages": 2,
        "messages_ready": 1,
        "messages_unacked": 1,
        "messages_dying": 2,
        "messages_paged_out": 0,
        "message_bytes": 10,
        "message_bytes_ready": 5,
        "message_bytes_unacked": 5,
        "consumers": 1,
        "published": 6,
        "delivered": 2,
        "delivered_no_ack": 0,
        "got": 1,
        "got_no_ack": 1,
        "acked": 1,
        "redelivered": 0,
        "expired": 0,
        "dropped": 2,
        "dead_lettered": 2,
    }


def test_a_queue_remembers_that_it_was_consumed_from() -> None:
    queue = Queue(Settings(), logged=True)
    assert not queue.has_had_consumers
    consumer = FakeConsumer()
    queue.consume(consumer)
    queue.cancel(consumer)
    assert (len(queue.consumers), queue.has_had_consumers) == (0, True)


def test_a_read_of_the_log_ends_with_the_run_that_is_enough() -> None:
    queue = Queue(Settings(), logged=True)
    consumer = FakeConsumer(window=2)
    queue.consume(consumer)
    for _ in range(3):
        queue.publish(run_of(4), 0)
    queue.settle(consumer, 1, 1)
    assert positions(queue.between(2, 9, 1 << 20)) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert positions(queue.between(2, 9, 1)) == [2]
    assert queue.between(20, 30, 1) == []


def test_who_logs_later_hears_from_then_on() -> None:
    queue = Queue(Settings(), logged=False)
    queue.publish(run_of(2), 0)
    queue.get("x", False)
    queue.log()
    queue.get("x", False)
    assert queue.take_settled() == [(2, 2)]


def test_room_and_the_first_closed_position() -> None:
    queue = Queue(Settings(), logged=True)
    queue.open_upto = 2
    queue.publish(run_of(4), 0)
    assert (queue.room(), queue.first_closed(0)) == (0, 3)
    queue.consume(FakeConsumer(window=7))
    assert queue.room() == 7


def test_a_full_consumer_is_asked_once() -> None:
    consumers = Consumers()
    full, free = FakeConsumer("full", window=0), FakeConsumer("free")
    consumers.add(full)
    consumers.add(free)
    assert consumers.next() == (free, free.window)
    full.window = 5  # nobody was told
    consumers.served()
    assert consumers.next() == (free, free.window)
    consumers.wake(full)
    consumers.served()
    assert consumers.next() == (full, 5)
    assert list(consumers) == [full, free]
    assert full in consumers


def test_waking_is_harmless_for_strangers() -> None:
    consumers = Consumers()
    consumers.wake(FakeConsumer())
    consumers.wake()
    assert consumers.next() is None
    assert not consumers.remove(FakeConsumer())


def test_exclusive_use_names_the_consumer() -> None:
    consumers = Consumers()
    consumers.add(FakeConsumer("first", exclusive=True))
    with pytest.raises(ExclusiveUse, match="second"):
        consumers.add(FakeConsumer("second"))


def test_the_next_active_one_is_of_the_highest_priority_then_the_oldest() -> None:
    consumers = Consumers(single_active=True)
    a, b, c, d = FakeConsumer("a"), FakeConsumer("b"), FakeConsumer("c", priority=2), FakeConsumer("d", priority=2)
    for consumer in (a, b, c, d):
        consumers.add(consumer)
    order = [consumers.active]
    for consumer in (a, c, d, b):
        consumers.remove(consumer)
        order.append(consumers.active)
    assert order == [a, c, d, b, None]


def test_equal_shares_even_if_the_number_does_not_divide() -> None:
    queue = Queue(Settings(), logged=True)
    consumers = [FakeConsumer(str(number)) for number in range(7)]
    for consumer in consumers:
        queue.consume(consumer)
    queue.publish(run_of(300), 0)
    assert [len(consumer.take()) for consumer in consumers] == [43] * 6 + [42]


def test_a_ttl_of_zero_reaches_several_waiting_consumers() -> None:
    queue = Queue(Settings(message_ttl_ms=0), logged=True)
    consumers = [FakeConsumer(window=1), FakeConsumer(window=1)]
    for consumer in consumers:
        queue.consume(consumer)
    queue.publish(run_of(3), 5)
    assert [consumer.take() for consumer in consumers] == [[1], [2]]
    assert queue.take_settled() == [(3, 3)]
