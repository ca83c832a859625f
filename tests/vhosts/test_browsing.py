"""Looks at queues: what is seen, from every node, and that nothing changes by them."""

from random import Random

import pytest
import trio

from broker.cluster.refusal import Refused
from broker.queues import page
from broker.server.presence import SessionPresence
from broker.vhosts import browsing, by_hand, paging, walk
from broker.vhosts.browsing import look_of
from broker.vhosts.portrait import Pattern, shown
from broker.wire import methods
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk, BasicGet, BasicQos, BasicQosOk
from broker.wire.content import assemble, make_content
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of_properties
from tests.simulation.disk import SimDisk
from tests.vhosts.halls import VirtualClock, open_cluster
from tests.vhosts.room import open_hall


def bodies(answer):
    return [message["body"] for message in answer["messages"]]


async def filled(node, *numbers, queue="q", **arguments):
    facts = {"vhost": "/", "name": queue, "durable": True, "arguments": arguments, "node": "n1", "life": 1}
    await node.hall.tree.propose({"do": "declare_queue", **facts})
    vhost = node.hall.catalogue.vhosts["/"]
    texts = [str(number).encode() for number in numbers]
    assert (await by_hand.publish(vhost, "", queue, texts, persistent=True))["published"] == len(numbers)


@pytest.mark.parametrize("looker", ["n1", "n2"])
async def test_who_holds_what_is_told_wherever_consumer_and_master_are(autojump_clock, monkeypatch, looker):
    asked = []
    names_of = SessionPresence.channel_names
    monkeypatch.setattr(
        SessionPresence, "channel_names", lambda self, channels: asked.append(self.pid[1:3]) or names_of(self, channels)
    )
    async with open_cluster(2) as cluster:
        await filled(cluster.nodes["n1"], *range(1, 6))
        for name in ("n1", "n2"):
            client = await cluster.nodes[name].client((1, 2))
            await client.ask(1, BasicQos(prefetch_count=1), BasicQosOk)
            await client.ask(1, BasicConsume(queue="q", consumer_tag=f"at {name}"), BasicConsumeOk)
            await client.deliveries(1)
            client.connection.call(2, BasicGet(queue="q"))
            await client.content()
        node = cluster.nodes[looker]
        answer = await node.hall.browsing.look(node.handle("q"), look_of({}))
        assert bodies(answer) == ["1", "2", "3", "4", "5"]
        held = [message["holder"] and (message["holder"]["node"], message["holder"]["consumer_tag"])
                for message in answer["messages"]]  # fmt: skip
        assert held == [("n1", "at n1"), ("n1", None), ("n2", "at n2"), ("n2", None), None]
        names = [message["holder"]["channel"].rpartition(" ")[2] for message in answer["messages"][:4]]
        assert names == ["(1)", "(2)", "(1)", "(2)"]
        assert answer["messages"][0]["holder"]["user"] == "guest"
        assert asked == ["n1", "n2"]  # however many messages are held
        assert (answer["messages_ready"], answer["messages_unacknowledged"], answer["next"]) == (1, 4, None)
        for state, seen in (("ready", ["5"]), ("unacked", ["1", "2", "3", "4"])):
            assert bodies(await node.hall.browsing.look(node.handle("q"), look_of({"state": state}))) == seen


async def test_a_look_changes_nothing(autojump_clock):
    async with open_cluster(2) as cluster:
        node = cluster.nodes["n2"]
        await filled(cluster.nodes["n1"], 1, 2, 3)
        queue = cluster.nodes["n1"].handle("q").local.queue
        before = (queue.statistics(), [(piece.first, piece.redelivered) for piece in queue.living()], queue.open_upto)
        for look in ({}, {"search": "2"}, {"limit": 1}, {"offset": 2}):
            await node.hall.browsing.look(node.handle("q"), look_of(look))
        after = (queue.statistics(), [(piece.first, piece.redelivered) for piece in queue.living()], queue.open_upto)
        assert after == before
        messages, _ = await by_hand.get(node.handle("q"), 3, keep=False)
        assert [(message["body"], message["redelivered"]) for message in messages] == [
            ("1", False), ("2", False), ("3", False)]  # fmt: skip


