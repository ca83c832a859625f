"""Messages that became too old behind a long-lived one: whoever asks for them is not given them."""

from contextlib import asynccontextmanager

import trio

from broker.wire import basic_methods as basic
from broker.wire.content import body_of
from broker.wire.events import Content
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from broker.wire.properties import Properties
from tests.vhosts.door import open_house


@asynccontextmanager
async def aged():
    """A client, and a queue with three messages, of which the second should have gone."""
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        for body, expiration in ((b"a", None), (b"b", "100"), (b"c", None)):
            client.connection.publish(1, "", "q", body, Properties(expiration=expiration))
        await client.flush()
        await trio.sleep(0.2)
        yield client


async def test_a_consumer(autojump_clock):
    async with aged() as client:
        await client.ask(1, basic.BasicConsume(queue="q"), basic.BasicConsumeOk)
        assert [body_of(content) for _, content in await client.deliveries(2)] == [b"a", b"c"]


async def test_a_consumer_whose_window_opens(autojump_clock):
    async with aged() as client:
        await client.ask(1, basic.BasicQos(prefetch_count=1), basic.BasicQosOk)
        await client.ask(1, basic.BasicConsume(queue="q"), basic.BasicConsumeOk)
        ((tag, content),) = await client.deliveries(1)
        assert body_of(content) == b"a"
        client.connection.call(1, basic.BasicAck(tag))
        assert [body_of(content) for _, content in await client.deliveries(1)] == [b"c"]


async def test_basic_get(autojump_clock):
    async with aged() as client:
        got = []
        for _ in range(2):
            client.connection.call(1, basic.BasicGet(queue="q"))
            got.append(body_of((await client.expect(Content)).content))
        assert got == [b"a", b"c"]


async def test_what_comes_back_too_late(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
        await client.ask(1, basic.BasicConsume(queue="q"), basic.BasicConsumeOk)
        client.connection.publish(1, "", "q", b"a", Properties(expiration="100"))
        ((tag, _),) = await client.deliveries(1)
        await trio.sleep(0.2)
        client.connection.call(1, basic.BasicNack(tag, requeue=True))
        client.connection.publish(1, "", "q", b"b", Properties())
        assert [body_of(content) for _, content in await client.deliveries(1)] == [b"b"]
