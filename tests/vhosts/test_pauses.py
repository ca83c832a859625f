"""A queue that an operator has paused: what its clients see on every node, and after its master has died."""

import pytest
import trio

from broker.vhosts import by_hand
from broker.wire.basic_methods import (
    BasicAck,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicQos,
    BasicQosOk,
)
from broker.wire.content import body_of
from tests.vhosts.halls import open_cluster
from tests.vhosts.test_mirrored_queues import publish, publisher


async def pause(cluster, paused=True):
    return cluster.decree.decide(do="pause_queue", vhost="/", name="q", paused=paused)["changed"]


async def test_a_pause_outlives_the_master_and_loses_nothing(autojump_clock):
    async with open_cluster(3) as cluster:
        cluster.mirror()
        client = await publisher(cluster.nodes["n1"])
        await publish(client, 1, 5)
        assert await pause(cluster)
        assert not await pause(cluster), "it was paused already"
        elsewhere = await cluster.nodes["n3"].client()
        await elsewhere.ask(1, BasicConsume(queue="q", no_ack=True), BasicConsumeOk)
        await publish(client, 6, 10)
        cluster.kill("n1")
        await cluster.until(lambda: cluster.nodes["n2"].handle("q").local is not None)
        at_master = await cluster.nodes["n2"].client()
        await at_master.ask(1, BasicConsume(queue="q", no_ack=True), BasicConsumeOk)
        await trio.sleep(5)
        for consumer in (at_master, elsewhere):  # a delivery would come first
            await consumer.ask(1, BasicGet(queue="q"), BasicGetEmpty)
        assert cluster.nodes["n2"].handle("q").local.queue.messages_ready == 10
        await pause(cluster, paused=False)
        got = [int(body_of(content)) for one in (at_master, elsewhere) for _, content in await one.deliveries(5)]
        assert sorted(got) == list(range(1, 11))


@pytest.mark.parametrize("node", ["n1", "n2"])
async def test_whoever_waits_in_basic_get_is_told_at_once(autojump_clock, node):
    async with open_cluster(2) as cluster:
        await cluster.nodes["n1"].hall.declarations.declare_plain("/", "q")
        client = await publisher(cluster.nodes[node])
        await publish(client, 1, 1)
        await pause(cluster)
        with trio.fail_after(1):
            assert await by_hand.get(cluster.nodes[node].handle("q"), 1, keep=False) == ([], 0)
        await pause(cluster, paused=False)
        messages, _ = await by_hand.get(cluster.nodes[node].handle("q"), 1, keep=False)
        assert [message["body"] for message in messages] == ["1"]


@pytest.mark.parametrize("node", ["n1", "n2"])
async def test_a_paused_queue_keeps_no_room_of_a_channel_from_another_queue(autojump_clock, node):
    """The channel's limit is lent to masters elsewhere: one that may give nothing gives it back."""
    async with open_cluster(2) as cluster:
        hall = cluster.nodes["n1"].hall
        for name in ("q", "other"):
            await hall.declarations.declare_plain("/", name)
            await by_hand.publish(hall.catalogue.vhosts["/"], "", name, [b"1", b"2"], persistent=True)
        await pause(cluster)
        client = await cluster.nodes[node].client()
        await client.ask(1, BasicQos(prefetch_count=1, is_global=True), BasicQosOk)
        await client.ask(1, BasicConsume(queue="q", consumer_tag="q"), BasicConsumeOk)
        await client.ask(1, BasicConsume(queue="other", consumer_tag="other"), BasicConsumeOk)
        seen = []
        for number in range(4):
            if number == 2:
                await pause(cluster, paused=False)
            ((tag, content),) = await client.deliveries(1)
            seen.append(body_of(content))
            client.connection.call(1, BasicAck(delivery_tag=tag))
            await client.flush()
        assert seen == [b"1", b"2"] * 2
