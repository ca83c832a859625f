"""Rates and curves by HTTP: the samplers of two nodes look while virtual time goes by."""

from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
import trio

from broker.management import ledger, sampler
from broker.management.app import make_app
from broker.management.census import Census
from broker.wire import methods
from broker.wire.basic_methods import BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk
from tests.management.browser import Browser, FakeFacts, no_command
from tests.management.test_resources import declare
from tests.vhosts.halls import open_cluster


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Virtual time that is cut into small pieces takes real time."""
    monkeypatch.setattr(sampler, "QUEUE_STEPS", 2)
    monkeypatch.setattr(sampler, "CLIENT_STEPS", 2)


@asynccontextmanager
async def open_two():
    async with open_cluster(2) as cluster, trio.open_nursery() as nursery:
        browsers = {}
        for name, node in cluster.nodes.items():
            node._clients = 10 * int(name[1])
            census = Census(node.hall, FakeFacts(name))
            nursery.start_soon(census.testimony.sampler.run)
            browsers[name] = Browser(make_app(node.hall, census, no_command))
        yield cluster, browsers
        nursery.cancel_scope.cancel()


async def publish(browser, queue, count):
    body = {"properties": {}, "routing_key": queue, "payload": "12345", "payload_encoding": "string"}
    for _ in range(count):
        answer = await browser.ask("exchanges/%2F/amq.default/publish", "POST", body)
        assert answer.json == {"routed": True}


async def names(browser, sort):
    return [row["name"] for row in (await browser.json(f"queues?page=1&sort={sort}"))["items"]]


async def until_looked(cluster):
    """Every node has looked at everything since."""
    await trio.sleep(5.1)


async def test_a_queue_that_fills(autojump_clock):
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a")
        await declare(cluster.nodes["n1"].hall, "b", 50)
        await trio.sleep(20)
        await publish(browsers["n2"], "a", 10)
        await until_looked(cluster)
        curves = "lengths_age=60&lengths_incr=5&msg_rates_age=10&msg_rates_incr=5"
        for browser in browsers.values():
            row = await browser.json(f"queues/%2F/a?{curves}")
            assert row["messages_details"]["rate"] == 2.0
            assert row["message_stats"]["publish_details"]["rate"] == 2.0
            assert "idle_since" not in row
            samples = [one["sample"] for one in row["messages_details"]["samples"]]
            assert sorted(samples) == samples[::-1]
            assert samples[-1] == 0
            assert len(row["message_stats"]["publish_details"]["samples"]) == 3
            overview = await browser.json("overview")
            for name in "messages", "messages_ready":
                assert overview["queue_totals"][f"{name}_details"] == {"rate": 2.0}
            assert overview["message_stats"]["publish_details"] == {"rate": 2.0}
            assert (overview["message_stats"]["publish"], overview["message_stats"]["confirm"]) == (10, 10)
            assert await names(browser, "messages_details.rate") == ["b", "a"]
            assert await names(browser, "messages") == ["a", "b"]
            (vhost,) = await browser.json("vhosts")
            assert vhost["message_stats"]["publish_details"] == vhost["messages_details"] == {"rate": 2.0}
            page = await browser.json("queues?page=1&sort=message_stats.publish_details.rate")
            assert [row["name"] for row in page["items"]] == ["b", "a"]
            assert page["items"][1]["message_stats"]["publish_details"] == {"rate": 2.0}
        await trio.sleep(20)
        row = await browsers["n2"].json("queues/%2F/a")
        assert row["messages_details"] == row["message_stats"]["publish_details"] == {"rate": 0.0}
        assert row["idle_since"].endswith("+00:00")
        assert (await browsers["n2"].json("overview"))["message_stats"]["publish_details"] == {"rate": 0.0}


async def test_what_queues_did_counts_when_they_are_gone(autojump_clock):
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a")
        await publish(browsers["n1"], "a", 3)
        await until_looked(cluster)
        assert (await browsers["n1"].ask("queues/%2F/a", "DELETE")).status == 204
        await until_looked(cluster)
        (vhost,) = await browsers["n2"].json("vhosts")
        assert (vhost["messages"], vhost["message_stats"]["publish"]) == (0, 3)


async def test_clients_have_rates(autojump_clock):
    async with open_two() as (cluster, browsers):
        client = await cluster.nodes["n2"].client(channels=(1, 2))
        await client.ask(1, methods.QueueDeclare(queue="q"), methods.QueueDeclareOk)
        await trio.sleep(20)
        before = client_octets(await browsers["n1"].json("connections"))
        for _ in range(10):
            await client.ask(1, methods.QueueDeclare(queue="q"), methods.QueueDeclareOk)
        await until_looked(cluster)
        (row,) = await browsers["n1"].json("connections")
        assert row["recv_oct_details"]["rate"] == (client_octets([row]) - before) / 5
        assert (await browsers["n1"].json("connections?page=1"))["items"] == [row]
        name = quote(row["name"], safe="")
        single = await browsers["n1"].json(f"connections/{name}?data_rates_age=10&data_rates_incr=5")
        assert len(single["recv_oct_details"]["samples"]) == 3
        await trio.sleep(20)
        channels = await browsers["n1"].json("channels")
        assert ["idle_since" in channel for channel in channels] == [True, True]


def client_octets(rows):
    (row,) = rows
    return row["recv_oct"]


async def test_consumers_are_counted_when_they_come_and_go(autojump_clock):
    async with open_two() as (cluster, browsers):
        client = await cluster.nodes["n2"].client()
        await client.ask(1, methods.QueueDeclare(queue="q"), methods.QueueDeclareOk)
        for message, answer, count in (
            (BasicConsume(queue="q", consumer_tag="t"), BasicConsumeOk, 1),
            (BasicCancel(consumer_tag="t"), BasicCancelOk, 0),
        ):
            for _ in range(2):
                await until_looked(cluster)
                assert (await browsers["n1"].json("overview"))["object_totals"]["consumers"] == 1 - count
            await client.ask(1, message, answer)
            assert (await browsers["n1"].json("overview"))["object_totals"]["consumers"] == count


async def test_nodes_tell_of_themselves(autojump_clock):
    async with open_two() as (cluster, browsers):
        await trio.sleep(10)
        await cluster.nodes["n2"].client(channels=(1, 2, 3))
        await until_looked(cluster)
        nodes = await browsers["n1"].json("nodes?node_stats_age=10&node_stats_incr=5")
        assert [node["channel_created"] for node in nodes] == [0, 3]
        assert nodes[1]["channel_created_details"]["rate"] == pytest.approx(0.6, abs=0.02)
        assert (nodes[1]["sockets_used"], nodes[1]["mem_used"]) == (1, 1000)
        assert nodes[1]["mem_used_details"]["samples"]
        assert 0 < nodes[1]["fd_used"] < nodes[1]["fd_total"]
        overview = await browsers["n1"].json("overview")
        assert overview["churn_rates"]["channel_created"] == 3
        assert overview["object_totals"]["channels"] == 3
        assert (await browsers["n1"].ask("nodes?node_stats_age=0&node_stats_incr=5")).status == 400


async def test_what_closed_channels_did_counts_once(autojump_clock):
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a")
        client = await cluster.nodes["n1"].client()
        for published in range(3):
            await client.ask(1, methods.QueueDeclare(queue="a", passive=True), methods.QueueDeclareOk)
            for _ in range(2):
                assert (await browsers["n2"].json("overview"))["message_stats"].get("publish", 0) == published
                await until_looked(cluster)
            await publish(browsers["n1"], "a", 1)  # by a channel that is closed at once
        channel = next(iter(cluster.nodes["n1"].hall.meters.traffic["amqp091"].channels))
        channel.flow.received += 10
        assert (await browsers["n2"].json("overview"))["message_stats"]["publish"] == 13
        await client.ask(1, methods.ChannelClose(200), methods.ChannelCloseOk)
        await until_looked(cluster)
        assert (await browsers["n2"].json("overview"))["message_stats"]["publish"] == 13


async def test_a_queue_at_rest_is_not_looked_at(autojump_clock, monkeypatch):
    looks = []
    figures_of = ledger.figures_of
    monkeypatch.setattr(ledger, "figures_of", lambda local: looks.append(local) or figures_of(local))
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a", 1)
        await until_looked(cluster)
        assert looks
        looks.clear()
        await until_looked(cluster)
        assert (await browsers["n1"].json("overview"))["queue_totals"]["messages"] == 1
        assert not looks
