"""Acceptance scenarios 6, 18, 22 and 30, and what operators do to nodes and masters, on simulated clusters."""

from typing import Any, NamedTuple

import pytest
import trio

from broker.peers.admin import ask_once
from broker.wire.methods import QueueDelete, QueueDeleteOk
from tests.simulation.client import Client, Lost, Refused, connect
from tests.simulation.stage import Stage, bodies, play
from tests.simulation.world import HA_ALL, USER, World, simulate, until

COUNT = 10


async def command(world: World, at: str, do: str, **members: Any) -> dict[str, Any]:
    """What a command asks of a node, over the road that commands take."""
    network, request = world.network.host("operator"), {"do": do, **members}
    return await ask_once(network, f"{at}:25672", request, cluster="simulated", cookie="crumbs", timeout_s=60)


# ---------------------------------------------------------------------- 6: where masters go


@pytest.mark.slow
@pytest.mark.parametrize("configured", ["client-local", "min-masters"])
def test_scenario_06_argument_before_policy_before_configuration(configured: str) -> None:
    """An invalid argument is refused (406), which is our own."""

    async def story(world: World) -> None:
        stage = Stage(world)
        client = await stage.client("n1")

        async def master_of(name: str, locator: str | None = None) -> str:
            arguments = {} if locator is None else {"x-queue-master-locator": locator}
            await client.declare(name, arguments=arguments)
            return world.queue(name).master.node

        first = [await master_of(f"by configuration {number}") for number in range(3)]
        assert first == (["n1"] * 3 if configured == "client-local" else ["n1", "n2", "n3"])
        await stage.set_policy({"queue-master-locator": "client-local"})
        assert await master_of("by policy") == "n1"
        elsewhere = {await master_of(f"by argument {number}", "min-masters") for number in range(2)}
        assert elsewhere == {"n2", "n3"}
        named = {"queue-master-locator": "min-masters", "ha-mode": "nodes", "ha-params": ["n2", "n3"]}
        await stage.set_policy(named, pattern="^(of|not)")  # the masters of others stay where they are counted
        assert {await master_of(f"of the named {number}") for number in range(4)} == {"n2", "n3"}
        await command(world, "n2", "drain", node="n3")
        assert {await master_of(f"not in maintenance {number}") for number in range(3)} == {"n2"}
        with pytest.raises(Refused, match="406 PRECONDITION_FAILED - invalid arg 'x-queue-master-locator'"):
            await master_of("nowhere", "nearest")

    simulate(1, story, queue_master_locator=configured)


# ---------------------------------------------------------------------- 18: the table of section 11


class Row(NamedTuple):
    """A line of the table: who may become master, and what comes of it (None: nobody; else how many messages)."""

    synchronised: bool
    on_shutdown: str | None
    on_failure: str | None
    messages: int | None

    @property
    def queue(self) -> str:
        return "-".join(map(str, self[:3]))

    @property
    def policy(self) -> dict[str, Any]:
        keys = {"ha-promote-on-shutdown": self.on_shutdown, "ha-promote-on-failure": self.on_failure}
        given = {key: value for key, value in keys.items() if value is not None}
        return {"ha-mode": "nodes", "ha-params": ["n1", "n2"], **given}


KEYS = ("always", "when-synced", None)
SYNCHRONISED = [Row(True, shutdown, failure, COUNT) for shutdown, failure in zip(KEYS, reversed(KEYS), strict=True)]
STOPPED = [
    *SYNCHRONISED,
    *(Row(False, shutdown, failure, None) for shutdown in ("when-synced", None) for failure in KEYS),
    Row(False, "always", "always", 0),
    Row(False, "always", None, 0),
    Row(False, "always", "when-synced", None),
]
KILLED = [
    *SYNCHRONISED,
    *(Row(False, shutdown, failure, 0) for shutdown in KEYS for failure in ("always", None)),
    *(Row(False, shutdown, "when-synced", None) for shutdown in KEYS),
]


