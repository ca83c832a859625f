"""What clients' test suites have found: the door with the real queues behind it."""

import pytest
import trio

from broker.wire.basic_methods import (
    BasicAck,
    BasicCancel,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicQos,
    BasicQosOk,
    ConfirmSelect,
    ConfirmSelectOk,
)
from broker.wire.content import body_of
from broker.wire.events import Acks
from broker.wire.methods import (
    ExchangeDeclare,
    ExchangeDeclareOk,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)
from tests.vhosts.door import open_house


async def test_an_ack_that_makes_room_is_not_taken_for_two(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        client.connection.publish(1, "", "q", b"one")
        client.connection.publish(1, "", "q", b"two")
        await client.ask(1, BasicQos(prefetch_count=1), BasicQosOk)
        await client.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        for tag, body in ((1, b"one"), (2, b"two")):
            ((got_tag, content),) = await client.deliveries(1)
            assert (got_tag, body_of(content)) == (tag, body)
            client.connection.call(1, BasicAck(tag))
        answer = await client.ask(1, QueueDeclare(queue="q", passive=True), QueueDeclareOk)
        assert answer.message_count == 0


async def test_who_deletes_a_queue_hears_that_first_and_then_of_its_consumers_end(autojump_clock):
    async with open_house() as house:
        client, other = await house.client(), await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        for talker in (client, other):
            await talker.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        await client.ask(1, QueueDelete(queue="q"), QueueDeleteOk)
        for talker in (client, other):
            assert (await talker.expect(BasicCancel)).consumer_tag == "c"


NAMING = [
    (QueueDeclare(queue="q", passive=True), QueueDeclareOk),
    (QueueDelete(queue="nothing of this name"), QueueDeleteOk),
    (QueuePurge(queue="q"), QueuePurgeOk),
    (QueueBind(queue="q", exchange="amq.direct"), QueueBindOk),
    (QueueUnbind(queue="q", exchange="amq.direct"), QueueUnbindOk),
    (ExchangeDeclare(exchange="amq.direct", passive=True), ExchangeDeclareOk),
    (BasicConsume(queue="q"), BasicConsumeOk),
    (BasicGet(queue="q"), BasicGetEmpty),
]


class Asleep:
    """A node without a lease, which has not yet heard the `news`."""

    def __init__(self, house):
        self.news = trio.Event()
        house.hall.tree.lease_valid = lambda: False
        house.hall.tree.sync = self.news.wait


@pytest.mark.parametrize(("question", "answer"), NAMING, ids=lambda part: getattr(part, "__name__", ""))
async def test_a_node_that_has_slept_says_nothing_of_names_before_it_is_awake(autojump_clock, question, answer):
    """What was declared meanwhile it does not know, and would say that it is not there, or deleted."""
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        asleep = Asleep(house)
        answered = []

        async def ask():
            await client.ask(1, question, answer)
            answered.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            assert not answered
            asleep.news.set()
        assert answered


async def test_publishers_wait_for_a_node_that_has_slept(autojump_clock):
    """What was bound meanwhile it does not know: it would find no queue, and say that all is well."""
    async with open_house() as house:
        client, elsewhere = await house.client(), await house.client()
        await elsewhere.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        await client.ask(1, ConfirmSelect(), ConfirmSelectOk)
        asleep = Asleep(house)
        client.connection.publish(1, "amq.direct", "k", b"hello")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.expect, Acks)
            await trio.sleep(1)
            bound = {"do": "bind", "vhost": "/", "source": "amq.direct", "destination_kind": "queue"}
            await house.hall.tree.propose({**bound, "destination": "q", "key": "k", "arguments": {}})
            asleep.news.set()
        answer = await client.ask(1, QueueDeclare(queue="q", passive=True), QueueDeclareOk)
        assert answer.message_count == 1
