"""/api/connections, /api/channels, /api/consumers: any node answers for all, and who may see whom."""

from contextlib import asynccontextmanager
from urllib.parse import quote

from broker.management.app import make_app
from broker.management.census import Census
from broker.wire import methods
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk
from tests.management.browser import Browser, FakeFacts, basic, no_command
from tests.vhosts.halls import open_cluster

RIGHTS = {"configure": ".*", "write": ".*", "read": ".*"}


@asynccontextmanager
async def open_two():
    """guest is at n1, and at n2 with a consumer."""
    async with open_cluster(2) as cluster:
        for name in "n1", "n2":
            cluster.nodes[name]._clients = 10 * int(name[1])  # one machine would not give two clients the same port
        await cluster.nodes["n1"].client()
        there = await cluster.nodes["n2"].client(channels=(1, 2))
        await there.ask(2, methods.QueueDeclare(queue="q"), methods.QueueDeclareOk)
        await there.ask(2, BasicConsume(queue="q", consumer_tag="t"), BasicConsumeOk)
        yield cluster, {name: browser_of(node) for name, node in cluster.nodes.items()}


def browser_of(node):
    return Browser(make_app(node.hall, Census(node.hall, FakeFacts(node.name)), no_command))


async def add_user(cluster, name, tag, vhost="/"):
    tree = cluster.nodes["n1"].hall.tree
    await tree.propose({"do": "put_vhost", "name": "other"})
    await tree.propose({"do": "put_user", "name": name, "password": name, "tags": [tag]})
    await tree.propose({"do": "put_permission", "user": name, "vhost": vhost, **RIGHTS})


async def test_lists_are_those_of_the_whole_cluster(autojump_clock):
    async with open_two() as (cluster, browsers):
        await add_user(cluster, "boss", "administrator", "other")
        for browser in browsers.values():
            connections = {row["node"]: row for row in await browser.json("connections")}
            assert set(connections) == {"rabbit@n1", "rabbit@n2"}
            row = connections["rabbit@n2"]
            assert (row["user"], row["vhost"], row["channels"], row["type"]) == ("guest", "/", 2, "network")
            name = quote(row["name"], safe="")
            assert (await browser.json(f"connections/{name}"))["pid"] == row["pid"]
            numbers = [channel["number"] for channel in await browser.json(f"connections/{name}/channels")]
            assert numbers == [1, 2]
            assert len(await browser.json("channels")) == len(await browser.json("vhosts/%2F/channels")) == 3
            channel = await browser.json(f"channels/{name}%20(2)")
            assert (channel["number"], channel["consumer_count"]) == (2, 1)
            (consumer,) = await browser.json("consumers/%2F")
            assert channel["consumer_details"] == [consumer] == await browser.json("consumers")
            assert consumer["queue"] == {"name": "q", "vhost": "/"}
            assert consumer["channel_details"]["connection_name"] == row["name"]
            for path in "connections", "channels":
                assert await browser.json(f"vhosts/other/{path}") == []
            assert await browser.json("consumers/other") == []


async def test_names_that_there_are_not(autojump_clock):
    async with open_two() as (_, browsers):
        for path in "connections/x", "channels/x", "connections/x/channels", "consumers/nope", "vhosts/nope/channels":
            answer = await browsers["n1"].ask(path)
            assert (answer.status, answer.json["reason"]) == (404, "Not Found")


async def test_who_only_manages_sees_nobody_else(autojump_clock):
    async with open_two() as (cluster, browsers):
        await add_user(cluster, "tom", "management")
        browser = browsers["n1"]
        (connection,) = [row for row in await browser.json("connections") if row["node"] == "rabbit@n1"]
        browser.authorization = basic("tom", "tom")
        for path in "connections", "channels", "consumers", "vhosts/%2F/connections", "consumers/%2F":
            assert await browser.json(path) == []
        answer = await browser.ask(f"connections/{quote(connection['name'], safe='')}")
        assert (answer.status, answer.json["reason"]) == (401, "User not authorised to access object")
        answer = await browser.ask("vhosts/other/connections")
        assert (answer.status, answer.json["reason"]) == (401, "User not authorised to access virtual host")


async def test_who_monitors_sees_everybody(autojump_clock):
    async with open_two() as (cluster, browsers):
        await add_user(cluster, "eve", "monitoring")
        browsers["n1"].authorization = basic("eve", "eve")
        assert [len(await browsers["n1"].json(path)) for path in ("connections", "channels", "consumers")] == [2, 3, 1]


async def test_who_monitors_sees_also_where_they_have_no_permission(autojump_clock):
    async with open_two() as (cluster, browsers):
        await add_user(cluster, "eve", "monitoring", "other")
        browsers["n1"].authorization = basic("eve", "eve")
        assert len(await browsers["n1"].json("connections")) == 2
        (connection, _) = await browsers["n1"].json("connections")
        assert (await browsers["n1"].ask(f"connections/{quote(connection['name'], safe='')}")).status == 200
