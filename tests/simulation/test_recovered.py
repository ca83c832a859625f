"""What was set aside is listed by any node, shown, and published again: with confirms, once, and struck off
everywhere."""

from typing import Any

import pytest

from broker.cluster.refusal import Refused
from broker.node.recoveries import Recoveries
from broker.vhosts import by_hand
from broker.wire.methods import QueueBind, QueueBindOk
from broker.wire.properties import Properties
from tests.simulation.stage import Inbox, Stage
from tests.simulation.world import World, policy, simulate, until

ALWAYS = {"ha-mode": "nodes", "ha-params": ["n1", "n2"], "ha-promote-on-failure": "always"}
HEADERS = {"tries": 3, "list": [b"\xff", True]}


async def lose_two(world: World) -> None:
    """Queue "orders", behind exchange "amq.direct": two messages are in a file of n1, one is in the queue, on n2."""
    stage = Stage(world)
    hall = world.hall("n1")
    assert hall is not None
    await hall.declarations.declare_plain("/", "orders")
    client = await stage.client("n1")
    await client.call(QueueBind(queue="orders", exchange="amq.direct", routing_key="urgent"), QueueBindOk)
    await client.confirm_select()
    for body in (b"one", b"\xfftwo"):
        client.publish_to("amq.direct", "urgent", body, Properties(headers=HEADERS, delivery_mode=2, priority=5))
    await client.flush()
    await client.wait_for(lambda: not client.unconfirmed)
    await hall.tree.propose({"do": "put_policy", **policy(ALWAYS, "^orders").as_json()})
    await until(lambda: len(world.queue("orders").mirrors) == 1, 5)
    local = hall.guests.locals[world.queue("orders").id]
    await until(lambda: local.master.witnesses.followers["n2"].joined, 5)  # the live stream has begun
    await by_hand.publish(hall.catalogue.vhosts["/"], "", "orders", [b"three"], persistent=True)
    world.kill("n1")
    await until(lambda: world.queue("orders", at="n2").master.node == "n2", 10)
    world.start("n1")
    await until(lambda: world.hall("n1") is not None and world.synchronised("orders"), 20)


def verbs_of(world: World, name: str) -> Any:
    node, hall = world.hosts[name].node, world.hall(name)
    assert node is not None
    assert hall is not None
    return Recoveries(hall, node.set_aside, node.timeline).verbs


def depth(world: World, queue: str) -> int:
    local = world.master(world.queue(queue))
    return 0 if local is None else local.queue.messages_ready


def test_any_node_lists_shows_and_replays() -> None:
    async def story(world: World) -> None:
        await lose_two(world)
        verbs = verbs_of(world, "n3")
        listed = await verbs["recovered_list"]({})
        (row,) = listed["files"]
        assert listed["silent"] == []
        assert (row["node"], row["queue"], row["messages"]) == ("n1", "orders", 2)
        assert row["why"] == "n2 became master without being synchronised"
        shown = await verbs["recovered_show"]({"file": row["file"], "count": 1})
        assert shown["remaining"] == 1
        (message,) = shown["messages"]
        assert (message["exchange"], message["key"], message["body"]) == ("amq.direct", "urgent", "one")

        inbox = Inbox(consumer := await Stage(world).client("n2"))
        await consumer.consume("orders", 10)
        await until(lambda: inbox.bodies == [b"three"], 5)
        answer = await verbs["recovered_replay"]({"file": f"/some/where/{row['file']}"})
        assert answer == {"confirmed": 2, "kept": 0, "why": {}, "silent": []}
        await until(lambda: inbox.bodies == [b"three", b"one", b"\xfftwo"], 5)
        assert (await verbs["recovered_list"]({}))["files"] == []

    simulate(1, story)


@pytest.mark.slow
def test_what_is_not_confirmed_stays_and_another_queue_can_take_it() -> None:
    async def story(world: World) -> None:
        await lose_two(world)
        verbs = verbs_of(world, "n2")
        (row,) = (await verbs["recovered_list"]({}))["files"]
        hall = world.hall("n2")
        assert hall is not None
        with pytest.raises(Refused, match="no queue 'none' in vhost '/'"):
            await verbs["recovered_replay"]({"file": row["file"], "queue": "none"})
        await hall.declarations.delete(hall.catalogue.vhosts["/"].handle("orders"), if_unused=False, if_empty=False)
        refused = await verbs["recovered_replay"]({"file": row["file"]})
        assert refused == {
            "confirmed": 0,
            "kept": 2,
            "why": {"no queue takes them": 2},
            "silent": [],
        }
        await hall.declarations.declare_plain("/", "again")
        handle = hall.catalogue.vhosts["/"].handle("again")
        assert await verbs["recovered_replay"]({"file": row["file"], "queue": "again"}) == {
            "confirmed": 2,
            "kept": 0,
            "why": {},
            "silent": [],
        }
        messages, _ = await by_hand.get(handle, 9, keep=True)
        assert [(message["exchange"], message["key"]) for message in messages] == [("amq.direct", "urgent")] * 2
        assert messages[0]["properties"]["priority"] == 5

    simulate(2, story)


@pytest.mark.slow
def test_a_file_can_be_dropped() -> None:
    async def story(world: World) -> None:
        await lose_two(world)
        verbs = verbs_of(world, "n2")
        (row,) = (await verbs["recovered_list"]({}))["files"]
        assert await verbs["recovered_drop"]({"file": row["file"]}) == {"messages": 2}
        assert (await verbs["recovered_list"]({}))["files"] == []

    simulate(3, story)
