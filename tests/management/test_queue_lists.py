"""Pages of queues: in order, and with few questions to the masters; and who did not answer."""

import pytest
import trio

from broker.management import queue_lists, testimony, tree_records
from broker.management.census import DEADLINE_S
from tests.management.test_resources import declare, open_two, sleep_on

COUNTS = {"a": 3, "b": 1, "c": 4, "d": 1, "e": 5}


async def fill(cluster):
    for number, (name, count) in enumerate(COUNTS.items()):
        await declare(cluster.nodes[f"n{number % 2 + 1}"].hall, name, count)


def listen(monkeypatch):
    """What masters are asked for from now on: (which figure, how many queues)."""
    heard = []
    answer = testimony.Testimony.answer

    async def listening(self, asked):
        column = asked.get("column")
        heard.append((None if column is None else column[0][0], len(asked.get("queues", []))))
        return await answer(self, asked)

    monkeypatch.setattr(testimony.Testimony, "answer", listening)
    return heard


async def names(browser, query):
    return "".join(row["name"] for row in (await browser.json(f"queues?page=1&{query}"))["items"])


async def test_by_a_figure_only_that_is_asked_of_all(autojump_clock, monkeypatch):
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        heard = listen(monkeypatch)
        for browser in browsers.values():
            assert await names(browser, "page_size=2&sort=messages&sort_reverse=true") == "ec"
            assert sum(count for name, count in heard if name == "messages_ready") == 5
            assert sum(count for name, count in heard if name is None) == 2
            heard.clear()
        assert await names(browsers["n1"], "sort=message_stats.publish") == "bdace"


async def test_by_what_the_tree_knows_nobody_is_asked_but_for_the_page(autojump_clock, monkeypatch):
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        heard = listen(monkeypatch)
        for query, shown in ("", "abcde"), ("sort=node&sort_reverse=true", "dbeca"), ("sort=arguments.x", "abcde"):
            assert await names(browsers["n1"], f"page_size=5&{query}") == shown
            assert sum(count for _, count in heard) == 5
            heard.clear()
        assert await names(browsers["n1"], "name=c") == "c"
        assert heard == [(None, 1)]


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("columns=name,messages", ["messages_ready"]),
        ("columns=name,consumers,message_bytes&sort=messages_ready&sort_reverse=true", None),
        ("columns=arguments.x,vhost&sort=node", []),
        ("columns=messages.x,name", ["messages_ready"]),
    ],
)
async def test_of_few_fields_only_those_are_asked_for(autojump_clock, monkeypatch, query, columns):
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        with monkeypatch.context() as patch:
            patch.setattr(queue_lists, "FEW", -1)
            whole = await browsers["n1"].json(f"queues?{query}")
        heard = listen(monkeypatch)
        assert await browsers["n1"].json(f"queues?{query}") == whole
        assert None not in [column for column, _ in heard]
        if columns is not None:
            assert {column for column, _ in heard} == set(columns)
        cluster.nodes["n2"].hall.switchboard.answer("census", sleep_on)
        answer = await browsers["n1"].ask("queues?columns=name,messages")
        assert [row.get("messages") for row in answer.json] == [3, None, 4, None, 5]
        assert answer.headers["x-warren-silent-nodes"] == "n2"


async def test_by_anything_else_all_is_asked_for(autojump_clock):
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        assert await names(browsers["n1"], "sort=pid&page_size=2") == "ac"


async def test_without_statistics_nobody_is_asked(autojump_clock, monkeypatch):
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        heard = listen(monkeypatch)
        bare = {"name", "vhost", "type", "node", "state", "durable", "auto_delete", "exclusive", "arguments"}
        for query in "", "&page=1":
            answer = await browsers["n1"].json(f"queues?disable_stats=true{query}")
            rows = answer["items"] if query else answer
            assert len(rows) == 5
            assert set(rows[0]) == bare
        assert set(await browsers["n1"].json("queues/%2F/a?disable_stats=true")) > bare
        assert "messages" not in (await browsers["n1"].json("vhosts?disable_stats=true"))[0]
        assert not heard
        rows = await browsers["n1"].json("queues?disable_stats=true&enable_queue_totals=true")
        assert set(rows[0]) == bare | {"messages", "messages_ready", "messages_unacknowledged"}
        assert [row["messages"] for row in rows] == list(COUNTS.values())


async def test_long_lists_are_read_in_pieces(autojump_clock, monkeypatch):
    monkeypatch.setattr(tree_records, "RECORDS_PER_TURN", 2)
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        assert await names(browsers["n2"], "") == "abcde"
        assert await names(browsers["n2"], "page=1&page_size=1") == "a"


async def test_an_answer_says_whose_share_is_missing(autojump_clock):
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        for path in "queues", "overview", "vhosts", "nodes", "connections", "exchanges":
            assert "x-warren-silent-nodes" not in (await browsers["n2"].ask(path)).headers
        cluster.nodes["n1"].hall.switchboard.answer("census", sleep_on)
        cluster.nodes["n1"].hall.switchboard.answer("roster", sleep_on)
        for path in (
            "queues",
            "queues/%2F/a",
            "queues?page=1&sort=messages",
            "overview",
            "vhosts",
            "nodes",
            "channels",
        ):
            began = trio.current_time()
            answer = await browsers["n2"].ask(path)
            assert (answer.status, answer.headers["x-warren-silent-nodes"]) == (200, "n1"), path
            assert trio.current_time() - began <= DEADLINE_S + 0.1
        rows = {row["name"]: row["state"] for row in (await browsers["n2"].ask("queues")).json}
        assert rows == {"a": "down", "b": "running", "c": "down", "d": "running", "e": "down"}
        assert (await browsers["n2"].ask("overview")).json["queue_totals"]["messages"] == 2


async def test_what_was_read_is_read_anew_when_the_tree_has_changed(autojump_clock, monkeypatch):
    monkeypatch.setattr(tree_records, "RECORDS_PER_TURN", 1)
    async with open_two() as (cluster, browsers):
        await fill(cluster)
        hall = cluster.nodes["n1"].hall
        records = tree_records.QueueRecords(lambda: hall.tree.tree)

        async def called():
            return "".join([record.name for record in await records.of(["/"])])

        assert await called() == "abcde"
        assert await records.of(["/"]) is await records.of(["/"])
        await declare(hall, "bb")
        assert await called() == "abbbcde"
        await declare(hall, "f")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(called)
            nursery.start_soon(declare, hall, "aa")
        assert await called() == "aaabbbcdef"
        assert (await browsers["n1"].ask("queues/%2F/b", "DELETE")).status == 204
        assert await called() == "aaabbcdef"
