"""What commands may ask of any node: lists of the whole cluster, and what an operator does to clients and queues."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.management.census import DEADLINE_S
from broker.node.commands import Commands
from broker.wire import methods
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk, BasicQos, BasicQosOk
from tests.node.answering import Starting, commands_of
from tests.vhosts.halls import open_cluster

NODES = ("n1", "n2")


@asynccontextmanager
async def open_commands():
    async with open_cluster(2) as cluster:
        yield cluster, {name: commands_of(node) for name, node in cluster.nodes.items()}


async def declare(client, name, **fields):
    await client.ask(1, methods.QueueDeclare(queue=name, **fields), methods.QueueDeclareOk)


async def consume(client, name, tag, **fields):
    await client.ask(1, BasicConsume(queue=name, consumer_tag=tag, **fields), BasicConsumeOk)


async def rows(commands, kind, **where):
    answer = await commands.answer({"do": "facts", "kind": kind, **where})
    assert answer.keys() == {"rows", "silent"}
    assert answer["silent"] == []
    return answer["rows"]


async def publish(commands, queue, count=1):
    bodies = [{"body": "12345", "encoding": "utf8"}] * count
    asked = {"do": "publish", "key": queue, "bodies": bodies, "persistent": True}
    assert (await commands.answer(asked))["published"] == count


async def test_every_node_lists_the_queues_of_all(autojump_clock):
    async with open_commands() as (cluster, commands):
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        here, there = [await cluster.nodes[name].client() for name in NODES]
        await declare(here, "mirrored", durable=True, arguments={"x-max-length": 10})
        await cluster.until_in_sync("mirrored", "n1", "n2")
        await declare(there, "own", exclusive=True)
        await consume(there, "own", "mine", exclusive=True)
        await declare(here, "single", arguments={"x-single-active-consumer": True})
        await consume(there, "single", "first")
        await consume(here, "single", "second")
        await publish(commands["n2"], "mirrored", 3)
        for name in NODES:
            found = {row["name"]: row for row in await rows(commands[name], "queues", vhost="/")}
            mirrored, own, single = found["mirrored"], found["own"], found["single"]
            assert (mirrored["node"], mirrored["state"], mirrored["type"]) == ("rabbit@n1", "running", "classic")
            assert mirrored["arguments"] == {"x-max-length": 10}
            assert (mirrored["messages"], mirrored["messages_ram"], mirrored["messages_persistent"]) == (3, 3, 3)
            assert (mirrored["message_bytes"], mirrored["message_bytes_persistent"]) == (15, 15)
            number = cluster.queue("mirrored").id
            assert mirrored["pid"] == f"<n1.1.{number}.0>"
            assert mirrored["slave_pids"] == mirrored["synchronised_slave_pids"] == [f"<n2.1.{number}.0>"]
            assert (own["owner_pid"], own["exclusive"]) == ("<n2.1.1.0>", True)
            assert own["owner_pid_details"] == {
                "name": "127.0.0.1:50001 -> 127.0.0.1:5672",
                "peer_host": "127.0.0.1",
                "peer_port": 50001,
            }
            assert (own["exclusive_consumer_tag"], own["exclusive_consumer_pid"]) == ("mine", "<n2.1.1.1>")
            assert (single["single_active_consumer_tag"], single["consumers"]) == ("first", 2)
            assert single["single_active_consumer_pid"] == "<n2.1.1.1>"
            assert single["exclusive_consumer_tag"] is None


async def test_every_node_lists_the_clients_of_all(autojump_clock):
    async with open_commands() as (cluster, commands):
        here, there = [await cluster.nodes[name].client() for name in NODES]
        await there.ask(1, BasicQos(0, 5, is_global=False), BasicQosOk)
        await declare(here, "q")
        await consume(there, "q", "t")
        for name in NODES:
            connections = await rows(commands[name], "connections")
            assert sorted(row["pid"] for row in connections) == ["<n1.1.1.0>", "<n2.1.1.0>"]
            channels = await rows(commands[name], "channels")
            assert sorted((row["pid"], row["consumer_count"]) for row in channels) == [
                ("<n1.1.1.1>", 0),
                ("<n2.1.1.1>", 1),
            ]
            (consumer,) = await rows(commands[name], "consumers", vhost="/")
            assert (consumer["consumer_tag"], consumer["prefetch_count"]) == ("t", 5)
        await cluster.nodes["n1"].hall.tree.propose({"do": "put_vhost", "name": "empty"})
        for kind in ("connections", "channels", "consumers", "queues", "bindings"):
            assert await rows(commands["n1"], kind, vhost="empty") == []


async def test_only_what_is_wanted_crosses_the_road(autojump_clock):
    async with open_commands() as (cluster, commands):
        await declare(await cluster.nodes["n1"].client(), "q")
        found = await rows(commands["n2"], "queues", fields=["name", "messages", "moods"])
        assert found == [{"name": "q", "messages": 0}]


async def test_refused_lists():
    async with open_cluster(1) as cluster:
        commands = commands_of(cluster.nodes["n1"])
        assert await commands.answer({"do": "facts", "kind": "queues", "vhost": "nope"}) == {
            "error": "Virtual host 'nope' does not exist",
            "code": "not_found",
        }
        assert await commands.answer({"do": "facts", "kind": "moods"}) == {
            "error": "this node does not list moods",
            "code": "invalid",
        }
        assert await commands.answer({"do": "dance"}) == {"error": "this node does not know the request 'dance'"}


async def test_a_node_that_does_not_serve_says_why(autojump_clock):
    assert await Commands(Starting(), None, None).answer({"do": "facts"}) == {"error": "node n1 is joining"}


@pytest.mark.parametrize(("kind", "call"), [("queues", "census"), ("connections", "roster"), ("consumers", "roster")])
async def test_a_slow_node_does_not_hang_a_list(autojump_clock, kind, call):
    async with open_commands() as (cluster, commands):
        here, there = [await cluster.nodes[name].client() for name in NODES]
        for client, name in (here, "on n1"), (there, "on n2"):
            await declare(client, name)
            await consume(client, name, "t")
        cluster.nodes["n2"].hall.switchboard.answer(call, sleep_on)
        began = trio.current_time()
        answer = await commands["n1"].answer({"do": "facts", "kind": kind})
        assert answer["silent"] == ["n2"]
        assert trio.current_time() - began == pytest.approx(DEADLINE_S)
        if kind == "queues":
            states = [(row["name"], row["state"], row.get("messages")) for row in answer["rows"]]
            assert states == [("on n1", "running", 0), ("on n2", "down", None)]
        else:
            assert len(answer["rows"]) == 1


async def sleep_on(peer, fields):
    await trio.sleep_forever()


async def test_a_dead_master_is_down_but_nobody_is_silent(autojump_clock):
    async with open_commands() as (cluster, commands):
        await declare(await cluster.nodes["n2"].client(), "q", durable=True)
        cluster.kill("n2")
        (row,) = await rows(commands["n1"], "queues")
        assert (row["state"], row["node"], "messages" in row) == ("down", "rabbit@n2", False)


async def test_listing_is_no_use_of_a_queue(autojump_clock):
    async with open_commands() as (cluster, commands):
        await declare(await cluster.nodes["n1"].client(), "q", arguments={"x-expires": 3000})
        for _ in range(2):
            await trio.sleep(1)
            assert len(await rows(commands["n2"], "queues")) == 1
        await trio.sleep(1.2)
        assert await rows(commands["n2"], "queues") == []


async def test_connections_are_closed_wherever_they_are(autojump_clock):
    async with open_commands() as (cluster, commands):
        client = await cluster.nodes["n2"].client()
        asked = {"do": "close_connections", "pids": ["<n2.1.1.0>"], "reason": "go away"}
        assert await commands["n1"].answer(asked) == {"closed": 1}
        close = await client.expect(methods.ConnectionClose)
        assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - go away")
        await client.ended()
        assert await commands["n1"].answer(asked) == {"closed": 0}


async def test_connections_are_closed_one_after_the_other(autojump_clock):
    async with open_commands() as (cluster, commands):
        for node in cluster.nodes.values():
            await node.client()
        pids = ["<n1.1.1.0>", "<n2.1.7.0>", "<n2.1.1.0>"]
        began = trio.current_time()
        asked = {"do": "close_connections", "pids": pids, "reason": "r", "delay_ms": 2000}
        assert await commands["n2"].answer(asked) == {"closed": 2}
        assert trio.current_time() - began == pytest.approx(4, abs=0.1)


async def test_purge_and_delete_from_any_node(autojump_clock):
    async with open_commands() as (cluster, commands):
        client = await cluster.nodes["n1"].client()
        await declare(client, "q", exclusive=True)
        await publish(commands["n1"], "q", 3)
        queue = {"vhost": "/", "queue": "q"}
        assert await commands["n2"].answer({"do": "purge_queue", **queue}) == {"messages": 3}
        await publish(commands["n1"], "q", 2)
        await consume(client, "q", "t")
        await client.deliveries(2)
        in_use = {"error": "queue 'q' in vhost '/' in use", "code": "in_use"}
        assert await commands["n2"].answer({"do": "delete_queue", **queue, "if_unused": True}) == in_use
        await publish(commands["n1"], "q")
        assert await commands["n2"].answer({"do": "delete_queue", **queue, "if_empty": True}) == {"messages": 0}
        for do in ("purge_queue", "delete_queue", "sync", "cancel_sync"):
            answer = await commands["n2"].answer({"do": do, **queue})
            assert answer == {"error": "no queue 'q' in vhost '/'", "code": "not_found"}
        answer = await commands["n2"].answer({"do": "purge_queue", "vhost": "nope", "queue": "q"})
        assert answer == {"error": "no vhost 'nope'", "code": "not_found"}


async def test_what_is_not_empty_is_said_before_what_is_in_use(autojump_clock):
    async with open_commands() as (cluster, commands):
        client = await cluster.nodes["n1"].client()
        await declare(client, "q")
        await client.ask(1, BasicQos(0, 1, is_global=False), BasicQosOk)
        await consume(client, "q", "t")
        await publish(commands["n1"], "q", 2)
        asked = {"do": "delete_queue", "vhost": "/", "queue": "q", "if_empty": True, "if_unused": True}
        assert (await commands["n2"].answer(asked))["code"] == "not_empty"


async def test_a_quorum_queue_is_not_synchronised_by_hand(autojump_clock):
    async with open_commands() as (cluster, commands):
        await declare(await cluster.nodes["n1"].client(), "q", durable=True, arguments={"x-queue-type": "quorum"})
        for do in ("sync", "cancel_sync"):
            answer = await commands["n2"].answer({"do": do, "vhost": "/", "queue": "q"})
            assert answer == {
                "error": "queue q is a quorum queue: it synchronises its members by itself",
                "code": "quorum_queue",
            }


async def test_synchronising_by_hand(autojump_clock):
    async with open_commands() as (cluster, commands):
        await declare(await cluster.nodes["n1"].client(), "q", durable=True)
        asked = {"vhost": "/", "queue": "q"}
        answer = await commands["n2"].answer({"do": "sync", **asked})
        assert answer == {
            "error": "queue q is not mirrored: a policy with ha-mode would do that",
            "code": "not_mirrored",
        }
        assert await commands["n2"].answer({"do": "cancel_sync", **asked}) == {"state": "not_syncing"}
        await publish(commands["n1"], "q", 100)
        cluster.mirror(**{"ha-sync-mode": "manual"})
        await cluster.until(lambda: cluster.queue("q").mirrors)
        await trio.sleep(1)
        assert await commands["n2"].answer({"do": "sync_state", **asked}) == {"state": "not_syncing"}
        (row,) = await rows(commands["n2"], "queues")
        assert (row["state"], row["slave_nodes"], row["synchronised_slave_nodes"]) == ("running", ["rabbit@n2"], [])
        assert row["unsynchronised"] == {"rabbit@n2": 100}
        assert await commands["n2"].answer({"do": "sync", **asked}) == {"state": "syncing"}
        assert (await commands["n2"].answer({"do": "sync_state", **asked}))["state"] in ("syncing", "synchronised")
        await cluster.until_in_sync("q", "n1", "n2")
        assert await commands["n2"].answer({"do": "sync_state", **asked}) == {"state": "synchronised"}
        assert await commands["n2"].answer({"do": "sync", **asked}) == {"state": "synchronised"}
        (row,) = await rows(commands["n2"], "queues")
        assert (row["state"], row["synchronised_slave_nodes"]) == ("running", ["rabbit@n2"])
