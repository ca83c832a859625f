"""What was confirmed and lost to an unsynchronised promotion is kept for people, not thrown away (S5)."""

import json
from typing import Any

from broker.vhosts import by_hand
from tests.simulation.world import World, policy, simulate, until

ALWAYS = {"ha-mode": "nodes", "ha-params": ["n1", "n2"], "ha-promote-on-failure": "always"}


def timeline_of(world: World, name: str) -> list[dict[str, Any]]:
    node = world.hosts[name].node
    assert node is not None
    return node.timeline.since(0)


def test_messages_of_a_master_that_was_replaced_by_an_unsynchronised_mirror_are_kept_in_a_file() -> None:
    async def story(world: World) -> None:
        hall = world.hall("n1")
        assert hall is not None
        await hall.declarations.declare_plain("/", "orders")
        vhost = hall.catalogue.vhosts["/"]
        await by_hand.publish(vhost, "", "orders", [b"one", b"two"], persistent=True)
        await hall.tree.propose({"do": "put_policy", **policy(ALWAYS, "^orders").as_json()})
        await until(lambda: len(world.queue("orders").mirrors) == 1, 5)
        local = hall.guests.locals[world.queue("orders").id]
        await until(lambda: local.master.witnesses.followers["n2"].joined, 5)  # the live stream has begun
        await by_hand.publish(vhost, "", "orders", [b"three"], persistent=True)
        world.kill("n1")
        await until(lambda: world.queue("orders", at="n2").master.node == "n2", 10)
        (event,) = [event for event in timeline_of(world, "n2") if event["kind"] == "promotion"]
        assert (event["to"], event["missing"]) == ("n2", 2)
        world.start("n1")
        await until(lambda: world.hall("n1") is not None and world.synchronised("orders"), 20)
        heir = world.hall("n2")
        assert heir is not None
        messages, _ = await by_hand.get(heir.catalogue.vhosts["/"].handle("orders"), 9, keep=True)
        assert [message["body"] for message in messages] == ["three"]
        disk = world.hosts["n1"].disk
        await until(lambda: any(event["kind"] == "set_aside" for event in timeline_of(world, "n1")), 5)
        (name,) = await disk.list_names("set-aside")
        kept = [json.loads(line) for line in (await disk.read(name)).splitlines()]
        assert [message["body"] for message in kept] == ["one", "two"]

    simulate(1, story)
