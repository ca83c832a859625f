"""Acceptance scenarios 9, 11, 12 and 13: how a mirror becomes synchronised, or does not, on simulated clusters."""

import pytest
import trio

from tests.simulation.judges import ranges_held
from tests.simulation.scarcity import slow_catch_up
from tests.simulation.stage import Stage, bodies, play
from tests.simulation.world import until

MANUAL = {"ha-mode": "nodes", "ha-params": ["n1", "n2"]}
AUTOMATIC = {**MANUAL, "ha-sync-mode": "automatic"}
MANY = 400


def missing(stage: Stage) -> int:
    """How many messages the mirror on n2 lacks."""
    return int(stage.row("q")["unsynchronised"].get("n2", 0))


def held(stage: Stage) -> list[tuple[int, int]]:
    return ranges_held(stage.world, "q", "n2")


async def being_filled(stage: Stage, definition: dict[str, object]) -> None:
    """A long queue whose mirror is about half filled; the way to it is slow."""
    await stage.filled("q", MANY)
    stage.world.network.slow("n1", "n2", 0.01)
    await stage.set_policy(definition)
    if definition.get("ha-sync-mode") != "automatic":
        await until(lambda: missing(stage) == MANY, 5)
        await stage.synchronise("q")
    await until(lambda: 0 < missing(stage) < MANY / 2, 30, 0.01)


def test_scenario_09_a_mirror_is_synchronised_when_what_it_lacks_is_gone() -> None:
    """Under `ha-sync-mode: manual`; only messages that the returning mirror really lacks count."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(MANUAL)
        client = await stage.filled("q", 0)
        await stage.comes_to("q", "n1", "n2")
        world.kill("n2")
        await until(lambda: stage.row("q")["in_sync"] == [], 10)
        await client.publish_all("q", bodies(1))
        assert await client.get("q", no_ack=False)
        world.start("n2")
        await until(lambda: stage.row("q")["unsynchronised"] == {"n2": 1}, 10)
        await client.publish_all("q", bodies(1, 2))
        await trio.sleep(2)
        assert stage.row("q")["unsynchronised"] == {"n2": 1}
        client.acknowledge(1)
        await client.flush()
        await until(lambda: stage.row("q")["in_sync"] == ["n2"], 5)
        assert stage.copies_are_equal("q", "n1", "n2")

    play(scenario)


def test_scenario_09_expiry_of_what_it_lacks_synchronises_a_mirror_and_letters_come_once() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(MANUAL)
        ttl = {"x-message-ttl": 8000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        client = await stage.filled("q", 0, arguments=ttl)
        await client.declare("dead")
        world.kill("n2")
        await until(lambda: stage.row("q")["in_sync"] == [], 10)
        await client.publish_all("q", bodies(3))
        world.start("n2")
        await until(lambda: stage.row("q")["unsynchronised"] == {"n2": 3}, 6)
        await until(lambda: stage.row("q")["in_sync"] == ["n2"], 10)
        assert stage.row("q")["messages"] == 0
        await until(lambda: stage.row("dead")["messages_ready"] == 3, 5)
        await trio.sleep(2)
        assert await (await stage.client("n3")).drain("dead") == bodies(3)

    play(scenario)


def test_scenario_11_a_queue_serves_while_it_synchronises_and_a_cancelled_sync_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing waits for a sync. State `syncing` and progress are shown; a cancel keeps what has arrived, the mirror
    stays unsynchronised, the next sync goes on from there."""
    slow_catch_up(monkeypatch)

    async def scenario(stage: Stage) -> None:
        await being_filled(stage, MANUAL)
        assert stage.row("q")["state"] == "syncing"
        client = await stage.client("n1")
        await client.confirm_select()
        with trio.fail_after(1.0):
            assert await client.get("q") is not None
            await client.publish_all("q", bodies(1, MANY + 1))
            assert (await client.declare("q")).message_count == MANY
        assert stage.row("q")["in_sync"] == []
        assert await cancel(stage)
        lacking, had = missing(stage), held(stage)
        assert 0 < lacking < MANY
        assert not await cancel(stage), "there is nothing to cancel any more"
        await trio.sleep(3)
        assert stage.row("q")["in_sync"] == []
        assert missing(stage) == lacking
        await stage.synchronise("q")
        assert sum(last - first for first, last in held(stage)) >= sum(last - first for first, last in had)
        await until(lambda: stage.row("q")["in_sync"] == ["n2"], 60)
        assert stage.copies_are_equal("q", "n1", "n2")

    play(scenario)


async def cancel(stage: Stage) -> bool:
    """As `warren sync --cancel` does: whether there was one."""
    hall = stage.world.hall("n1")
    assert hall is not None
    return await hall.synchronise(hall.catalogue.handles[stage.world.queue("q").id], start=False)


def test_scenario_12_automatic_sync_begins_with_a_mirror_that_joins_and_with_the_policy() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.filled("q", 20)
        await stage.set_policy(MANUAL)
        await until(lambda: stage.row("q")["unsynchronised"] == {"n2": 20}, 5)
        await trio.sleep(2)
        assert stage.row("q")["in_sync"] == []
        await stage.set_policy(AUTOMATIC)
        await stage.comes_to("q", "n1", "n2")
        await stage.set_policy({"ha-mode": "all", "ha-sync-mode": "automatic"})
        await stage.comes_to("q", "n1", "n2", "n3")
        world.kill("n3", power=True)
        await until(lambda: stage.row("q")["in_sync"] == ["n2"], 10)
        await (await stage.filled("q", 0)).publish_all("q", bodies(5, 21))
        world.start("n3")
        await stage.comes_to("q", "n1", "n2", "n3")
        assert stage.copies_are_equal("q", "n1", "n2", "n3")

    play(scenario)


@pytest.mark.parametrize("promotes", ["always", "when-synced"])
def test_scenario_13_a_master_that_dies_while_it_synchronises(promotes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror holds a part without holes, and the promote rules apply to it."""
    slow_catch_up(monkeypatch)

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await being_filled(stage, {**AUTOMATIC, "ha-promote-on-failure": promotes})
        part = held(stage)
        assert len(part) == 1
        assert part[0][0] == 1
        world.kill("n1")
        if promotes == "always":
            await until(lambda: stage.placed("q")[0] == "n2", 20)
            got = await (await stage.client("n3")).drain("q")
            assert 0 < len(got) < MANY
            assert got == bodies(len(got))
        else:
            await until(lambda: stage.row("q", at="n3")["state"] == "unavailable", 20)
            await trio.sleep(5)
            assert stage.row("q", at="n3")["master"] is None
            world.start("n1")
            await until(lambda: stage.placed("q")[0] == "n1", 20)
            assert await (await stage.client("n3")).drain("q") == bodies(MANY)

    play(scenario)
