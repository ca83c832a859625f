"""pika, the blocking client that most Python programs use."""

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, UnroutableError

BODIES = [b"message %d" % number for number in range(40)]


@pytest.fixture
def connect():
    """connect(url) -> a channel; everything is closed afterwards."""
    connections = []

    def open_channel(url):
        connections.append(pika.BlockingConnection(pika.URLParameters(url)))
        return connections[-1].channel()

    yield open_channel
    for connection in connections:
        connection.close()


def test_what_is_published_confirmed_at_one_node_is_consumed_in_order_at_another(connect, roads):
    for here, there in roads:
        ours = connect(here)
        ours.queue_declare("pika.orders", durable=True)
        ours.confirm_delivery()
        for body in BODIES:
            ours.basic_publish("", "pika.orders", body, pika.BasicProperties(delivery_mode=2), mandatory=True)
        theirs = connect(there)
        theirs.basic_qos(prefetch_count=10)
        got = []
        for method, _, body in theirs.consume("pika.orders", inactivity_timeout=10):
            got.append(body)
            theirs.basic_ack(method.delivery_tag)
            if len(got) == len(BODIES):
                break
        theirs.cancel()
        assert got == BODIES
        assert theirs.queue_delete("pika.orders").method.message_count == 0


def test_exchanges_route_wherever_they_were_declared(connect, roads):
    for here, there in roads:
        ours, theirs = connect(here), connect(there)
        ours.exchange_declare("pika.topics", "topic")
        queue = theirs.queue_declare("", exclusive=True).method.queue
        theirs.queue_bind(queue, "pika.topics", "stock.*.nyse")
        ours.confirm_delivery()
        ours.basic_publish("pika.topics", "stock.ibm.nyse", b"here", mandatory=True)
        with pytest.raises(UnroutableError):
            ours.basic_publish("pika.topics", "stock.ibm.nasdaq", b"nowhere", mandatory=True)
        method, _, body = theirs.basic_get(queue, auto_ack=True)
        assert (method.routing_key, body) == ("stock.ibm.nyse", b"here")
        ours.exchange_delete("pika.topics")


def test_a_refused_message_comes_again_and_says_so(connect, roads):
    for here, there in roads:
        ours, theirs = connect(here), connect(there)
        ours.queue_declare("pika.again")
        ours.confirm_delivery()
        ours.basic_publish("", "pika.again", b"once more", mandatory=True)
        for redelivered, requeue in ((False, True), (True, False)):
            method, _, body = theirs.basic_get("pika.again")
            assert (method.redelivered, body) == (redelivered, b"once more")
            theirs.basic_nack(method.delivery_tag, requeue=requeue)
        assert theirs.basic_get("pika.again") == (None, None, None)
        ours.queue_delete("pika.again")


def test_errors_end_the_channel_with_their_reason_and_not_the_connection(connect, amqp_urls):
    for url in amqp_urls:
        channel = connect(url)
        with pytest.raises(ChannelClosedByBroker) as caught:
            channel.queue_declare("pika.missing", passive=True)
        assert caught.value.reply_code == 404
        assert caught.value.reply_text == "NOT_FOUND - no queue 'pika.missing' in vhost '/'"
        assert channel.connection.channel().is_open
