"""What clients see of a queue that moves: between nodes that die, links that break and masters that change."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.vhosts import by_hand
from broker.wire import basic_methods as basic
from broker.wire.content import body_of
from broker.wire.events import Acks, Content
from broker.wire.methods import (
    ChannelClose,
    ChannelOpen,
    ChannelOpenOk,
    QueueBind,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
)
from broker.wire.properties import Properties
from tests.vhosts.halls import open_cluster

PERSISTENT = Properties(delivery_mode=2)
MIRRORED = {"ha-sync-mode": "automatic"}


@asynccontextmanager
async def clients(size=3, *, at=("n1", "n3"), queue=None, policy=MIRRORED):
    """A cluster, its queue `q` with the master on n1, and a client per named node."""
    async with open_cluster(size) as cluster:
        if policy:
            cluster.mirror(**policy)
        first = await cluster.nodes["n1"].client()
        await first.ask(1, queue or QueueDeclare(queue="q", durable=True), QueueDeclareOk)
        yield cluster, *[first if node == "n1" else await cluster.nodes[node].client() for node in at]


async def publish(client, *bodies):
    for body in bodies:
        client.connection.publish(1, "", "q", body.encode(), PERSISTENT)
    await client.flush()


async def confirming(client):
    await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)


async def confirmed(client, upto):
    """Read until everything up to this number was confirmed; what was refused."""
    refused = []
    while True:
        _, event = await client.listen()
        if isinstance(event, basic.BasicNack):
            refused.append(event.delivery_tag)
            last = event.delivery_tag
        else:
            assert isinstance(event, Acks)
            last = event.last_tag
        if last >= upto:
            return refused


async def consume(client, prefetch_count=0, **facts):
    if prefetch_count:
        await client.ask(1, basic.BasicQos(prefetch_count=prefetch_count), basic.BasicQosOk)
    await client.ask(1, basic.BasicConsume(queue="q", consumer_tag="c", **facts), basic.BasicConsumeOk)


async def bodies(client, count):
    return [body_of(content).decode() for _, content in await client.deliveries(count)]


async def get(client, *, no_ack=True):
    client.connection.call(1, basic.BasicGet(queue="q", no_ack=no_ack))
    got = await client.expect(Content)
    return body_of(got.content).decode()


async def message_count(client):
    return (await client.ask(1, QueueDeclare(queue="q", passive=True), QueueDeclareOk)).message_count


# ---------------------------------------------------------------------- a master elsewhere


async def test_a_window_is_kept_over_the_link(autojump_clock):
    async with clients() as (_, one, three):
        await publish(one, "a", "b", "c", "d", "e")
        await consume(three, prefetch_count=2)
        assert await bodies(three, 2) == ["a", "b"]
        await trio.sleep(1)
        assert await message_count(one) == 3
        three.connection.call(1, basic.BasicAck(2, multiple=True))
        assert await bodies(three, 2) == ["c", "d"]


async def test_answers_of_every_kind_reach_the_master(autojump_clock):
    async with clients() as (_, one, three):
        await publish(one, "a", "b", "c")
        await consume(three, prefetch_count=3)
        assert await bodies(three, 3) == ["a", "b", "c"]
        three.connection.call(1, basic.BasicNack(2, requeue=True))
        assert await bodies(three, 1) == ["b"]
        three.connection.call(1, basic.BasicReject(1, requeue=False))
        three.connection.call(1, basic.BasicAck(3))
        three.connection.call(1, basic.BasicAck(4))
        await three.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
        await trio.sleep(1)
        assert (await one.ask(1, QueueDelete(queue="q"), QueueDeleteOk)).message_count == 0


async def test_many_messages_without_acknowledgement_flow_on(autojump_clock):
    async with clients() as (_, one, three):
        await consume(three, no_ack=True)
        for start in range(0, 6000, 100):
            await publish(one, *map(str, range(start, start + 100)))
        assert await bodies(three, 6000) == [str(number) for number in range(6000)]


async def test_single_messages_are_fetched_from_anywhere(autojump_clock):
    async with clients() as (_, one, three):
        assert await three.ask(1, basic.BasicGet(queue="q"), basic.BasicGetEmpty)
        await publish(one, "a", "b")
        await trio.sleep(1)
        assert await get(three, no_ack=False) == "a"
        assert await get(three) == "b"
        three.connection.call(1, basic.BasicReject(1, requeue=True))
        assert await get(three) == "a"
        assert await message_count(one) == 0


@pytest.mark.parametrize("by_client", [True, False])
async def test_who_asked_a_master_that_died_is_given_it_by_the_next_one(autojump_clock, nursery, by_client):
    async with clients() as (cluster, one, three):
        await publish(one, "a")
        await cluster.until_in_sync("q", "n1", "n2", "n3")
        await trio.sleep(1)
        handle, got = cluster.nodes["n3"].handle("q"), []
        handle.remote.ready = False  # it has not answered yet

        async def ask():
            if by_client:
                got.append(await get(three, no_ack=False))
            else:
                got.append((await by_hand.get(handle, 1, keep=False))[0][0]["body"])

        nursery.start_soon(ask)
        await trio.sleep(1)
        cluster.kill("n1")
        await trio.sleep(3)
        assert got == ["a"]


async def test_purging_from_anywhere(autojump_clock):
    async with clients() as (_, one, three):
        await publish(one, "a", "b")
        await trio.sleep(1)
        assert (await three.ask(1, QueuePurge(queue="q"), QueuePurgeOk)).message_count == 2


async def test_an_exclusive_consumer_is_alone_in_the_cluster(autojump_clock):
    async with clients() as (_, one, three):
        await consume(one, exclusive=True)
        closed = await three.ask(1, basic.BasicConsume(queue="q"), ChannelClose)
        assert closed.reply_text == "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"


async def test_an_auto_delete_queue_ends_with_a_consumer_elsewhere(autojump_clock):
    declare = QueueDeclare(queue="q", auto_delete=True)
    for end in (basic.BasicCancel("c"), ChannelClose(200)):
        async with clients(queue=declare) as (cluster, _, three):
            await consume(three)
            three.connection.call(1, end)
            await three.flush()
            await cluster.until(lambda cluster=cluster: cluster.queue("q") is None)


async def test_what_a_full_queue_refuses_is_refused_to_publishers_elsewhere(autojump_clock):
    declare = QueueDeclare(queue="q", durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    async with clients(queue=declare) as (_, one, three):
        for client in (one, three):
            await confirming(client)
        await publish(three, "a", "b", "c")
        assert await confirmed(three, 3) == [3]
        await publish(one, "d")
        assert await confirmed(one, 1) == [1]


@pytest.mark.parametrize("declare", [QueueDeclare(queue="q"), QueueDeclare(queue="q", durable=True)])
async def test_every_publish_from_elsewhere_is_confirmed_whatever_the_queue(autojump_clock, declare):
    async with clients(queue=declare, policy=None) as (_, _, three):
        await confirming(three)
        for number in range(1, 6):
            await publish(three, str(number))
            assert await confirmed(three, number) == []
        assert await message_count(three) == 5


async def test_a_queue_that_is_deleted_cancels_consumers_and_answers_publishers_everywhere(autojump_clock):
    async with clients() as (cluster, one, three):
        await confirming(three)
        await consume(three)
        cluster.network.cut("n1", "n2")  # no confirm can come
        await publish(three, "a")
        assert await bodies(three, 1) == ["a"]
        await one.ask(1, QueueDelete(queue="q"), QueueDeleteOk)
        heard = [await three.listen(), await three.listen()]
        assert {type(event) for _, event in heard} == {basic.BasicCancel, Acks}


# ---------------------------------------------------------------------- failover


async def test_a_consumer_on_a_surviving_node_goes_on_and_sees_what_comes_again(autojump_clock):
    async with clients() as (cluster, one, three):
        await publish(one, *map(str, range(50)))
        await consume(three, prefetch_count=2)
        assert await bodies(three, 2) == ["0", "1"]
        three.connection.call(1, basic.BasicAck(1))
        await three.flush()
        await trio.sleep(1)
        cluster.kill("n1")
        flags = {}
        while "49" not in flags:
            _, event = await three.listen()
            for offset, content in enumerate(event.contents):
                flags[body_of(content).decode()] = event.redelivered
                three.connection.call(1, basic.BasicAck(event.first_tag + offset))
        assert list(map(int, sorted(flags, key=int))) == list(range(1, 50))
        assert flags["1"]
        assert not flags["49"], "nobody can have seen it"
        await trio.sleep(1)
        assert await message_count(three) == 0


async def test_who_wants_to_be_cancelled_by_a_failover_is(autojump_clock):
    async with clients() as (cluster, _, three):
        await consume(three, arguments={"x-cancel-on-ha-failover": True})
        cluster.kill("n1")
        assert (await three.expect(basic.BasicCancel)).consumer_tag == "c"
        await consume(three)


async def test_publishers_on_surviving_nodes_lose_and_repeat_nothing(autojump_clock):
    async with clients(at=("n1", "n2", "n3")) as (cluster, _, two, three):
        for client in (two, three):
            await confirming(client)
        for turn in range(10):
            await publish(two, *(f"two {10 * turn + number}" for number in range(10)))
            await publish(three, *(f"three {10 * turn + number}" for number in range(10)))
            if turn == 5:
                cluster.kill("n1")
        assert await confirmed(two, 100) == []
        assert await confirmed(three, 100) == []
        assert await message_count(two) == 200
        await consume(three, no_ack=True)
        found = await bodies(three, 200)
        for name in ("two", "three"):
            assert [body for body in found if body.startswith(name + " ")] == [f"{name} {n}" for n in range(100)]


async def test_a_get_waits_for_the_new_master(autojump_clock):
    async with clients() as (cluster, one, three):
        await publish(one, "a")
        await trio.sleep(1)
        cluster.kill("n1")
        assert await get(three) == "a"


async def test_a_dead_consumers_messages_return(autojump_clock):
    async with clients(at=("n1", "n3")) as (cluster, one, three):
        await publish(one, "a", "b")
        await consume(three)
        assert await bodies(three, 2) == ["a", "b"]
        cluster.kill("n3")
        await trio.sleep(1)
        assert await get(one) == "a"


async def test_answers_to_a_dead_masters_deliveries_are_no_error(autojump_clock):
    async with clients(at=("n1", "n2")) as (cluster, one, two):
        await publish(one, "a", "b", "c")
        await consume(two, prefetch_count=3)
        assert await bodies(two, 3) == ["a", "b", "c"]
        cluster.kill("n1")
        assert await bodies(two, 3) == ["a", "b", "c"]
        two.connection.call(1, basic.BasicAck(3, multiple=True))  # of the old master: they came again
        await two.flush()
        await trio.sleep(1)
        two.connection.call(1, basic.BasicAck(6, multiple=True))
        await two.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
        assert (await two.ask(1, QueueDelete(queue="q"), QueueDeleteOk)).message_count == 0


# ---------------------------------------------------------------------- no master


async def test_a_queue_whose_node_is_gone_says_so_at_once_refuses_and_can_be_deleted(autojump_clock):
    async with clients(policy=None) as (cluster, one, three):
        await publish(one, "a")
        await confirming(three)
        await publish(three, "b")
        assert await confirmed(three, 1) == []
        cluster.kill("n1")
        await publish(three, "c")
        assert await confirmed(three, 2) == [2]
        for attempt in (
            QueueDeclare(queue="q", passive=True),
            basic.BasicGet(queue="q"),
            basic.BasicConsume(queue="q"),
            QueuePurge(queue="q"),
            QueueDeclare(queue="q", durable=True),
            QueueDeclare(queue="q"),
            QueueBind(queue="q", exchange="amq.fanout"),
        ):
            closed = await three.ask(1, attempt, ChannelClose)
            assert (closed.reply_code, closed.reply_text) == (
                404,
                "NOT_FOUND - home node 'rabbit@n1' of durable queue 'q' in vhost '/' is down or inaccessible",
            )
            await three.ask(1, ChannelOpen(), ChannelOpenOk)
        closed = await three.ask(1, QueueDelete(queue="q", if_empty=True), ChannelClose)
        assert (closed.reply_code, closed.reply_text) == (406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty")
        await three.ask(1, ChannelOpen(), ChannelOpenOk)
        assert (await three.ask(1, QueueDelete(queue="q"), QueueDeleteOk)).message_count == 0


async def test_what_waits_for_its_answer_when_the_last_copy_goes_is_refused(autojump_clock):
    async with clients(policy=None) as (cluster, _, three):
        await confirming(three)
        cluster.network.cut("n1", "n3")
        await publish(three, "a", "b")
        cluster.kill("n1")
        assert await confirmed(three, 2) == [2], "one nack for both"


# ---------------------------------------------------------------------- links that break


@pytest.mark.parametrize("direction", ["to the master", "from the master"])
async def test_a_link_that_breaks_costs_publishers_and_consumers_nothing(autojump_clock, direction):
    async with clients(policy=None) as (cluster, _, three):
        await confirming(three)
        await consume(three, prefetch_count=50)
        links = cluster.nodes["n3" if direction == "to the master" else "n1"].links
        peer = links._peers["n1" if direction == "to the master" else "n3"]
        seen, answered, tags = set(), 0, []
        for turn in range(10):
            await publish(three, *(str(10 * turn + number) for number in range(10)))
            await trio.sleep(0.0004 * turn)  # between the publish and its confirm
            peer.closes(peer.outgoing["data"], "a test")  # only this half: the other direction stays
            await trio.sleep(0.5)
        with trio.fail_after(60):
            while len(seen) < 100 or answered < 100:
                _, event = await three.listen()
                if isinstance(event, Acks):
                    answered = event.last_tag
                    continue
                seen |= {int(body_of(content)) for content in event.contents}
                tags.append(event.first_tag + len(event.contents) - 1)
                three.connection.call(1, basic.BasicAck(tags[-1], multiple=True))
        await trio.sleep(1)
        assert await message_count(three) == 0
        statistics = cluster.nodes["n1"].handle("q").local.statistics()
        assert (statistics["consumers"], statistics["messages_unacked"]) == (1, 0)


async def test_the_last_consumer_of_an_auto_delete_queue_may_cancel_at_any_node(autojump_clock):
    declare = QueueDeclare(queue="q", auto_delete=True)
    async with clients(2, at=("n2",), queue=declare, policy=None) as (_, far):
        await far.ask(1, basic.BasicConsume(queue="q", consumer_tag="c"), basic.BasicConsumeOk)
        await far.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
        far.connection.call(1, QueueDeclare(queue="q", passive=True))
        assert (await far.expect(ChannelClose)).reply_code == 404


async def test_a_queue_that_is_looked_at_from_elsewhere_expires_in_time(autojump_clock):
    declare = QueueDeclare(queue="q", arguments={"x-expires": 400})
    async with clients(2, at=("n2",), queue=declare, policy=None) as (_, far):
        for _ in range(3):
            await trio.sleep(0.3)
            await far.ask(1, QueueDeclare(queue="q", passive=True), QueueDeclareOk)
        await trio.sleep(0.3)
        far.connection.call(1, basic.BasicGet(queue="q"))
        await far.expect(basic.BasicGetEmpty)
        await trio.sleep(0.3)
        await far.ask(1, QueueDeclare(queue="q", passive=True), QueueDeclareOk)
        await trio.sleep(0.45)
        far.connection.call(1, QueueDeclare(queue="q", passive=True))
        assert (await far.expect(ChannelClose)).reply_code == 404