@pytest.mark.parametrize(("how", "rows"), [("stop", STOPPED), ("kill", KILLED)])
def test_scenario_18_who_may_become_master(how: str, rows: list[Row]) -> None:
    """Every line of section 11's tables; copies stay on the disks, so what is unavailable is back with its node.

    Every combination of keys is in `tests/cluster/procedures/test_lives.py`.
    """

    async def scenario(stage: Stage) -> None:
        world = stage.world
        filler = await stage.client("n1")
        await filler.confirm_select()
        for row in rows:
            if row.synchronised:
                await stage.set_policy(row.policy, name=row.queue, pattern=f"^{row.queue}$")
            await filler.declare(row.queue)
            await filler.publish_all(row.queue, bodies(COUNT))
            if not row.synchronised:
                await stage.set_policy(row.policy, name=row.queue, pattern=f"^{row.queue}$")
        await until(lambda: all(stage.row(row.queue)["unsynchronised"] in ({}, {"n2": COUNT}) for row in rows), 10)
        if how == "kill":
            world.kill("n1")
        else:
            await world.stop("n1")
        promoted = [row for row in rows if row.messages is not None]
        await until(lambda: all(stage.row(row.queue)["master"] == "n2" for row in promoted), 10)
        for row in rows:
            await found(await stage.client("n3"), row, how)
        reports = await promotions(world, "n2")
        for row in promoted:
            (report,) = [one for one in reports if one["queue"] == row.queue]
            assert (report["from"], report["to"], report["cause"]) == ("n1", "n2", how)
            assert (report["in_sync"], report["missing"]) == (row.synchronised, COUNT - (row.messages or 0))
            assert report["kinds"] == ([] if row.synchronised else ["persistent", "transient"])
        world.start("n1")
        await world.ready()
        client = await stage.client("n3")
        waiting = [row for row in rows if row.messages is None]
        await until(lambda: all(stage.row(row.queue)["master"] == "n1" for row in waiting), 10)
        for row in waiting:
            assert await client.drain(row.queue) == bodies(COUNT)

    play(scenario)


async def found(client: Client, row: Row, how: str) -> None:
    if row.messages is not None:
        assert await client.count(row.queue) == row.messages, row
        return
    key = "shutdown" if how == "stop" and row.on_shutdown != "always" else "failure"
    why = f"is down or inaccessible: no synchronised mirror and ha-promote-on-{key} is when-synced; waiting for n1"
    with pytest.raises(Refused, match=f"404 NOT_FOUND - home node 'rabbit@n1' of durable queue .* {why}"):
        await client.count(row.queue)


async def promotions(world: World, node: str) -> list[dict[str, Any]]:
    events = (await command(world, node, "events"))["events"]
    return [event for event in events if event["kind"] == "promotion"]


# ---------------------------------------------------------------------- 22: a queue that nobody serves


