"""Calls that are answered without a queue: pika and kombu on both ends, caller and server on every pair of nodes."""

import threading

import pika
import pytest
from kombu import Connection
from kombu import Queue as KombuQueue
from pika.exceptions import ChannelClosedByBroker

pytestmark = pytest.mark.slow

REPLY_TO = "amq.rabbitmq.reply-to"


class Server(threading.Thread):
    """Doubles what it is asked, on a connection of its own, until it is asked to stop."""

    def __init__(self, url, queue):
        super().__init__(daemon=True)
        self._channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
        self._channel.queue_declare(queue, auto_delete=True)
        self._channel.basic_consume(queue, self._answer, auto_ack=True)

    def run(self):
        self._channel.start_consuming()
        self._channel.connection.close()

    def _answer(self, channel, method, properties, body):
        if body == b"stop":
            channel.stop_consuming()
            return
        about = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, body * 2, about)


@pytest.fixture
def serve():
    """serve(url, queue) starts a server; it is stopped afterwards."""
    started = []

    def start(url, queue):
        server = Server(url, queue)
        started.append((server, url, queue))
        server.start()

    yield start
    for server, url, queue in started:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().basic_publish("", queue, b"stop")
        server.join(10)
        assert not server.is_alive()


def test_calls_with_pika(serve, roads):
    for number, (here, there) in enumerate(roads):
        queue = f"replies.pika.{number}"
        serve(there, queue)
        with pika.BlockingConnection(pika.URLParameters(here)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            answers = []
            channel.basic_consume(
                REPLY_TO, lambda c, m, p, body, answers=answers: answers.append((p.correlation_id, body)), auto_ack=True
            )
            for call in range(50):
                about = pika.BasicProperties(reply_to=REPLY_TO, correlation_id=str(call))
                channel.basic_publish("", queue, b"%d" % call, about, mandatory=True)
            while len(answers) < 50:
                connection.process_data_events(10)
            assert answers == [(str(call), b"%d" % call * 2) for call in range(50)]


def test_calls_with_kombu(serve, roads):
    for number, (here, there) in enumerate(roads):
        queue = f"replies.kombu.{number}"
        serve(there, queue)
        with Connection(here.replace("amqp://", "pyamqp://", 1), transport_options={"confirm_publish": True}) as ours:
            channel = ours.channel()
            answers = []
            consumer = ours.Consumer(
                KombuQueue(REPLY_TO, no_ack=True, no_declare=True),
                channel=channel,
                on_message=lambda message, answers=answers: answers.append(bytes(message.body)),
                accept=["application/data"],
            )
            producer = ours.Producer(channel)
            with consumer:
                producer.publish(b"abc", routing_key=queue, reply_to=REPLY_TO, correlation_id="7", retry=True)
                while not answers:
                    ours.drain_events(timeout=10)
            assert answers == [b"abcabc"]


def test_a_server_can_ask_whether_the_caller_is_still_there(serve, amqp_urls):
    serve(amqp_urls[1], "replies.asked")
    with (
        pika.BlockingConnection(pika.URLParameters(amqp_urls[0])) as caller,
        pika.BlockingConnection(pika.URLParameters(amqp_urls[2])) as onlooker,
    ):
        channel = caller.channel()
        channel.queue_declare("replies.seen", exclusive=True)
        tag = channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)
        channel.basic_publish("", "replies.seen", b"?", pika.BasicProperties(reply_to=REPLY_TO))
        _, properties, _ = channel.basic_get("replies.seen", auto_ack=True)
        theirs = onlooker.channel()
        assert theirs.queue_declare(properties.reply_to, passive=True).method.consumer_count == 1
        channel.basic_cancel(tag)
        with pytest.raises(ChannelClosedByBroker, match=r"no queue 'amq\.rabbitmq\.reply-to"):
            theirs.queue_declare(properties.reply_to, passive=True)
