"""Who is first among many queues, and how fast they move."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.node.ranking import LOOK_S, STALE_S, Looks, Ranking
from broker.vhosts import by_hand
from tests.node.answering import commands_of
from tests.vhosts.halls import open_cluster


@asynccontextmanager
async def open_rankings(size=2):
    async with open_cluster(size) as cluster:
        yield cluster, {name: commands_of(node) for name, node in cluster.nodes.items()}


async def filled(node, name, count):
    hall = node.hall
    if name not in hall.catalogue.vhosts["/"].handles:
        await hall.declarations.declare_plain("/", name)
    await by_hand.publish(hall.catalogue.vhosts["/"], "", name, [b"x"] * count, persistent=False)


def names(answer):
    return [row["name"] for row in answer["rows"]]


async def test_the_first_of_all_nodes_come_first(autojump_clock):
    async with open_rankings() as (cluster, commands):
        for number, node in enumerate(("n1", "n2", "n1", "n2")):
            await filled(cluster.nodes[node], f"q{number}", (number * 3) % 4 + 1)
        asked = {"do": "top", "limit": 3}
        for node in ("n1", "n2"):
            answer = await commands[node].answer(asked)
            assert [(row["name"], row["messages"], row["master"]) for row in answer["rows"]] == [
                ("q1", 4, "n2"), ("q2", 3, "n1"), ("q3", 2, "n2")]  # fmt: skip
            assert answer["nodes"]["n1"]["queues"] == answer["nodes"]["n2"]["queues"] == 2
            assert answer["nodes"]["n2"]["messages"] == 6
        assert names(await commands["n1"].answer({**asked, "sort": "name"})) == ["q0", "q1", "q2"]
        found = await commands["n1"].answer({**asked, "filter": "3"})
        assert (names(found), found["nodes"]["n2"]["matching"], found["nodes"]["n1"]["matching"]) == (["q3"], 1, 0)


async def test_rates_are_what_was_counted_between_two_looks(autojump_clock):
    async with open_rankings() as (cluster, commands):
        await filled(cluster.nodes["n2"], "q", 10)
        asked = {"do": "top", "sort": "in"}
        first = await commands["n1"].answer(asked)
        assert (first["rows"][0]["in_rate"], first["nodes"]["n2"]["in_rate"]) == (None, None)
        await trio.sleep(2)
        await filled(cluster.nodes["n2"], "q", 10)
        await filled(cluster.nodes["n2"], "fresh", 40)
        handle = cluster.nodes["n1"].handle("q")
        await by_hand.get(handle, 5, keep=False)
        (fresh, q) = (await commands["n1"].answer(asked))["rows"]
        assert fresh["name"] == "fresh"
        assert fresh["in_rate"] == pytest.approx(20, rel=0.05)
        assert (q["in_rate"], q["out_rate"]) == (pytest.approx(5, rel=0.05), pytest.approx(2.5, rel=0.05))
        at_once = (await commands["n2"].answer(asked))["rows"][0]
        assert at_once["in_rate"] == pytest.approx(20, rel=0.05), "a second onlooker does not spoil it"


async def test_queues_without_a_master_are_told_apart(autojump_clock):
    async with open_rankings() as (cluster, commands):
        await cluster.nodes["n2"].hall.declarations.declare_plain("/", "lost")
        await filled(cluster.nodes["n1"], "kept", 1)
        cluster.kill("n2")
        answer = await commands["n1"].answer({"do": "top"})
        assert (names(answer), answer["waiting_count"]) == (["kept"], 1)
        assert [(row["name"], row["state"]) for row in answer["waiting"]] == [("lost", "waiting")]
        assert (await commands["n1"].answer({"do": "top", "filter": "kept"}))["waiting"] == []


async def test_a_node_that_says_nothing_is_named(autojump_clock):
    async with open_rankings() as (cluster, commands):
        cluster.network.cut("n1", "n2")
        answer = await commands["n1"].answer({"do": "top"})
        assert (answer["silent"], list(answer["nodes"])) == (["n2"], ["n1"])


@pytest.mark.parametrize("wrong", [{"sort": "size"}, {"limit": -1}, {"filter": 5}])
async def test_what_makes_no_sense_is_refused(autojump_clock, wrong):
    async with open_rankings(1) as (_, commands):
        assert (await commands["n1"].answer({"do": "top", **wrong}))["code"] == "invalid"


def test_only_looks_that_say_something_of_now_count():
    looks = Looks()
    assert looks.since(0.0) is None
    looks.note(0.0, {1: (5, 0)})
    assert looks.since(LOOK_S / 2) is None
    looks.note(LOOK_S / 2, {1: (9, 0)})
    assert looks.since(1.0) == (1.0, {1: (5, 0)}), "the second came too soon to count"
    looks.note(1.0, {1: (7, 0)})
    assert looks.since(1.2) == (1.2, {1: (5, 0)})
    assert looks.since(2.0) == (1.0, {1: (7, 0)})
    assert looks.since(1.1 + STALE_S) is None


async def test_ten_thousand_queues_are_ranked_in_steps(autojump_clock, monkeypatch):
    monkeypatch.setattr("broker.node.ranking.STEP_QUEUES", 2)
    async with open_cluster(1) as cluster:
        node = cluster.nodes["n1"]
        for number in range(5):
            await filled(node, f"q{number}", number)
        ranking, turns = Ranking(node.hall), []

        async def others():
            while True:
                turns.append(len(turns))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            assert names(await ranking.answer({"limit": 1})) == ["q4"]
            nursery.cancel_scope.cancel()
        assert len(turns) >= 3