def test_scenario_22_an_unavailable_queue_is_deleted_and_declared_again() -> None:
    """The 404 texts of 3.10, at once."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy({"ha-mode": "nodes", "ha-params": ["n1", "n2"], "ha-promote-on-failure": "when-synced"})
        filler = await stage.filled("q", 3)
        stage.world.kill("n2")
        await until(lambda: stage.row("q")["in_sync"] == [], 10)
        await filler.publish_all("q", bodies(1))
        stage.world.kill("n1")
        stage.world.start("n2")
        await until(lambda: len(stage.world.serving()) == 2, 20)
        await until(lambda: stage.row("q", at="n3")["master"] is None, 20)
        began = trio.current_time()
        for conditions in ({"if_empty": True}, None):
            client = await stage.client("n3")
            if conditions is None:
                with pytest.raises(
                    Refused, match="404 NOT_FOUND - home node 'rabbit@n1' of durable queue 'q' in vhost '/'"
                ):
                    await client.declare("q")
            else:
                with pytest.raises(Refused, match="406 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"):
                    await client.call(QueueDelete(queue="q", **conditions), QueueDeleteOk)
        client = await stage.client("n3")
        deleted = await client.call(QueueDelete(queue="q"), QueueDeleteOk)
        assert deleted.message_count == 0
        declared = await client.declare("q")
        assert declared.message_count == 0
        assert trio.current_time() - began < 1, "nobody waited"
        stage.world.start("n1")
        await stage.world.ready()
        await until(lambda: stage.world.synchronised("q"), 20)
        assert await client.drain("q") == [], "what was deleted does not come back"

    play(scenario)


# ---------------------------------------------------------------------- 30: rebalance


@pytest.mark.slow
def test_scenario_30_masters_are_spread_and_nothing_is_lost() -> None:
    """No node keeps more than its share, while clients work on; a second rebalance is refused meanwhile."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        names = [f"q{number}" for number in range(4)]
        for name in names:
            await stage.filled(name, COUNT)
        producer = await stage.client("n3", "producer")
        await producer.confirm_select()
        answers: list[dict[str, Any]] = []

        async def rebalance(node: str) -> None:
            answers.append(await command(world, node, "rebalance"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(rebalance, "n1")
            nursery.start_soon(rebalance, "n2")
            for name in names:
                await producer.publish_all(name, bodies(COUNT, COUNT + 1))
        refused, done = sorted(answers, key=lambda answer: "error" not in answer)
        assert refused == {"error": "rebalance_in_progress", "code": "rebalance_in_progress"}
        assert sorted(row["classic"] for row in done["rows"]) == [1, 1, 2]
        client = await stage.client("n2")
        for name in names:
            assert await client.drain(name) == bodies(2 * COUNT), name

    play(scenario)


# ---------------------------------------------------------------------- pauses


def test_a_pause_outlives_its_master_and_a_restart_of_all_nodes() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", COUNT)
        assert await command(world, "n3", "pause_queue", queue="q", paused=True) == {"changed": True}
        producer = await stage.client("n3", "producer")
        await producer.confirm_select()
        await producer.publish_all("q", bodies(COUNT, COUNT + 1))
        world.kill("n1")
        await until(lambda: stage.placed("q")[0] == "n2", 10)
        assert (stage.row("q")["state"], stage.row("q")["messages_ready"]) == ("paused", 2 * COUNT)
        assert await (await connected(stage, "n2")).get("q") is None
        for node in ("n2", "n3"):
            world.kill(node)
        for node in ("n1", "n2", "n3"):
            world.start(node)
        await world.ready()
        client = await connected(stage, "n1")
        assert (stage.row("q")["state"], await client.get("q")) == ("paused", None)
        assert await command(world, "n2", "pause_queue", queue="q", paused=False) == {"changed": True}
        assert await client.drain("q") == bodies(2 * COUNT)
        told = (await command(world, "n1", "events"))["events"]
        assert [event["text"] for event in told if event["kind"] == "pause"] == [
            "queue q: paused by an operator",
            "queue q: resumed by an operator",
        ]

    play(scenario)


# ---------------------------------------------------------------------- maintenance


def test_a_node_in_maintenance_serves_nobody_until_it_is_revived() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        filler = await stage.filled("q", COUNT)
        assert await command(world, "n1", "drain") == {"node": "n1", "changed": True, "staying": []}
        with pytest.raises(Refused, match="320 CONNECTION_FORCED - Node was put into maintenance mode"):
            await filler.wait_for(lambda: False)
        with pytest.raises(Lost):
            await stage.client("n1")
        await stage.comes_to("q", "n2", "n1", "n3")
        world.kill("n1")
        world.start("n1")
        await world.ready()
        with pytest.raises(Lost):
            await stage.client("n1")
        status = await command(world, "n3", "status")
        assert [name for name, member in status["members"].items() if member["drained"]] == ["n1"]
        await stage.comes_to("q", "n2", "n1", "n3")
        world.kill("n2")
        await until(lambda: stage.placed("q")[0] == "n3", 10)
        await command(world, "n3", "revive", node="n1")
        client = await connected(stage, "n1")
        assert await client.drain("q") == bodies(COUNT)

    play(scenario)


async def connected(stage: Stage, node: str) -> Client:
    """Its port opens a moment after the others have agreed on it."""
    with trio.fail_after(5):
        while True:
            try:
                return await connect(stage.world.nursery, stage.world.network.host("late"), f"{node}:5672", USER)
            except Lost:
                await trio.sleep(0.1)
