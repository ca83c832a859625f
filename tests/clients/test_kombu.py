"""kombu, the messaging library under Celery: also used here as Celery uses it, for tasks, retries and results."""

import socket
import uuid

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.mixins import ConsumerProducerMixin

TASKS = Exchange("kombu.tasks", "direct")
DEAD = Exchange("kombu.dead", "fanout")


@pytest.fixture
def connect():
    """connect(url) -> a connection that is closed afterwards."""
    connections = []

    def open_connection(url):
        connections.append(Connection(url.replace("amqp://", "pyamqp://", 1)))
        return connections[-1]

    yield open_connection
    for connection in connections:
        connection.release()


def drain(connection, received, count):
    """Let the connection work until so many messages have come."""
    while len(received) < count:
        connection.drain_events(timeout=10)


def test_messages_with_any_payload_go_from_node_to_node(connect, roads):
    for here, there in roads:
        ours, theirs = connect(here), connect(there)
        exchange = Exchange("kombu.media", "topic", durable=False, auto_delete=True)
        queue = Queue("kombu.video", exchange, routing_key="video.#", durable=False, auto_delete=True)
        received = []

        def take(body, message, received=received):
            received.append((body, message.delivery_info["routing_key"]))
            message.ack()

        with Consumer(theirs.channel(), [queue], callbacks=[take], accept=["json"]):
            producer = Producer(ours.channel(), exchange, serializer="json")
            for number in range(20):
                producer.publish({"number": number}, routing_key=f"video.{number}", retry=True)
            drain(theirs, received, 20)
        assert received == [({"number": number}, f"video.{number}") for number in range(20)]


def test_the_simple_queue(connect, roads):
    for here, there in roads:
        putting, getting = connect(here).SimpleQueue("kombu.simple"), connect(there).SimpleQueue("kombu.simple")
        for number in range(5):
            putting.put({"number": number})
        got = []
        for _ in range(5):
            message = getting.get(timeout=10)
            got.append(message.payload["number"])
            message.ack()
        assert got == list(range(5))
        with pytest.raises(getting.Empty):
            getting.get_nowait()
        putting.close()
        getting.close()
        Queue("kombu.simple")(connect(here).channel()).delete()


class Worker(ConsumerProducerMixin):
    """What a Celery worker does: few tasks ahead, acknowledged when done, retried, results to a reply queue."""

    def __init__(self, connection, queue, until):
        self.connection = connection
        self.queue = queue
        self.until = until
        self.done = 0

    def get_consumers(self, consumer_class, channel):
        return [consumer_class([self.queue], callbacks=[self.on_task], accept=["json"], prefetch_count=4)]

    def on_task(self, task, message):
        args, _, _ = task
        headers = message.headers
        answer_to = {name: message.properties[name] for name in ("reply_to", "correlation_id")}
        if headers["task"] == "fail" and headers["retries"] < 2:
            again = {**headers, "retries": headers["retries"] + 1}
            self.producer.publish(task, exchange=TASKS, routing_key=self.queue.routing_key, headers=again, **answer_to)
            message.ack()
            return
        if headers["task"] == "poison":
            message.reject()
        else:
            result = {"id": headers["id"], "result": sum(args), "retries": headers["retries"]}
            self.producer.publish(
                result, exchange="", routing_key=answer_to["reply_to"], correlation_id=answer_to["correlation_id"]
            )
            message.ack()
        self.done += 1
        self.should_stop = self.done == self.until


def test_a_task_queue_with_retries_results_and_dead_letters(connect, roads):
    for here, there in roads:
        tasks = Queue("kombu.tasks", TASKS, "kombu.tasks", queue_arguments={"x-dead-letter-exchange": DEAD.name})
        dead = Queue("kombu.dead", DEAD)
        replies = Queue(f"kombu.replies.{uuid.uuid4()}", durable=False, exclusive=True)
        client = connect(here)
        channel = client.channel()
        for entity in (DEAD, dead, TASKS, tasks, replies):
            entity.maybe_bind(channel)
            entity.declare()
        producer = Producer(channel, TASKS, serializer="json")
        for name, args in (("add", [1, 2]), ("fail", [3]), ("poison", []), ("add", [4, 5])):
            ident = str(uuid.uuid4())
            producer.publish(
                (args, {}, {"callbacks": None}),
                routing_key="kombu.tasks",
                headers={"lang": "py", "task": name, "id": ident, "retries": 0},
                reply_to=replies.name,
                correlation_id=ident,
                delivery_mode="persistent",
            )
        Worker(connect(there), tasks, until=4).run()
        results = []

        def keep(body, message, results=results):
            results.append(body)

        with Consumer(channel, [replies], callbacks=[keep], no_ack=True):
            drain(client, results, 3)
        assert sorted((one["result"], one["retries"]) for one in results) == [(3, 0), (3, 2), (9, 0)]
        buried = dead(channel).get()
        assert buried.headers["x-first-death-reason"] == "rejected"
        assert buried.headers["x-death"][0]["queue"] == "kombu.tasks"
        buried.ack()
        for entity in (tasks, dead):
            entity(channel).delete()


def test_heartbeats_keep_a_quiet_connection(connect, amqp_urls):
    for url in amqp_urls:
        connection = connect(url)
        connection.heartbeat = 2
        connection.connect()
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
        connection.heartbeat_check()
        assert connection.connected
