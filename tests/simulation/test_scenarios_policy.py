"""Acceptance scenarios 1 to 8: policies and placement, on simulated clusters of the real nodes."""

from typing import Any

import pytest

from broker.cluster.records import QueueRecord, decode
from broker.cluster.watches import Change
from broker.wire.methods import QueueBind, QueueBindOk
from tests.simulation.client import Refused
from tests.simulation.stage import Inbox, Stage, bodies, play
from tests.simulation.world import HA_ALL, until

AUTOMATIC = {"ha-sync-mode": "automatic"}


def nodes(*names: str) -> dict[str, Any]:
    return {"ha-mode": "nodes", "ha-params": list(names), **AUTOMATIC}


def exactly(count: int) -> dict[str, Any]:
    return {"ha-mode": "exactly", "ha-params": count, **AUTOMATIC}


def test_scenario_01_mirrors_follow_the_policy() -> None:
    """Never the master alone in between."""

    async def scenario(stage: Stage) -> None:
        await stage.filled("q", 10)
        assert stage.placed("q") == ("n1", None)
        await stage.set_policy(HA_ALL)
        await stage.comes_to("q", "n1", "n2", "n3")

        alone: list[QueueRecord] = []

        def watch(change: Change) -> None:
            if change.new and change.path.endswith("/queues/q") and not decode(QueueRecord, change.new).mirrors:
                alone.append(decode(QueueRecord, change.new))

        tree = stage.world.tree("n1")
        assert tree is not None
        tree.watch("/", watch)
        await stage.set_policy(nodes("n1", "n2"))
        await stage.comes_to("q", "n1", "n2")
        await stage.set_policy(nodes("n1", "n3"))
        await stage.comes_to("q", "n1", "n3")
        assert not alone

        await stage.clear_policy()
        await until(lambda: stage.placed("q") == ("n1", None), 5)
        await stage.set_policy(nodes("n2", "n3"))
        await until(lambda: stage.placed("q") in [("n2", {"n3"}), ("n3", {"n2"})], 10)
        assert await (await stage.client("n1")).count("q") == 10

    play(scenario)


def test_scenario_02_exactly_takes_another_node_for_a_dead_one() -> None:
    """Without growing the cluster."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(exactly(2))
        await stage.filled("q", 10)
        mirror = next(iter(stage.placed("q")[1] or ()))
        third = ({"n2", "n3"} - {mirror}).pop()
        stage.world.kill(mirror)
        await stage.comes_to("q", "n1", third)
        await stage.set_policy(exactly(4))
        stage.world.start(mirror)
        await stage.comes_to("q", "n1", "n2", "n3")

    play(scenario)


def test_scenario_03_exactly_one_is_mirrored_without_mirrors() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(exactly(1))
        await stage.filled("q", 3)
        assert stage.row("q")["mirrors"] == []
        assert stage.row("q")["in_sync"] == []
        await stage.world.stop("n1")
        client = await stage.client("n2")
        with pytest.raises(Refused, match="404"):
            await client.declare("q", passive=True)

    play(scenario)


def test_scenario_04_a_new_queue_has_all_its_mirrors_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        client = await stage.client("n2")
        await client.declare("q")
        for name in stage.world.hosts:
            row = stage.row("q", at=name)
            assert (row["master"], set(row["mirrors"]), set(row["in_sync"])) == ("n2", {"n1", "n3"}, {"n1", "n3"})

    play(scenario)


def test_scenario_05_policies_merge_with_operators_and_arguments() -> None:
    """The whole table is in `tests/policies/test_effective.py`; this is what a queue then obeys."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        client = await stage.client("n1")
        await client.declare("q", arguments={"x-max-length": 7, "x-overflow": "reject-publish"})

        def settings() -> Any:
            local = world.master(world.queue("q"))
            assert local is not None
            return local.queue.settings

        own = {"message-ttl": 100_000, "max-length": 10, "overflow": "drop-head", **exactly(2)}
        await stage.set_policy(own, name="own", priority=1)
        await stage.set_policy({"message-ttl": 50_000, "max-length": 20, "ha-mode": "all"}, name="op", operator=True)
        assert (settings().message_ttl_ms, settings().max_length, settings().overflow) == (50_000, 7, "reject-publish")
        await stage.comes_to("q", "n1", "n2", "n3")  # all beats exactly

        await stage.set_policy({"max-length": 3}, name="stronger", priority=2)
        assert (settings().message_ttl_ms, settings().max_length) == (50_000, 3)
        await stage.clear_policy("op", operator=True)
        assert (stage.row("q")["policy"], settings().message_ttl_ms) == ("stronger", None)
        assert stage.row("q")["mirrors"] is None
        await stage.clear_policy("stronger")
        assert (stage.row("q")["policy"], settings().message_ttl_ms) == ("own", 100_000)
        await until(lambda: len(stage.row("q")["mirrors"]) == 1, 5)

    play(scenario)


def test_scenario_07_the_master_moves_when_a_mirror_is_synchronised() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.filled("q", 10)
        consumer = await stage.client("n1", "consumer")
        Inbox(consumer)
        await consumer.consume("q", 2, **{"x-cancel-on-ha-failover": True})
        staying = await stage.client("n3", "staying")
        Inbox(staying)
        await staying.consume("q", 2)
        await stage.set_policy({"ha-mode": "nodes", "ha-params": ["n2", "n3"]})
        await until(lambda: stage.placed("q")[1] == {"n2", "n3"}, 5)
        assert stage.placed("q")[0] == "n1"
        assert not consumer.cancelled
        await until(lambda: stage.row("q")["unsynchronised"] == {"n2": 10, "n3": 10}, 5)
        await stage.synchronise("q")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 5)
        await consumer.wait_for(lambda: consumer.cancelled == ["c"])
        assert not staying.cancelled
        staying.close()
        consumer.close()
        await until(lambda: stage.row("q")["messages_ready"] == 10, 5)
        assert await (await stage.client("n1")).drain("q") == bodies(10)

    play(scenario)


def test_scenario_08_exclusive_queues_stay_alone() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        client = await stage.client("n1")
        await client.declare("mine", durable=False, exclusive=True)
        await client.call(QueueBind(queue="mine", exchange="amq.fanout"), QueueBindOk)
        assert stage.row("mine")["mirrors"] is None
        assert stage.row("mine")["policy"] == "p"

    play(scenario)


def test_scenario_08_policies_in_quick_succession_end_in_the_last() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.filled("q", 10)
        for last in (nodes("n1", "n3"), None, HA_ALL):
            for definition in (HA_ALL, None, exactly(2), nodes("n1", "n2"), last):
                if definition is None:
                    await stage.clear_policy()
                else:
                    await stage.set_policy(definition)
            if last is None:
                assert stage.placed("q") == ("n1", None)
                await stage.set_policy(HA_ALL)
            else:
                await stage.comes_to("q", "n1", *(last.get("ha-params", ["n1", "n2", "n3"])[1:]))
        assert await (await stage.client("n3")).drain("q") == bodies(10)

    play(scenario)
