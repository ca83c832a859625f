"""Masters are moved, spread and taken off nodes at an operator's word, and nothing is lost by it."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.node.masters import Masters
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk
from broker.wire.content import body_of
from tests.node.answering import commands_of
from tests.vhosts.halls import open_cluster

MANUAL = {"ha-sync-mode": "manual"}
AUTOMATIC = {"ha-sync-mode": "automatic"}


@asynccontextmanager
async def open_commands(size=3):
    async with open_cluster(size) as cluster:
        yield cluster, {name: commands_of(node) for name, node in cluster.nodes.items()}


async def filled(cluster, commands, queue="q", count=3, node="n1"):
    """A queue whose master is on this node, with so many messages."""
    await cluster.nodes[node].hall.declarations.declare_plain("/", queue)
    bodies = [{"body": f"{number}", "encoding": "utf8"} for number in range(count)]
    await commands[node].answer({"do": "publish", "key": queue, "bodies": bodies, "persistent": True})


def shown(cluster, queue="q"):
    record = cluster.queue(queue)
    in_sync = {life.node for life in record.in_sync}
    return " ".join(life.node + "*" * (life.node in in_sync) for life in (record.master, *record.mirrors))


class TestTransfer:
    async def test_a_mirror_that_lacks_something_is_filled_first(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            await filled(cluster, commands, count=30)
            cluster.mirror(**MANUAL)
            await trio.sleep(1)
            assert shown(cluster) == "n1* n2 n3"
            asked = {"do": "transfer", "queue": "q", "node": "rabbit@n3"}
            assert await commands["n2"].answer(asked) == {"from": "n1", "to": "n3", "missing": 0}
            assert cluster.queue("q").master.node == "n3"
            got = await commands["n1"].answer({"do": "get", "queue": "q", "count": 100})
            assert [message["body"] for message in got["messages"]] == [f"{number}" for number in range(30)]

    async def test_consumers_follow(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**AUTOMATIC)
            await filled(cluster, commands, count=0)
            client = await cluster.nodes["n1"].client()
            await client.ask(1, BasicConsume(queue="q", no_ack=True), BasicConsumeOk)
            await commands["n2"].answer({"do": "promote", "queue": "q", "node": "n2"})
            await filled(cluster, commands, count=5, node="n3")
            assert [body_of(content) for _, content in await client.deliveries(5)] == [b"%d" % n for n in range(5)]
            await cluster.until_in_sync("q", "n1", "n2", "n3")
            assert shown(cluster) == "n2* n3* n1*"

    async def test_to_where_it_is_already_and_where_it_cannot_go(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            await filled(cluster, commands)
            asked = {"do": "transfer", "queue": "q"}
            assert await commands["n2"].answer({**asked, "node": "n1"}) == {"from": "n1", "to": "n1", "missing": 0}
            assert await commands["n2"].answer({**asked, "node": "n2"}) == {
                "error": "n2 has no mirror of queue 'q': its copies are on n1",
                "code": "not_found",
            }
            cluster.kill("n1")
            answer = await commands["n2"].answer({**asked, "node": "n2"})
            assert answer == {"error": "queue 'q' has no master: waiting for n1", "code": "unavailable"}

    async def test_an_operators_promotion_says_what_is_known_to_be_missing(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            await filled(cluster, commands, count=7)
            cluster.mirror(**MANUAL, **{"ha-promote-on-failure": "when-synced"})
            await cluster.until(lambda: cluster.nodes["n3"].copy("q").lacking)
            cluster.kill("n1")
            asked = {"do": "promote", "queue": "q", "node": "n3"}
            assert await commands["n2"].answer(asked) == {"from": "n1", "to": "n3", "missing": 7}

    async def test_an_operators_promotion_of_one_that_was_away_does_not_say_that_nothing_is_missing(
        self, autojump_clock
    ):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**AUTOMATIC, **{"ha-promote-on-failure": "when-synced"})
            await filled(cluster, commands, count=2)
            cluster.kill("n3")
            await filled(cluster, commands, count=1)
            cluster.kill("n1")
            cluster.kill("n2")
            await cluster.start("n3", life=2)
            cluster.decree.decide(do="reconcile")
            answer = await commands_of(cluster.nodes["n3"]).answer({"do": "promote", "queue": "q", "node": "n3"})
            assert answer == {"from": "n2", "to": "n3", "missing": None}


class TestRebalance:
    async def test_scenario_30_nobody_keeps_more_than_a_share(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**AUTOMATIC)
            for number in range(6):
                await filled(cluster, commands, f"q{number}", 10 * (6 - number))
            answer = await commands["n2"].answer({"do": "rebalance"})
            assert answer["rows"] == [{"node": name, "quorum": 0, "classic": 2} for name in ("n1", "n2", "n3")]
            assert [move["queue"] for move in answer["moved"]] == ["q5", "q4", "q3", "q2"], "the smallest first"
            assert answer["failed"] == []
            again = await commands["n3"].answer({"do": "rebalance", "type": "classic"})
            assert (again["moved"], again["rows"]) == ([], answer["rows"])

    async def test_only_what_is_meant(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**AUTOMATIC)
            for name in ("a1", "a2", "b1", "b2"):
                await filled(cluster, commands, name)
            answer = await commands["n1"].answer({"do": "rebalance", "queue_pattern": "^a"})
            assert {move["queue"] for move in answer["moved"]} == {"a1"}
            assert sum(row["classic"] for row in answer["rows"]) == 2
            for wanted in ({"type": "quorum"}, {"vhost_pattern": "^other$"}):
                assert (await commands["n1"].answer({"do": "rebalance", **wanted}))["rows"] == []

    async def test_queues_without_copies_and_nodes_in_maintenance(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            await filled(cluster, commands, "alone")
            cluster.decree.decide(do="drain_node", node="n3")
            cluster.mirror(**AUTOMATIC)
            cluster.decree.decide(
                do="put_policy", vhost="/", name="none", pattern="alone", priority=1, definition={"expires": 100000}
            )
            for number in range(4):
                await filled(cluster, commands, f"q{number}")
            answer = await commands["n1"].answer({"do": "rebalance"})
            assert answer["rows"] == [{"node": name, "quorum": 0, "classic": 2} for name in ("n1", "n2")]

    async def test_scenario_30_a_second_one_is_refused(self, autojump_clock, monkeypatch):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**AUTOMATIC)
            for number in range(3):
                await filled(cluster, commands, f"q{number}")
            goes_on = trio.Event()
            move = Masters._move

            async def slow(self, *arguments):
                await goes_on.wait()
                await move(self, *arguments)

            monkeypatch.setattr(Masters, "_move", slow)
            answers = []

            async def first():
                answers.append(await commands["n1"].answer({"do": "rebalance"}))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                await trio.sleep(1)
                refusal = {"error": "rebalance_in_progress", "code": "rebalance_in_progress"}
                for name in ("n1", "n2"):
                    assert await commands[name].answer({"do": "rebalance"}) == refusal
                goes_on.set()
            assert len(answers[0]["moved"]) == 2
            assert "error" not in await commands["n2"].answer({"do": "rebalance"})

    async def test_a_move_that_is_refused_is_told(self, autojump_clock, monkeypatch):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**MANUAL)
            for number in range(2):
                await filled(cluster, commands, f"q{number}")
            monkeypatch.setattr("broker.node.masters.FILL_TIMEOUT_S", 0.5)
            for name in ("n2", "n3"):
                record = cluster.queue("q0")
                cluster.decree.decide(do="leave_in_sync", id=record.id, node=name, life=1, version=record.version)
                monkeypatch.setattr(cluster.nodes["n1"].hall.followers, "_enter", never)
            answer = await commands["n1"].answer({"do": "rebalance", "queue_pattern": "q"})
            assert [move["queue"] for move in answer["failed"]] == ["q0"]
            assert [move["queue"] for move in answer["moved"]] == ["q1"]

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ({"type": "foo"}, "type foo is not supported. Try one of all, classic, quorum."),
            ({"queue_pattern": "("}, "a pattern is no regular expression: missing ) at position 1"),
        ],
    )
    async def test_what_is_misspelled(self, autojump_clock, wrong, why):
        async with open_commands(1) as (_, commands):
            answer = await commands["n1"].answer({"do": "rebalance", **wrong})
            assert answer["error"].startswith(why)
            assert answer["code"] == "invalid"


async def never(local, follower):
    await trio.sleep_forever()


class TestMaintenance:
    async def test_a_drained_node_gives_its_masters_away(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            cluster.mirror(**AUTOMATIC)
            await filled(cluster, commands)
            assert await commands["n1"].answer({"do": "drain"}) == {"node": "n1", "changed": True, "staying": []}
            assert shown(cluster) == "n2* n3* n1*" or shown(cluster) == "n2* n3* n1"
            assert await commands["n2"].answer({"do": "revive", "node": "n1"}) == {"node": "n1", "changed": True}
            assert await commands["n1"].answer({"do": "revive"}) == {"node": "n1", "changed": False}

    async def test_clients_are_waited_for_and_masters_without_a_mirror_named(self, autojump_clock):
        async with open_commands() as (cluster, commands):
            await filled(cluster, commands)
            await cluster.nodes["n1"].client()
            began = trio.current_time()
            assert (await commands["n1"].answer({"do": "drain"}))["staying"] == ["q"]
            assert trio.current_time() - began == pytest.approx(5, abs=0.1), "nobody tells this client to go"
            answer = await commands["n1"].answer({"do": "drain", "node": "n9"})
            assert answer == {"error": "n9 is not a member of this cluster", "code": "not_found"}
