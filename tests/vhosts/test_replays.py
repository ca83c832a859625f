"""Dead letters that go back: which, where, as whom, and what stays when something goes wrong."""

import pytest
import trio

from broker.cluster.refusal import Refused
from broker.queues.settings import Settings
from broker.vhosts import by_hand, parcels, replays, walk
from broker.vhosts.parcels import REFUSED, UNCONFIRMED, UNROUTABLE
from broker.vhosts.replays import FORBIDDEN, NOT_DEAD, REPLAYED, wish_of
from broker.wire import queue_frames as frames
from tests.vhosts.halls import open_cluster
from tests.vhosts.room import open_hall

NOTHING = {"kept": {}, "ways": [], "next": None}


async def declare(hall, name, durable=True, **arguments):
    facts = {"vhost": "/", "name": name, "durable": durable, "node": hall.life.node, "life": hall.life.number}
    await hall.tree.propose({"do": "declare_queue", "arguments": arguments, **facts})


async def bury(hall, *texts, queue="work", dead="dead"):
    """Publish them into a queue whose consumers reject everything, so that they end in another."""
    vhost = hall.catalogue.vhosts["/"]
    if dead not in vhost.handles:
        await declare(hall, dead)
    if queue not in vhost.handles:
        await declare(hall, queue, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    await by_hand.publish(vhost, "", queue, [text.encode() for text in texts], persistent=True)
    await reject(hall, len(texts), queue, dead)


async def reject(hall, count, queue="work", dead="dead"):
    """Take so many and do not want them; returns when they are where the dead go."""
    before = await ready(hall, dead)
    handle = hall.catalogue.vhosts["/"].handles[queue]
    assert len(await by_hand.take(handle, count, frames.REJECT, lambda run, _: run)) == count
    with trio.fail_after(5):
        while await ready(hall, dead) < before + count:  # noqa: ASYNC110 - nothing rings when it is so
            await trio.sleep(0.01)


async def ready(hall, queue="dead"):
    return (await hall.catalogue.vhosts["/"].handles[queue].counts())["messages_ready"]


async def replay(hall, queue="dead", **wish):
    return await hall.replays.replay(hall.catalogue.vhosts["/"].handles[queue], wish_of(wish))


async def bodies(hall, queue):
    messages, _ = await by_hand.get(hall.catalogue.vhosts["/"].handles[queue], 1000, keep=True)
    return [message["body"] for message in messages]


@pytest.mark.parametrize("node", ["n1", "n2"])
async def test_letters_go_back_where_they_came_from_wherever_the_masters_are(autojump_clock, node):
    async with open_cluster(2) as cluster:
        hall = cluster.nodes["n1"].hall
        await declare(cluster.nodes["n2"].hall, "dead")
        await bury(hall, "1", "2", "3")
        asked = cluster.nodes[node].hall
        dry = await replay(asked, dry_run=True)
        assert dry["ways"] == [{"exchange": "", "keys": ["work"], "queues": ["work"], "messages": 3}]
        assert (await ready(hall), await ready(hall, "work")) == (3, 0)
        done = await replay(asked)
        assert done == {**NOTHING, "scanned": 3, "matched": 3, "replayed": 3, "upto": 3}
        assert (await ready(hall), await bodies(hall, "work")) == (0, ["1", "2", "3"])
        messages, _ = await by_hand.get(hall.catalogue.vhosts["/"].handles["work"], 3, keep=True)
        headers = messages[0]["properties"]["headers"]
        assert headers["x-replay-count"] == {"$": "Long", "value": 1}
        assert [death["queue"] for death in headers["x-replayed-deaths"]] == ["work"]
        assert "x-death" not in headers


async def test_what_was_replayed_before_stays_until_somebody_insists(autojump_clock):
    async with open_hall() as hall:
        await bury(hall, "bad")
        await replay(hall)
        await reject(hall, 1)
        await bury(hall, "good")
        done = await replay(hall)
        assert (done["replayed"], done["kept"], await bodies(hall, "work")) == (1, {REPLAYED: 1}, ["good"])
        assert (await replay(hall, again=True))["replayed"] == 1
        assert await bodies(hall, "dead") == []


async def test_filters_limits_and_other_destinations(autojump_clock):
    async with open_hall() as hall:
        await bury(hall, "apple", "pear", "apple pie", "plum")
        await bury(hall, "fig", queue="other")
        await declare(hall, "elsewhere")
        await hall.tree.propose({"do": "declare_exchange", "vhost": "/", "name": "fruit", "kind": "topic"})
        await hall.tree.propose({"do": "bind", "vhost": "/", "source": "fruit", "destination_kind": "queue",
                                 "destination": "elsewhere", "key": "sweet.#"})  # fmt: skip
        found = await replay(hall, search="apple", limit=1, to="elsewhere")
        assert (found["replayed"], found["next"]) == (1, 1)
        assert await bodies(hall, "elsewhere") == ["apple"]
        assert (await replay(hall, reason="expired"))["matched"] == 0
        assert (await replay(hall, original="other", exchange="fruit", key="sweet.fig"))["replayed"] == 1
        assert await bodies(hall, "elsewhere") == ["apple", "fig"]
        lost = await replay(hall, search="plum", exchange="fruit")
        assert (lost["replayed"], lost["kept"]) == (0, {UNROUTABLE: 1})
        assert await bodies(hall, "dead") == ["pear", "apple pie", "plum"]
        assert [message["redelivered"] for message in (await by_hand.get(
            hall.catalogue.vhosts["/"].handles["dead"], 9, keep=True))[0]] == [True] * 3  # fmt: skip


async def test_what_stays_is_as_if_nobody_had_looked(autojump_clock):
    async with open_hall() as hall:
        await bury(hall, "1", "2", "3")
        await hall.tree.propose({"do": "delete_queue", "vhost": "/", "name": "work"})
        queue = hall.catalogue.vhosts["/"].handles["dead"].local.queue
        before = queue.statistics()
        done = await replay(hall)
        assert (done["replayed"], done["kept"]) == (0, {UNROUTABLE: 3})
        await declare(hall, "work", **{"x-max-length": 2, "x-overflow": "reject-publish"})
        assert (await replay(hall))["kept"] == {REFUSED: 1}
        assert await bodies(hall, "work") == ["1", "2"]
        assert [piece.redelivered for piece in queue.living()] == [False]
        assert queue.statistics()["messages_ready"] == 1
        assert {**queue.statistics(), **dict.fromkeys(
            ("messages", "messages_ready", "message_bytes", "message_bytes_ready"), 0)} == {**before, **dict.fromkeys(
            ("messages", "messages_ready", "message_bytes", "message_bytes_ready"), 0)}  # fmt: skip


async def test_messages_that_never_died_stay_unless_it_is_said_where_they_go(autojump_clock):
    async with open_hall() as hall:
        await declare(hall, "dead")
        await declare(hall, "elsewhere")
        await by_hand.publish(hall.catalogue.vhosts["/"], "", "dead", [b"alive"], persistent=True)
        assert (await replay(hall))["kept"] == {NOT_DEAD: 1}
        assert (await replay(hall, to="elsewhere"))["replayed"] == 1


async def test_letters_that_lead_back_into_their_own_queue_are_not_replayed_for_ever(autojump_clock):
    async with open_hall() as hall:
        await bury(hall, "1", "2")
        with trio.fail_after(5):
            done = await replay(hall, to="dead")
        assert (done["replayed"], await bodies(hall, "dead")) == (2, ["1", "2"])


async def test_more_than_may_be_under_way_goes_portion_by_portion(autojump_clock, monkeypatch):
    monkeypatch.setattr(replays, "UNDER_WAY_MAX", 3)
    monkeypatch.setattr(replays, "SCANNED_MAX", 4)
    async with open_hall() as hall:
        await bury(hall, *map(str, range(20)))
        assert (await replay(hall, limit=5))["replayed"] == 5
        done = await replay(hall)
        assert (done["replayed"], done["scanned"], done["next"]) == (15, 15, None)
        assert await bodies(hall, "work") == [str(number) for number in range(20)]


async def test_a_paused_queue_is_replayed_all_the_same(autojump_clock):
    async with open_hall() as hall:
        await bury(hall, "1")
        await hall.tree.propose({"do": "pause_queue", "vhost": "/", "name": "dead", "paused": True})
        assert (await replay(hall))["replayed"] == 1


async def test_a_user_replays_only_to_where_he_may_publish(autojump_clock):
    async with open_hall() as hall:
        await bury(hall, "1")
        await hall.tree.propose({"do": "put_user", "name": "u", "password": "p", "tags": []})
        rights = {"configure": "", "write": "^fruit$", "read": ".*"}
        await hall.tree.propose({"do": "put_permission", "user": "u", "vhost": "/", **rights})
        assert (await replay(hall, user="u"))["kept"] == {FORBIDDEN: 1}
        rights["write"] = r"^amq\.default$"
        await hall.tree.propose({"do": "put_permission", "user": "u", "vhost": "/", **rights})
        assert (await replay(hall, user="u"))["replayed"] == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"to": "none"},
        {"exchange": "none"},
        {"key": "k"},
        {"to": "q", "exchange": ""},
        {"limit": -1},
        {"exchange": "amq.fanout", "key": "k" * 256},
    ],
)
async def test_wishes_that_make_no_sense(autojump_clock, wish):
    async with open_hall() as hall:
        await declare(hall, "dead")
        with pytest.raises(Refused):
            await replay(hall, **wish)


