import pytest

from broker.amqp.channel import Channel
from broker.amqp.confirms import ConfirmLine
from broker.amqp.errors import ChannelException
from broker.wire.basic_methods import BasicQos
from broker.wire.content import make_content
from broker.wire.events import Publish
from broker.wire.frames import FrameReader
from broker.wire.message import Run, Traits
from broker.wire.properties import Properties


class Outlet:
    """A connection that only collects."""

    frame_max = 4096
    capabilities = frozenset({"consumer_cancel_notify"})

    def __init__(self):
        self.heard_at = 0.0
        self.sent = bytearray()
        self.confirming = []
        self.confirmed = []

    def send(self, data):
        self.sent += data

    def confirm_soon(self, channel):
        self.confirming.append(channel)

    def events(self):
        taken, self.sent = bytes(self.sent), bytearray()
        return FrameReader(4096, client=True).feed(taken)


class Consumer:
    def __init__(self):
        self.woken = 0

    def wake(self):
        self.woken += 1


@pytest.fixture
def outlet():
    return Outlet()


@pytest.fixture
def channel(outlet):
    return Channel(3, outlet)


def run(count, first=100, *, redelivered=False):
    contents = [make_content(1, Properties(), b"%d" % i, 4096) for i in range(count)]
    return Run(contents, b"\0\1q", Traits(), first=first, redelivered=redelivered)


def test_deliveries_are_numbered_and_remembered(channel, outlet):
    channel.deliver(b"a", run(3), "one")
    channel.deliver(b"b", run(2), None)
    channel.deliver(b"a", run(2, 200, redelivered=True), "two")
    first, second, third = outlet.events()
    assert (first.channel, first.consumer_tag, first.first_tag, len(first.contents)) == (3, b"a", 1, 3)
    assert (second.first_tag, second.redelivered) == (4, False)
    assert (third.first_tag, third.redelivered) == (6, True)
    assert channel.unacked_count == 5
    assert channel.acknowledge(0, 6, True) == [("one", 100, 102), ("two", 200, 200)]
    assert channel.recover_all() == [("two", 201, 201)]
    assert channel.unacked_count == 0


def test_a_get_takes_a_tag_like_any_delivery(channel, outlet):
    channel.deliver_got(run(1), None, 7)
    channel.deliver_got(run(1), "queue", 6)
    first, second = outlet.events()
    assert (first.class_id, first.method_id) == (60, 71)
    assert second.content[:3] == b"\x02\0\x03"
    assert channel.acknowledge(2, 2, False) == [("queue", 100, 100)]


def test_acknowledgements_in_a_row_stop_at_the_first_unknown_tag(channel):
    channel.deliver(b"a", run(3), "queue")
    assert channel.acknowledge(2, 9, False) == [("queue", 101, 102)]
    with pytest.raises(ChannelException, match="unknown delivery tag 4"):
        channel.acknowledge(4, 9, False)


def test_a_client_that_can_hear_it_is_told_of_a_consumers_end(channel, outlet):
    channel.consumer_tags.add("c")
    channel.cancel_consumer("c")
    assert outlet.events()[0].payload == b"\1c\1"
    assert not channel.consumer_tags
    outlet.capabilities = frozenset()
    channel.cancel_consumer("c")
    assert not outlet.sent


def test_a_limit_for_new_consumers_lifts_that_of_the_channel(channel):
    channel.prefetch(BasicQos(prefetch_count=5, is_global=True))
    assert (channel.prefetch_count_global, channel.prefetch_count_new_consumers) == (5, 0)
    channel.prefetch(BasicQos(prefetch_count=7))
    assert (channel.prefetch_count_global, channel.prefetch_count_new_consumers) == (0, 7)


def test_consumers_wait_for_room_on_the_channel(channel):
    consumer = Consumer()
    channel.prefetch(BasicQos(prefetch_count=2, is_global=True))
    channel.outstanding = 2
    channel.starved[consumer] = None
    channel.wake_starved()
    assert not consumer.woken
    channel.outstanding = 1
    channel.wake_starved()
    assert consumer.woken == 1
    assert not channel.starved


def test_room_on_the_channel_goes_round(channel):
    served = []

    class Hungry:
        def wake(self):
            served.append(self)
            channel.outstanding += 1
            channel.starved[self] = None

    one, two, three = Hungry(), Hungry(), Hungry()
    channel.prefetch(BasicQos(prefetch_count=1, is_global=True))
    channel.starved = dict.fromkeys((one, two, three))
    for _ in range(4):
        channel.outstanding = 0
        channel.wake_starved()
    assert served == [one, two, three, one]


def test_confirms_are_written_at_the_end_of_the_turn(channel, outlet):
    assert channel.open_pending(1) is None
    channel.select_confirms()
    channel.select_confirms()
    pending = channel.open_pending(10)
    pending.missing = 1
    assert channel.unconfirmed_count == 10
    channel.flush()
    assert outlet.events() == []
    pending.answer()
    assert channel in outlet.confirming
    channel.flush()
    (ack,) = outlet.events()
    assert (ack.last_tag, ack.multiple) == (10, True)


def test_unroutable_publishes_are_confirmed_behind_their_return(channel, outlet):
    channel.select_confirms()
    channel.open_pending(2)
    channel.returned(312, "NO_ROUTE", b"\0\0\0\1k\1", run(2).contents)
    channel.flush()
    one, two, ack = outlet.events()
    assert one.payload == two.payload == b"\1\x38\x08NO_ROUTE\0\1k"
    assert ack.last_tag == 2


def test_a_closed_channel_says_nothing(channel, outlet):
    channel.select_confirms()
    pending = channel.open_pending(1)
    pending.missing = 1
    channel.close(closing=True)
    pending.answer()
    channel.deliver(b"a", run(1), "queue")
    channel.flush()
    assert not outlet.sent
    assert channel.state == "closing"


def test_a_transaction_keeps_publishes_and_answers_back(channel):
    channel.select_transactions()
    channel.deliver(b"a", run(4), "queue")
    assert channel.acknowledge(1, 2, False) == []
    assert channel.acknowledge(3, 3, False, "reject") == []
    channel.transaction.publish(Publish(3, b"", Traits(), [b"x"]))
    assert channel.unacked_count == 1
    channel.rollback()
    assert channel.unacked_count == 4
    assert channel.transaction.publishes == []

    channel.acknowledge(0, 2, True)
    line = ConfirmLine(3, lambda: None)
    transaction = channel.begin_commit(line)
    assert [run.settled for run in transaction.answered] == [("queue", 100, 101)]
    pending = channel.open_pending(1)
    pending.missing = 1
    assert not line.complete
    pending.refuse(0, 1)
    pending.answer()
    assert line.complete
    assert line.refused
    channel.end_commit()
    assert channel.open_pending(1) is None


def test_a_transaction_has_a_size(channel, monkeypatch):
    monkeypatch.setattr("broker.amqp.transactions.TRANSACTION_BYTES_MAX", 10)
    channel.select_transactions()
    with pytest.raises(ChannelException, match="larger than max size"):
        channel.transaction.publish(Publish(3, b"", Traits(), [b"x" * 11]))


def test_confirms_and_transactions_do_not_mix(channel):
    with pytest.raises(ChannelException, match="channel is not transactional"):
        channel.rollback()
    channel.select_confirms()
    with pytest.raises(ChannelException, match="cannot switch from confirm to tx mode"):
        channel.select_transactions()
    other = Channel(4, Outlet())
    other.select_transactions()
    with pytest.raises(ChannelException, match="cannot switch from tx to confirm mode"):
        other.select_confirms()
