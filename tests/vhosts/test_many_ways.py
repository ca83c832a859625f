"""Publishes that go to many queues in turn, through the door: as if each had come alone."""

from contextlib import asynccontextmanager

import trio.testing

from broker.wire import basic_methods as basic
from broker.wire.content import body_of
from broker.wire.events import Acks
from broker.wire.methods import (
    ChannelClose,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
)
from tests.vhosts.door import open_house

QUEUES = ("a", "b", "c")


@asynccontextmanager
async def house_with_queues():
    async with open_house() as house:
        client = await house.client()
        for queue in QUEUES:
            await client.ask(1, QueueDeclare(queue=queue, durable=True), QueueDeclareOk)
        yield house, client


def publish(client, *messages):
    for queue, body in messages:
        client.connection.publish(1, "", queue, body)


def stored(house, queue):
    runs = house.vhost.handles[queue].local.queue.living()
    return [body_of(content) for run in runs for content in run.contents]


async def answered(client, upto):
    """Wait until everything is; what was refused of it."""
    confirmed, refused = set(), []
    while len(confirmed) + len(refused) < upto:
        event = await client.listen()
        if isinstance(event[1], QueueDeleteOk):
            continue
        if isinstance(event[1], basic.BasicNack):
            first = 1 + max((*confirmed, *refused), default=0) if event[1].multiple else event[1].delivery_tag
            refused += range(first, event[1].delivery_tag + 1)
        else:
            assert isinstance(event[1], Acks)
            first = 1 if event[1].multiple else event[1].first_tag
            confirmed |= {*range(first, event[1].last_tag + 1)} - {*refused}
    return refused


async def test_each_queue_gets_its_messages_in_order_and_all_are_confirmed(autojump_clock):
    async with house_with_queues() as (house, client):
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        publish(client, *((QUEUES[number % 3], b"%d" % number) for number in range(300)))
        assert await answered(client, 300) == []
        assert [stored(house, queue) for queue in QUEUES] == [[b"%d" % n for n in range(k, 300, 3)] for k in range(3)]


async def test_what_stands_before_an_error_is_published_and_nothing_behind_it(autojump_clock):
    async with house_with_queues() as (house, client):
        publish(client, ("a", b"1"), ("b", b"2"), ("a", b"3"))
        client.connection.publish(1, "no such exchange", "a", b"4")
        publish(client, ("a", b"5"), ("b", b"6"), ("c", b"7"))
        close = await client.expect(ChannelClose)
        assert close.reply_code == 404
        assert [stored(house, queue) for queue in QUEUES] == [[b"1", b"3"], [b"2"], []]


async def test_a_transaction_keeps_them_until_its_commit(autojump_clock):
    async with house_with_queues() as (house, client):
        await client.ask(1, basic.TxSelect(), basic.TxSelectOk)
        publish(client, ("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"))
        await client.ask(1, QueueDeclare(queue="a", passive=True), QueueDeclareOk)
        assert [stored(house, queue) for queue in QUEUES] == [[], [], []]
        await client.ask(1, basic.TxCommit(), basic.TxCommitOk)
        assert [stored(house, queue) for queue in QUEUES] == [[b"1", b"3"], [b"2"], [b"4"]]


async def test_they_wait_at_a_closed_gate(autojump_clock):
    async with house_with_queues() as (house, client):
        house.door.gate.close("disk")
        publish(client, ("a", b"1"), ("b", b"2"), ("a", b"3"))
        await client.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert [stored(house, queue) for queue in QUEUES] == [[], [], []]
        house.door.gate.open("disk")
        await client.ask(1, QueueDeclare(queue="a", passive=True), QueueDeclareOk)
        assert [stored(house, queue) for queue in QUEUES] == [[b"1", b"3"], [b"2"], []]


async def test_a_queue_that_is_full_refuses_its_own_and_no_others(autojump_clock):
    async with house_with_queues() as (house, client):
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        await client.ask(1, QueueDeclare(queue="full", durable=True, arguments=full), QueueDeclareOk)
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        publish(client, ("full", b"1"), ("a", b"2"), ("full", b"3"), ("b", b"4"), ("full", b"5"), ("a", b"6"))
        assert await answered(client, 6) == [3, 5]
        assert [stored(house, queue) for queue in ("full", *QUEUES)] == [[b"1"], [b"2", b"6"], [b"4"], []]


async def test_what_went_to_a_queue_that_was_deleted_meanwhile_is_confirmed(autojump_clock):
    async with house_with_queues() as (house, client):
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        publish(client, ("a", b"1"), ("b", b"2"), ("a", b"3"))
        client.connection.call(1, QueueDelete(queue="a"))
        publish(client, ("a", b"4"), ("b", b"5"), ("a", b"6"))
        assert await answered(client, 6) == []
        assert stored(house, "b") == [b"2", b"5"]
