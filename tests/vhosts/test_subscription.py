import pytest

from broker.cluster.records import Life, QueueRecord
from broker.meters.traffic import Flow
from broker.vhosts.subscription import (
    FIRST_ROOM_MESSAGES,
    OUTBOX_BYTES_MAX,
    ROOM_BYTES,
    ROOM_MESSAGES,
    Fetcher,
    Subscription,
)
from broker.wire.message import Run, Traits, make_address
from tests.queues.fakes import run_of


class FakeOutlet:
    def __init__(self):
        self.outbox_bytes = 0
        self.starved = set()


class FakeChannel:
    def __init__(self):
        self.flow = Flow()
        self.outlet = FakeOutlet()
        self.prefetch_count_global = 0
        self.outstanding = 0
        self.starved = {}
        self.delivered = []

    def deliver(self, tag, run, source):
        self.delivered.append((tag, len(run.contents), source))


class FakeHandle:
    record = QueueRecord(1, "/", "q", Life("n1", 1), 1)

    def __init__(self):
        self.woken = []

    def wake(self, subscription):
        self.woken.append(subscription)


@pytest.fixture
def channel():
    return FakeChannel()


def subscription(channel, *, ack_required=True, prefetch_count=0, **arguments):
    facts = {"ack_required": ack_required, "exclusive": False, "prefetch_count": prefetch_count}
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    return Subscription(FakeHandle(), channel, "tag", 7, arguments=named, **facts)


def test_without_a_window_there_is_room_for_a_turn_of_messages_like_the_last_ones(channel):
    consumer = subscription(channel, ack_required=False)
    assert consumer.room() == FIRST_ROOM_MESSAGES
    consumer.deliver(Run([b"x" * 64], make_address("", "q"), Traits(), first=1))
    assert consumer.room() == ROOM_MESSAGES
    consumer.deliver(Run([b"x" * (ROOM_BYTES // 4)], make_address("", "q"), Traits(), first=2))
    assert consumer.room() == 5


def test_a_window_closes_with_deliveries_and_opens_with_answers(channel):
    consumer = subscription(channel, prefetch_count=3)
    consumer.deliver(run_of(2))
    assert consumer.room() == 1
    consumer.deliver(run_of(1))
    assert consumer.room() == 0
    consumer.answered(2)
    assert consumer.room() == 2


def test_without_acknowledgements_there_is_no_window(channel):
    consumer = subscription(channel, ack_required=False, prefetch_count=1)
    consumer.deliver(run_of(5))
    assert consumer.room() == ROOM_MESSAGES
    assert channel.delivered == [(b"tag", 5, None)]


def test_a_channels_window_holds_for_all_its_consumers(channel):
    channel.prefetch_count_global = 2
    one, two = subscription(channel), subscription(channel)
    one.deliver(run_of(2))
    assert two.room() == 0
    assert list(channel.starved) == [two]
    one.answered(1)
    assert two.room() == 1


def test_who_need_not_answer_waits_for_a_channels_window_but_takes_no_part_of_it(channel):
    channel.prefetch_count_global = 1
    one, two = subscription(channel), subscription(channel, ack_required=False)
    assert two.room() == FIRST_ROOM_MESSAGES
    two.deliver(run_of(5))
    assert one.room() == 1
    one.deliver(run_of(1))
    assert two.room() == 0
    assert list(channel.starved) == [two]


def test_a_client_that_does_not_read_gets_nothing_until_its_outbox_drains(channel):
    channel.outlet.outbox_bytes = OUTBOX_BYTES_MAX + 1
    consumer = subscription(channel)
    assert consumer.room() == 0
    assert channel.outlet.starved == {consumer}
    consumer.wake()
    assert consumer.handle.woken == [consumer]


def test_for_a_new_master_it_is_the_same_consumer_with_an_open_window(channel):
    old = subscription(channel, prefetch_count=2, x_priority=5)
    old.deliver(run_of(2))
    new = old.again(8)
    assert (new.tag, new.number, new.priority, new.prefetch_count, new.outstanding) == ("tag", 8, 5, 2, 0)
    assert new.room() == 2


def test_who_asks_for_it_is_cancelled_by_a_failover(channel):
    assert subscription(channel).survives_failover
    assert subscription(channel, **{"x-cancel-on-ha-failover": False}).survives_failover
    assert not subscription(channel, **{"x-cancel-on-ha-failover": True}).survives_failover


def test_a_fetcher_has_no_window():
    fetcher = Fetcher(None, 3)
    fetcher.answered(5)
    assert (fetcher.number, fetcher.alive, fetcher.ack_required) == (3, True, True)
