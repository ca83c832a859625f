"""What a limit on the whole channel counts, and whose turn it is when there is room again: through the door."""

from contextlib import asynccontextmanager

from broker.wire import basic_methods as basic
from broker.wire.content import body_of
from broker.wire.events import Content
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from tests.vhosts.door import open_house


@asynccontextmanager
async def limited(queues, *, each, no_ack=()):
    """A client that consumes from all queues on channel 1, which may hold one delivery, and has published to each."""
    async with open_house() as house:
        client = await house.client(channels=(1, 2))
        await client.ask(1, basic.BasicQos(prefetch_count=1, is_global=True), basic.BasicQosOk)
        for queue in queues:
            await client.ask(2, QueueDeclare(queue=queue), QueueDeclareOk)
            consume = basic.BasicConsume(queue=queue, no_ack=queue in no_ack)
            await client.ask(1, consume, basic.BasicConsumeOk)
        for _ in range(each):
            for queue in queues:
                client.connection.publish(2, "", queue, queue.encode())
        yield client


async def nothing_more(client):
    """A round trip, and no delivery before its answer."""
    await client.ask(1, QueueDeclare(queue="a"), QueueDeclareOk)


async def test_every_queue_has_its_turn(autojump_clock):
    async with limited(("a", "b", "c"), each=4) as client:
        got = []
        for _ in range(12):
            ((tag, body),) = await client.deliveries(1)
            await nothing_more(client)
            got.append(body_of(body))
            client.connection.call(1, basic.BasicAck(tag))
        assert got == [b"a", b"b", b"c"] * 4


async def test_gets_do_not_count(autojump_clock):
    async with limited(("a",), each=3) as client:
        ((tag, _),) = await client.deliveries(1)
        client.connection.call(1, basic.BasicGet(queue="a"))
        await client.expect(Content)
        client.connection.call(1, basic.BasicAck(tag))
        assert len(await client.deliveries(1)) == 1


async def test_an_answer_counts_when_it_is_committed(autojump_clock):
    async with limited(("a",), each=2) as client:
        ((tag, _),) = await client.deliveries(1)
        await client.ask(1, basic.TxSelect(), basic.TxSelectOk)
        client.connection.call(1, basic.BasicAck(tag))
        await client.ask(1, basic.TxRollback(), basic.TxRollbackOk)
        client.connection.call(1, basic.BasicAck(tag))
        await nothing_more(client)
        client.connection.call(1, basic.TxCommit())
        assert len(await client.deliveries(1)) == 1


async def test_who_need_not_answer_waits_as_well(autojump_clock):
    async with limited(("a", "b"), each=2, no_ack=("b",)) as client:
        ((tag, body),) = await client.deliveries(1)
        assert body_of(body) == b"a"
        await nothing_more(client)
        client.connection.call(1, basic.BasicAck(tag))
        assert [body_of(body) for _, body in await client.deliveries(3)] == [b"b", b"b", b"a"]
