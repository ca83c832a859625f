"""A limit on a whole channel whose consumers read queues of other nodes."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.wire import basic_methods as basic
from broker.wire.content import body_of
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from tests.vhosts.halls import open_cluster


@asynccontextmanager
async def limited(count, queues=("a", "b", "c"), *, mirrored=False, size=2, after=False):
    """A client on n1 that may hold `count` messages of queues on n2, and one on n2 that fills them."""
    async with open_cluster(size) as cluster:
        if mirrored:
            cluster.mirror()
        there = await cluster.nodes["n2"].client()
        here = await cluster.nodes["n1"].client()
        limit = basic.BasicQos(prefetch_count=count, is_global=True)
        if not after:
            await here.ask(1, limit, basic.BasicQosOk)
        for queue in queues:
            await there.ask(1, QueueDeclare(queue=queue), QueueDeclareOk)
            await here.ask(1, basic.BasicConsume(queue=queue), basic.BasicConsumeOk)
        if after:
            await here.ask(1, limit, basic.BasicQosOk)
        await trio.sleep(0.1)  # what was said to n2 is on its way
        yield cluster, here, there


def fill(client, queues, count):
    for i in range(count):
        for queue in queues:
            client.connection.publish(1, "", queue, f"{queue}{i}".encode())


async def held(client, *, seconds=0.5):
    """All that comes within this time."""
    found = []
    client.patience_s = seconds
    try:
        while True:
            found += await client.deliveries(1)
    except trio.TooSlowError:
        client.patience_s = 5.0
    return found


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("count", [1, 4])
async def test_it_holds_and_nothing_stays_behind(count, mirrored, autojump_clock):
    async with limited(count, mirrored=mirrored) as (_, here, there):
        fill(there, "abc", 6)
        await there.flush()
        got = []
        while len(got) < 18:
            found = await held(here)
            assert 0 < len(found) <= count
            got += [body_of(content).decode() for _, content in found]
            here.connection.call(1, basic.BasicAck(found[-1][0], multiple=True))
        for queue in "abc":
            assert [body for body in got if body[0] == queue] == [f"{queue}{i}" for i in range(6)]


async def test_consumers_without_messages_do_not_keep_the_room(autojump_clock):
    async with limited(1) as (_, here, there):
        fill(there, "c", 3)
        await there.flush()
        for i in range(3):
            ((tag, content),) = await held(here)
            assert body_of(content) == b"c%d" % i
            here.connection.call(1, basic.BasicAck(tag))
        fill(there, "a", 1)
        await there.flush()
        ((_, content),) = await held(here)
        assert body_of(content) == b"a0"


async def test_queues_take_turns(autojump_clock):
    async with limited(1) as (_, here, there):
        fill(there, "abc", 4)
        await there.flush()
        order = ""
        for _ in range(12):
            ((tag, content),) = await held(here, seconds=0.1)
            order += body_of(content)[:1].decode()
            here.connection.call(1, basic.BasicAck(tag))
        assert {order[at : at + 3] for at in (0, 3, 6, 9)} <= {"abc", "acb", "bac", "bca", "cab", "cba"}


async def test_a_limit_holds_for_those_who_consume_already(autojump_clock):
    async with limited(2, after=True) as (_, here, there):
        fill(there, "abc", 3)
        await there.flush()
        found = await held(here)
        assert len(found) == 2
        await here.ask(1, basic.BasicQos(prefetch_count=0, is_global=True), basic.BasicQosOk)
        assert len(await held(here)) == 7


async def test_a_cancelled_consumer_leaves_its_room_to_the_others(autojump_clock):
    async with limited(1, queues=()) as (_, here, there):
        for queue in "ab":
            await there.ask(1, QueueDeclare(queue=queue), QueueDeclareOk)
            await here.ask(1, basic.BasicConsume(queue=queue, consumer_tag=queue), basic.BasicConsumeOk)
        await here.ask(1, basic.BasicCancel(consumer_tag="a"), basic.BasicCancelOk)
        fill(there, "ab", 1)
        await there.flush()
        ((_, content),) = await held(here)
        assert body_of(content) == b"b0"


async def test_a_master_that_dies_takes_no_room_with_it(autojump_clock):
    async with limited(1, size=3, mirrored=True) as (cluster, here, _):
        await cluster.until_in_sync("a", "n1", "n2", "n3")
        await cluster.until_in_sync("b", "n1", "n2", "n3")
        cluster.kill("n2")
        await trio.sleep(1)  # what is published without confirms must find its new master
        n3 = await cluster.nodes["n3"].client()
        fill(n3, "ab", 2)
        await n3.flush()
        got = []
        with trio.fail_after(10):
            while len(got) < 4:
                for tag, content in await held(here):
                    got.append(body_of(content))
                    here.connection.call(1, basic.BasicAck(tag))
        assert sorted(got) == [b"a0", b"a1", b"b0", b"b1"]


@pytest.mark.parametrize("mirrored", [False, True])
async def test_who_need_not_answer_stops_at_the_limit_of_others(mirrored, autojump_clock):
    async with limited(2, queues=("a",), mirrored=mirrored) as (_, here, there):
        await there.ask(1, QueueDeclare(queue="b"), QueueDeclareOk)
        await here.ask(1, basic.BasicConsume(queue="b", no_ack=True), basic.BasicConsumeOk)
        fill(there, "b", 3)
        await there.flush()
        assert len(await held(here)) == 3
        fill(there, "a", 3)
        await there.flush()
        tags = [tag for tag, _ in await held(here)]
        assert len(tags) == 2
        fill(there, "b", 3)
        await there.flush()
        assert await held(here) == []
        here.connection.call(1, basic.BasicAck(tags[-1], multiple=True))
        await here.flush()
        assert sorted(body_of(body)[:1] for _, body in await held(here)) == [b"a", b"b", b"b", b"b"]