@pytest.mark.parametrize("name", ["search", "key", "user"])
def test_halves_of_characters_are_refused_where_somebody_asks(name):
    with pytest.raises(UnicodeError):
        wish_of({"exchange": "", name: "\ud800"})


async def test_others_have_their_turns_while_letters_are_gone_through(autojump_clock, monkeypatch):
    monkeypatch.setattr(walk, "STEP_MESSAGES", 10)
    async with open_hall() as hall:
        await declare(hall, "dead")
        await by_hand.publish(hall.catalogue.vhosts["/"], "", "dead", [b"alive"] * 100, persistent=True)
        turns, done = 0, trio.Event()

        async def count():
            nonlocal turns
            while not done.is_set():
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            assert (await replay(hall))["kept"] == {NOT_DEAD: 100}
            done.set()
        assert turns >= 8  # of nine pauses, of which a scheduler may give one to us


async def test_a_letter_that_is_not_confirmed_in_time_stays_and_does_not_come_twice(autojump_clock, monkeypatch):
    """Its target has it by the time of the second try: the place where it stood tells that."""
    monkeypatch.setattr(parcels, "CONFIRM_TIMEOUT_S", 1.0)
    async with open_cluster(2) as cluster:
        hall = cluster.nodes["n1"].hall
        await declare(cluster.nodes["n2"].hall, "work", **{"x-dead-letter-exchange": "",
                                                           "x-dead-letter-routing-key": "dead"})  # fmt: skip
        await bury(hall, "1")
        cluster.network.cut("n2", "n1", one_way=True)  # what n2 says is lost, not what it hears
        late = await replay(hall)
        assert (late["replayed"], late["kept"], await ready(hall)) == (0, {UNCONFIRMED: 1}, 1)
        cluster.network.heal()
        assert (await replay(hall))["replayed"] == 1
        assert await bodies(hall, "work") == ["1"]


