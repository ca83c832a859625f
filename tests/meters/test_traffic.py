"""What channels count is there for good, whenever and however often they close."""

from broker.meters.traffic import Flow, Traffic


class Channel:
    consumer_tags = ("c",)

    def __init__(self):
        self.flow = Flow()


def test_nothing_is_lost_nor_counted_twice_when_channels_close():
    traffic, one, other = Traffic(), Channel(), Channel()
    traffic.opened(one)
    traffic.opened(other)
    for channel in one, other:
        channel.flow.received += 2
        channel.flow.lost(1, mandatory=True)
        channel.flow.deliveries("quorum").got(True, auto_ack=True)
    assert (traffic.publishers, traffic.consumers) == (2, 2)
    traffic.closed(one)
    one.flow.confirmed += 1  # on its way out
    traffic.closed(one)
    assert (traffic.publishers, traffic.consumers) == (1, 1)
    assert (traffic.channels_opened, traffic.channels_closed) == (2, 1)
    for _ in range(2):
        flow = traffic.flow
        assert (flow.received, flow.unroutable_returned, flow.unroutable_dropped, flow.confirmed) == (4, 2, 0, 1)
        assert (flow.deliveries("quorum").delivered, flow.deliveries("quorum").redelivered) == (2, 2)
        assert flow.deliveries("classic").delivered == 0


def test_what_was_got_counts_by_how_it_was_asked_for():
    deliveries = Flow().deliveries("classic")
    deliveries.got(None, auto_ack=True)
    deliveries.got(False, auto_ack=False)
    assert (deliveries.get_empty, deliveries.got_manual_ack, deliveries.got_auto_ack) == (1, 1, 0)
