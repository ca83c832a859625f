"""Mirrored queues of several halls: what is on which node while policies come, nodes die and links break."""

import pytest
import trio

from broker.mirroring.pacing import Pacing
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk, ConfirmSelect, ConfirmSelectOk
from broker.wire.content import body_of
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from broker.wire.properties import Properties
from tests.vhosts.halls import open_cluster

PERSISTENT = Properties(delivery_mode=2)


async def publisher(node, queue="q"):
    client = await node.client()
    await client.ask(1, QueueDeclare(queue=queue, durable=True), QueueDeclareOk)
    await client.ask(1, ConfirmSelect(), ConfirmSelectOk)
    return client


async def publish(client, first, last):
    for number in range(first, last + 1):
        client.connection.publish(1, "", "q", b"%d" % number, PERSISTENT)
    await client.confirmed(last)


def bodies_of(node):
    return [int(body_of(content)) for run in node.copy("q").line.runs() for content in run.contents]


@pytest.mark.parametrize("node", ["n1", "n2", "n3"])
async def test_a_confirmed_message_is_on_every_mirror(autojump_clock, node):
    async with open_cluster(3) as cluster:
        cluster.mirror()
        await cluster.nodes["n1"].hall.declarations.declare_plain("/", "q")
        client = await publisher(cluster.nodes[node])
        await publish(client, 1, 100)
        assert [bodies_of(cluster.nodes[mirror]) for mirror in ("n2", "n3")] == [list(range(1, 101))] * 2


async def test_a_policy_that_comes_later_fills_the_mirrors(autojump_clock):
    async with open_cluster(3) as cluster:
        client = await publisher(cluster.nodes["n1"])
        await publish(client, 1, 100)
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        await cluster.until_in_sync("q", "n1", "n2", "n3")
        assert bodies_of(cluster.nodes["n3"]) == list(range(1, 101))


async def test_a_mirror_that_was_not_synchronised_is_when_the_old_messages_are_gone(autojump_clock):
    async with open_cluster(2) as cluster:
        client = await publisher(cluster.nodes["n1"])
        await publish(client, 1, 10)
        cluster.mirror()
        await publish(client, 11, 20)
        assert [life.node for life in cluster.queue("q").in_sync] == ["n1"]
        await client.ask(1, BasicConsume(queue="q", no_ack=True), BasicConsumeOk)
        await client.deliveries(20)
        await cluster.until_in_sync("q", "n1", "n2")


async def test_the_oldest_mirror_goes_on_where_a_killed_master_ended(autojump_clock):
    async with open_cluster(3) as cluster:
        cluster.mirror()
        await cluster.nodes["n1"].hall.declarations.declare_plain("/", "q")
        client = await publisher(cluster.nodes["n3"])
        await publish(client, 1, 50)
        for number in range(51, 101):
            client.connection.publish(1, "", "q", b"%d" % number, PERSISTENT)
        await client.flush()
        cluster.kill("n1")
        while (await client.listen())[1].last_tag < 100:
            pass
        assert cluster.queue("q").master.node == "n2"
        await cluster.until_in_sync("q", "n2", "n3")
        await client.ask(1, BasicConsume(queue="q", no_ack=True), BasicConsumeOk)
        assert [int(body_of(content)) for _, content in await client.deliveries(100)] == list(range(1, 101))


async def test_a_node_that_comes_back_is_filled_again(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        client = await publisher(cluster.nodes["n1"])
        await publish(client, 1, 10)
        cluster.kill("n2")
        await publish(client, 11, 20)
        await cluster.start("n2", life=2)
        await cluster.until_in_sync("q", "n1", "n2")
        await publish(client, 21, 30)
        assert bodies_of(cluster.nodes["n2"]) == list(range(1, 31))


async def test_links_that_break_under_load_cost_nothing_but_time(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        client = await publisher(cluster.nodes["n1"])
        for turn in range(10):
            for number in range(20 * turn + 1, 20 * turn + 21):
                client.connection.publish(1, "", "q", b"%d" % number, PERSISTENT)
            await client.flush()
            cluster.nodes["n1" if turn % 2 else "n2"].links.disconnect("n2" if turn % 2 else "n1", "a test")
        while (await client.listen())[1].last_tag < 200:
            pass
        assert bodies_of(cluster.nodes["n2"]) == list(range(1, 201))


async def test_a_limited_catch_up_keeps_to_its_limit_while_the_queue_works_on(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.nodes["n1"].hall.followers._pacing = pacing = Pacing(bytes_per_s=2500)
        client = await publisher(cluster.nodes["n1"])
        await publish(client, 1, 100)
        began = trio.current_time()
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        await trio.sleep(1)
        missing = cluster.nodes["n1"].handle("q").local.statistics()["missing"]["n2"]
        assert 40 <= missing < 100
        await publish(client, 101, 110)
        assert cluster.nodes["n1"].handle("q").local.statistics()["filling"]
        await cluster.until_in_sync("q", "n1", "n2")
        assert trio.current_time() - began > 100 * 60 / pacing.bytes_per_s, "a message is more than 60 bytes"
        assert bodies_of(cluster.nodes["n2"]) == list(range(1, 111))