async def test_looking_is_no_use_of_a_queue_that_expires(autojump_clock):
    async with open_hall(clock=VirtualClock()) as hall:
        facts = {"vhost": "/", "name": "q", "node": "n1", "life": 1, "arguments": {"x-expires": 1000}}
        await hall.tree.propose({"do": "declare_queue", **facts})
        handle = hall.catalogue.vhosts["/"].handles["q"]
        for _ in range(4):
            await trio.sleep(0.3)
            if not handle.deleted:
                await hall.browsing.look(handle, look_of({}))
        assert handle.deleted


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(paging, "WINDOW_BYTES_MAX", 2000)
    monkeypatch.setattr(paging, "WINDOW_BYTES_MIN", 1000)
    monkeypatch.setattr(page, "PAGE_MESSAGES_MAX", 8)
    monkeypatch.setattr(walk, "STEP_MESSAGES", 5)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("priorities", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_what_is_on_disk_only_is_found_and_stays_there(autojump_clock, monkeypatch, priorities):
    async with open_hall(clock=VirtualClock(), disk=SimDisk(Random(1))) as hall:
        arguments = {"x-max-priority": 3} if priorities else {}
        facts = {"vhost": "/", "name": "q", "durable": True, "node": "n1", "life": 1, "arguments": arguments}
        await hall.tree.propose({"do": "declare_queue", **facts})
        vhost = hall.catalogue.vhosts["/"]
        handle = vhost.handles["q"]
        for number in range(80):
            properties = Properties(delivery_mode=2, priority=number % 3).encode()
            run = [assemble(1, properties, b"body %d." % number, 0)]
            handle.publish(Run(run, make_address("", "q"), traits_of_properties(properties)), None)
            if number % 10 == 9:
                await trio.sleep(0.001)
        queue = handle.local.queue
        assert queue.paged_messages > 30
        paged = queue.paged_messages
        found = await hall.browsing.look(handle, look_of({"search": "body 79."}))
        assert (bodies(found), found["scanned"], found["next"]) == (["body 79."], 80, None)
        seen, after = [], 0
        while after is not None:
            answer = await hall.browsing.look(handle, look_of({"after": after, "limit": 40}))
            seen, after = seen + bodies(answer), answer["next"]
        assert seen == [f"body {number}." for number in range(80)]
        assert bodies(await hall.browsing.look(handle, look_of({"offset": 40, "limit": 1}))) == ["body 40."]
        monkeypatch.setattr(walk, "READ_MESSAGES", 3)
        found = await hall.browsing.look(handle, look_of({"limit": 80}))
        assert (bodies(found), found["scanned"]) == (seen, 80)
        assert queue.paged_messages == paged


async def test_a_search_ends_after_a_while_and_says_where_it_goes_on(autojump_clock, monkeypatch):
    monkeypatch.setattr(browsing, "SCANNED_MAX", 10)
    monkeypatch.setattr(walk, "STEP_MESSAGES", 4)
    async with open_cluster(1) as cluster:
        node = cluster.nodes["n1"]
        await filled(node, *range(1, 31))
        looks, after = [], 0
        while after is not None:
            answer = await node.hall.browsing.look(node.handle("q"), look_of({"search": "30", "after": after}))
            looks.append((answer["scanned"], bodies(answer)))
            after = answer["next"]
        assert looks == [(12, []), (12, []), (6, ["30"])]


def test_halves_of_characters_are_refused_where_somebody_asks():
    with pytest.raises(UnicodeError):
        look_of({"search": "\ud800"})


async def test_what_is_taken_while_it_is_read_is_not_shown(autojump_clock, monkeypatch):
    monkeypatch.setattr(paging, "WINDOW_BYTES_MAX", 2000)
    monkeypatch.setattr(paging, "WINDOW_BYTES_MIN", 1000)
    async with open_hall(clock=VirtualClock(), disk=SimDisk(Random(1))) as hall:
        await hall.declarations.declare_plain("/", "q")
        vhost = hall.catalogue.vhosts["/"]
        handle = vhost.handles["q"]
        for _ in range(10):
            await by_hand.publish(vhost, "", "q", [b"x" * 100] * 10, persistent=True)
        load = handle.local.pager.load

        async def slow_load(first, last):
            runs = await load(first, last)
            monkeypatch.setattr(handle.local.pager, "load", load)
            await handle.purge()
            return runs

        monkeypatch.setattr(handle.local.pager, "load", slow_load)
        before = handle.local.queue.paged_messages
        answer = await hall.browsing.look(handle, look_of({"offset": 50, "limit": 100}))
        assert before > 60
        assert (answer["messages"], answer["next"]) == ([], None)


def run_with(body, frame_max=0, **properties):
    return Run([make_content(1, Properties(**properties), body, frame_max)], make_address("logs", "a.b"), None)


@pytest.mark.parametrize(
    ("body", "bytes_max", "seen", "encoding", "truncated"),
    [
        (b"short", 10, "short", "utf8", False),
        (b"0123456789x", 10, "0123456789", "utf8", True),
        ("12345678grün".encode(), 11, "12345678gr", "utf8", True),
        (b"\xff\x00", 1, "/w==", "base64", True),
        (b"ab\xc3", 10, "YWLD", "base64", False),
    ],
)
def test_how_much_of_a_body_is_shown(body, bytes_max, seen, encoding, truncated):
    portrait = shown(run_with(body), 0, bytes_max)
    assert (portrait["body"], portrait["encoding"], portrait["truncated"]) == (seen, encoding, truncated)
    assert portrait["body_bytes"] == len(body)


def test_properties_that_nobody_can_read_are_shown_as_bytes():
    content = assemble(1, b"\xff\xff\x00", b"", 0)
    assert shown(Run([content], make_address("", "q"), None), 0)["properties"] == {"raw": "//8A"}
    assert not Pattern("x").is_in(Run([content], make_address("", "q"), None), 0)


@pytest.mark.parametrize("text", ["needle", "a.b", "logs", "x-tenant", "acme", "42", "app"])
def test_what_a_search_looks_at(text):
    run = run_with(b"a needle", headers={"x-tenant": "acme", "n": 42}, app_id="app")
    assert Pattern(text).is_in(run, 0)
    assert not Pattern("delivery_mode").is_in(run, 0)
    assert Pattern("needle").is_in(run_with(b"..needle", frame_max=12), 0), "in two frames"


@pytest.mark.parametrize("wrong", [{"state": "dead"}, {"limit": -1}, {"after": "x"}])
def test_a_look_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(Refused):
        look_of(wrong)


async def test_a_queue_without_a_master_is_refused_at_once(autojump_clock):
    async with open_cluster(2) as cluster:
        client = await cluster.nodes["n1"].client()
        await client.ask(1, methods.QueueDeclare(queue="q", durable=True), methods.QueueDeclareOk)
        node = cluster.nodes["n2"]
        cluster.kill("n1")
        with trio.fail_after(1), pytest.raises(Exception, match="home node 'rabbit@n1' of durable queue 'q'"):
            await node.hall.browsing.look(node.handle("q"), look_of({}))
