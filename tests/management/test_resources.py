"""What the resources say of one node, and of a cluster: any node answers for all."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.management import census
from broker.management.app import make_app
from broker.management.bindings import properties_key
from broker.management.census import DEADLINE_S, Census
from broker.vhosts import by_hand
from broker.wire.content import make_content
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, headers_of, traits_of
from tests.management.browser import Browser, FakeFacts, no_command
from tests.vhosts.halls import open_cluster
from tests.vhosts.room import open_hall

CHECKS = "health/checks"


@asynccontextmanager
async def open_one():
    async with open_hall() as hall:
        yield hall, Browser(make_app(hall, Census(hall, FakeFacts("n1")), no_command))


@asynccontextmanager
async def open_two():
    async with open_cluster(2) as cluster:
        yield cluster, {name: browser_of(node) for name, node in cluster.nodes.items()}


def browser_of(node):
    return Browser(make_app(node.hall, Census(node.hall, FakeFacts(node.name)), no_command))


async def declare(hall, name, count=0):
    await hall.declarations.declare_plain("/", name)
    if count:
        bodies = [b"12345"] * count
        await by_hand.publish(hall.catalogue.vhosts["/"], "", name, bodies, persistent=True)


async def test_overview_and_vhosts_add_up():
    async with open_one() as (hall, browser):
        await declare(hall, "a", 2)
        await declare(hall, "b", 3)
        overview = await browser.json("overview")
        assert overview["rabbitmq_version"] == "3.10.8"
        assert overview["cluster_name"] == "test"
        totals = {"messages": 5, "messages_ready": 5, "messages_unacknowledged": 0}
        assert overview["queue_totals"] == totals | {f"{name}_details": {"rate": 0.0} for name in totals}
        objects = {"connections": 0, "channels": 0, "consumers": 0, "exchanges": 7, "queues": 2}
        assert overview["object_totals"] == objects
        assert overview["contexts"][0]["port"] == "15672"
        (vhost,) = await browser.json("vhosts")
        assert (vhost["name"], vhost["messages"], vhost["message_stats"]["publish"]) == ("/", 5, 5)
        assert vhost["cluster_state"] == {"rabbit@n1": "running"}


async def test_a_queue_by_its_name():
    async with open_one() as (hall, browser):
        await declare(hall, "späße/<b>", 1)
        queue = await browser.json("queues/%2f/sp%C3%A4%C3%9Fe%2F%3Cb%3E")
        assert queue.items() >= {"node": "rabbit@n1", "state": "running", "messages": 1, "message_bytes": 5}.items()
        assert "slave_nodes" not in queue
        assert await browser.json("queues") == await browser.json("queues/%2F")
        assert (await browser.json("queues"))[0].items() <= queue.items()
        assert queue["backing_queue_status"] == {"mode": "default", "len": 1, "next_seq_id": 2}
        assert queue["consumer_details"] == queue["incoming"] == queue["deliveries"] == []
        assert queue["memory"] > 5


async def test_a_delayed_exchange_tells_how_much_waits():
    async with open_one() as (hall, browser):
        facts = {"kind": "x-delayed-message", "arguments": {"x-delayed-type": "fanout"}}
        await hall.tree.propose({"do": "declare_exchange", "vhost": "/", "name": "late", **facts})
        content = make_content(1, Properties(headers={"x-delay": 60_000}), b"", 4096)
        (handle,) = hall.catalogue.vhosts["/"].find("late", "k", headers_of(content), content)
        handle.publish(Run([content] * 3, make_address("late", "k"), traits_of(content)), None)
        shown = {row["name"]: row for row in await browser.json("exchanges/%2F")}
        assert shown["late"]["messages_delayed"] == 3
        assert "messages_delayed" not in shown["amq.direct"]
        assert await browser.json("queues") == []
        kinds = [kind["name"] for kind in (await browser.json("overview"))["exchange_types"]]
        delayed = ["x-consistent-hash", "x-delayed-message", "x-random"]
        assert kinds == ["direct", "fanout", "headers", "topic", *delayed]


async def test_the_default_exchange_has_a_binding_for_each_queue():
    async with open_one() as (hall, browser):
        await declare(hall, "a b")
        names = [exchange["name"] for exchange in await browser.json("exchanges/%2F")]
        assert names == ["", *sorted(names[1:])]
        (binding,) = await browser.json("bindings/%2F")
        assert binding == {
            "source": "",
            "vhost": "/",
            "destination": "a b",
            "destination_type": "queue",
            "routing_key": "a b",
            "arguments": {},
            "properties_key": "a+b",
        }


@pytest.mark.parametrize(("key", "arguments", "name"), [("", {}, "~"), ("~/", {}, "%7E%2F"), ("a.#", {}, "a.%23")])
def test_properties_keys(key, arguments, name):
    assert properties_key(key, arguments) == name


def test_properties_keys_tell_arguments_apart():
    keys = {properties_key("", arguments) for arguments in ({}, {"a": 1}, {"a": "1"}, {"b": 1})}
    assert len(keys) == 4


async def test_policies_and_whoami():
    async with open_one() as (hall, browser):
        policy = {"vhost": "/", "name": "p", "pattern": "^a", "apply-to": "queues", "definition": {"max-length": 5}}
        await hall.tree.propose({"do": "put_policy", **policy, "priority": 1})
        await declare(hall, "a")
        assert await browser.json("policies/%2F") == [{**policy, "priority": 1}]
        (queue,) = await browser.json("queues")
        assert (queue["policy"], queue["effective_policy_definition"]) == ("p", {"max-length": 5})
        whoami = {"name": "guest", "tags": ["administrator"], "is_internal_user": True}
        assert await browser.json("whoami") == whoami


async def test_any_node_answers_for_all(autojump_clock):
    async with open_two() as (cluster, browsers):
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        await declare(cluster.nodes["n1"].hall, "a", 4)
        await cluster.until_in_sync("a", "n1", "n2")
        for name in "n1", "n2":
            queue = await browsers[name].json("queues/%2F/a")
            assert (queue["node"], queue["state"], queue["messages"]) == ("rabbit@n1", "running", 4)
            assert queue["slave_nodes"] == queue["synchronised_slave_nodes"] == ["rabbit@n2"]
            nodes = await browsers[name].json("nodes")
            assert [(node["name"], node["running"]) for node in nodes] == [("rabbit@n1", True), ("rabbit@n2", True)]
        node = await browsers["n1"].json("nodes/rabbit@n2")
        assert (node["role"], node["mem_used"], node["uptime"]) == ("follower", 1000, 1500)
        assert node.keys() == (await browsers["n1"].json("nodes/n2")).keys()


async def test_looking_at_queues_is_no_use_of_them(autojump_clock):
    async with open_two() as (cluster, browsers):
        used = []
        await declare(cluster.nodes["n1"].hall, "a")
        (local,) = cluster.nodes["n1"].hall.guests.locals.values()
        local.queue.used = lambda: used.append("used")
        await browsers["n1"].json("queues")
        await browsers["n2"].json("queues")
        assert not used


async def test_more_queues_than_one_call_asks_for(autojump_clock, monkeypatch):
    monkeypatch.setattr(census, "QUEUES_PER_CALL", 2)
    async with open_two() as (cluster, browsers):
        for number in range(5):
            await declare(cluster.nodes["n1"].hall, f"q{number}")
        assert [queue["state"] for queue in await browsers["n2"].json("queues")] == ["running"] * 5


async def test_a_node_that_does_not_answer_is_shown_as_not_running(autojump_clock):
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a", 1)
        cluster.nodes["n1"].hall.switchboard.answer("census", sleep_on)
        began = trio.current_time()
        nodes = await browsers["n2"].json("nodes")
        assert nodes[0] == {"name": "rabbit@n1", "type": "disc", "running": False, "being_drained": False}
        assert nodes[1]["running"]
        queue = await browsers["n2"].json("queues/%2F/a")
        assert (queue["state"], "messages" in queue) == ("down", False)
        assert trio.current_time() - began == pytest.approx(2 * DEADLINE_S)


async def sleep_on(peer, fields):
    await trio.sleep_forever()


async def test_a_dead_node_is_not_asked(autojump_clock):
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a", 1)
        cluster.kill("n1")
        began = trio.current_time()
        assert [node["running"] for node in await browsers["n2"].json("nodes")] == [False, True]
        assert (await browsers["n2"].json("queues/%2F/a"))["state"] == "down"
        assert trio.current_time() == began


async def test_a_node_in_maintenance_listens_to_no_clients(autojump_clock):
    async with open_two() as (cluster, browsers):
        cluster.decree.decide(do="drain_node", node="n1")
        assert [node["being_drained"] for node in await browsers["n2"].json("nodes")] == [True, False]
        answer = await browsers["n1"].ask(f"{CHECKS}/protocol-listener/amqp091")
        assert (answer.status, answer.json["protocols"]) == (503, ["http", "clustering"])
        assert await browsers["n2"].json(f"{CHECKS}/protocol-listener/amqp091") == {
            "status": "ok",
            "protocol": "amqp091",
        }


async def test_healthy():
    async with open_one() as (_, browser):
        for check in ("alarms", "local-alarms", "partitions", "virtual-hosts"):
            assert await browser.json(f"{CHECKS}/{check}") == {"status": "ok"}
        single = {"status": "ok", "reason": "single node cluster"}
        assert await browser.json(f"{CHECKS}/node-is-mirror-sync-critical") == single
        assert await browser.json(f"{CHECKS}/port-listener/25672") == {"status": "ok", "port": 25672}
        assert await browser.json(f"{CHECKS}/protocol-listener/amqp091") == {"status": "ok", "protocol": "amqp091"}


async def test_listeners_that_are_not_there():
    async with open_one() as (_, browser):
        answer = await browser.ask(f"{CHECKS}/port-listener/1")
        failed = {"status": "failed", "reason": "No active listener"}
        assert (answer.status, answer.json) == (503, {**failed, "missing": 1, "ports": [5672, 15672, 25672]})
        answer = await browser.ask(f"{CHECKS}/protocol-listener/mqtt")
        protocols = ["amqp", "http", "clustering"]
        assert (answer.status, answer.json) == (503, {**failed, "missing": "mqtt", "protocols": protocols})
        for nonsense in "x", "-1", "9" * 5000:
            assert (await browser.ask(f"{CHECKS}/port-listener/{nonsense}")).status == 400


async def test_a_full_disk_is_an_alarm_in_the_whole_cluster(autojump_clock):
    async with open_two() as (cluster, browsers):
        cluster.nodes["n1"].hall.alarms.limits.disk_free = 1 << 63
        rows = [{"node": "rabbit@n1", "resource": "disk"}]
        for name, check in ("n1", "local-alarms"), ("n2", "alarms"):
            answer = await browsers[name].ask(f"{CHECKS}/{check}")
            assert (answer.status, answer.json["status"], answer.json["alarms"]) == (503, "failed", rows)
        assert (await browsers["n2"].ask(f"{CHECKS}/local-alarms")).status == 200
        assert (await browsers["n2"].json("nodes/n1"))["disk_free_alarm"]


async def test_who_has_parted_is_named_and_unhealthy():
    async with open_one() as (hall, _):
        facts = FakeFacts("n1")
        facts.parted_from = ["n2"]
        browser = Browser(make_app(hall, Census(hall, facts), no_command))
        assert (await browser.json("nodes/n1"))["partitions"] == ["rabbit@n2"]
        answer = await browser.ask(f"{CHECKS}/partitions")
        rows = [{"node": "rabbit@n1", "from": ["rabbit@n2"]}]
        failed = {"status": "failed", "reason": "There are partitions in the cluster", "partitions": rows}
        assert (answer.status, answer.json) == (503, failed)


async def test_a_master_without_synchronised_mirror_is_critical(autojump_clock):
    async with open_two() as (cluster, browsers):
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        await declare(cluster.nodes["n1"].hall, "a", 1)
        await cluster.until_in_sync("a", "n1", "n2")
        check = f"{CHECKS}/node-is-mirror-sync-critical"
        assert await browsers["n1"].json(check) == {"status": "ok"}
        cluster.kill("n2")
        answer = await browsers["n1"].ask(check)
        assert answer.status == 503
        row = {"name": "a", "readable_name": "queue 'a' in vhost '/'", "virtual_host": "/", "type": "classic"}
        assert answer.json["queues"] == [row]