async def test_a_master_that_dies_between_confirm_and_settle_loses_and_doubles_nothing(autojump_clock):
    async with open_cluster(3) as cluster:
        cluster.mirror()
        hall = cluster.nodes["n2"].hall
        await declare(hall, "work", **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
        await declare(cluster.nodes["n1"].hall, "dead")
        await bury(hall, "1", "2", "3")
        queue = cluster.nodes["n1"].handle("dead").local.queue

        def die(*_):
            if "n1" in cluster.nodes:
                cluster.kill("n1")

        queue.settle_aside = die
        assert (await replay(cluster.nodes["n3"].hall))["replayed"] == 3
        assert "n1" not in cluster.nodes
        assert (await ready(hall), await bodies(hall, "work")) == (0, ["1", "2", "3"])


def test_taking_aside_and_letting_go_leaves_a_queue_as_it_was():
    from broker.queues.queue import Queue
    from tests.queues.fakes import run_of

    queue = Queue(Settings(counts_returns=True, delivery_limit=0), logged=True)
    queue.publish(run_of(5), 0)
    queue.take_aside("me", 2, 4)
    assert (queue.messages_ready, queue.messages_unacked) == (2, 3)
    queue.settle_aside("me", 3, 3)
    queue.let_go("me", 1, 5)
    assert (queue.living_ranges(), queue.take_settled()) == ([(1, 2), (4, 5)], [(3, 3)])
    assert not queue.has_returned
    assert not any(piece.redelivered for piece in queue.living())
