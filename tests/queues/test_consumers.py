"""Pauses: nobody gets anything, whatever comes, goes or has room, and afterwards everybody in turn."""

import pytest

from broker.queues.queue import Queue
from broker.queues.settings import Settings
from tests.queues.fakes import FakeConsumer, run_of


def queue_with(*consumers, **settings):
    queue = Queue(Settings(**settings), logged=True)
    for consumer in consumers:
        queue.consume(consumer)
    return queue


def paused(queue, **settings):
    queue.apply(Settings(paused=True, **settings), 0)


def resumed(queue, **settings):
    queue.apply(Settings(**settings), 0)
    queue.pump()


def test_a_paused_queue_takes_messages_and_gives_none():
    first, second = FakeConsumer("a"), FakeConsumer("b")
    queue = queue_with(first)
    paused(queue)
    queue.consume(second)
    queue.publish(run_of(4), 0)
    queue.pump(first)
    queue.pump()
    assert queue.get("channel", ack_required=True) is None
    assert (first.take(), second.take(), queue.messages_ready) == ([], [], 4)
    assert not queue.wants_open()
    resumed(queue)
    assert (first.take(), second.take()) == ([1, 3], [2, 4])


def test_what_is_out_may_be_answered_and_what_comes_back_waits():
    consumer = FakeConsumer()
    queue = queue_with(consumer, dead_letter_exchange="dead")
    queue.publish(run_of(4), 0)
    paused(queue, dead_letter_exchange="dead")
    consumer.take()
    queue.settle(consumer, 1, 1)
    queue.reject(consumer, 2, 2)
    queue.requeue(consumer, 3, 3)
    queue.pump(consumer)
    assert consumer.take() == []
    assert [letter.piece.first for letter in queue.take_dead()] == [2]
    assert (queue.messages_ready, queue.messages_unacked) == (1, 1)
    resumed(queue)
    assert consumer.take() == [3]


def test_expiry_and_limits_go_on():
    queue = queue_with(FakeConsumer(), message_ttl_ms=10, max_length=2)
    paused(queue, message_ttl_ms=10, max_length=2)
    queue.publish(run_of(3), 0)
    assert (queue.messages_ready, queue.counters.dropped) == (2, 1)
    queue.tick(10)
    assert (queue.messages_ready, queue.counters.expired) == (0, 2)


@pytest.mark.parametrize("single_active", [False, True])
def test_who_goes_away_during_a_pause_gets_nothing_after_it(single_active):
    first, second = FakeConsumer("a"), FakeConsumer("b", priority=1)
    queue = queue_with(first, single_active_consumer=single_active)
    paused(queue, single_active_consumer=single_active)
    queue.consume(second)
    queue.publish(run_of(1), 0)
    queue.cancel(first)
    assert (first.take(), second.take()) == ([], [])
    resumed(queue, single_active_consumer=single_active)
    assert (first.take(), second.take()) == ([], [1])


def test_priorities_count_after_a_pause():
    low, high = FakeConsumer("low"), FakeConsumer("high", priority=1, window=1)
    queue = queue_with(low, high)
    paused(queue)
    queue.publish(run_of(2), 0)
    resumed(queue)
    assert (low.take(), high.take()) == ([2], [1])


def test_a_queue_may_be_born_paused():
    queue, consumer = Queue(Settings(paused=True), logged=True), FakeConsumer()
    queue.consume(consumer)
    queue.publish(run_of(1), 0)
    assert consumer.take() == []
