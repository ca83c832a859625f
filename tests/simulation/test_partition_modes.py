"""Scenario 28: nodes that do not hear each other, in each mode of `partition_handling`: in full, in part, one way; of
three nodes and of two. Each mode goes by its own rule (DESIGN S9)."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
import trio

from broker.node.partition_handling import PartitionHandling
from broker.wire.basic_methods import TxCommit, TxCommitOk, TxSelect, TxSelectOk
from tests.simulation.client import Lost, Refused
from tests.simulation.modes import AUTOHEAL, IGNORE, QUEUE, TWO, Sides, play, reunite
from tests.simulation.world import MAJORITY, NAMES, NET_TICKTIME_S, until

VIEWS = (IGNORE, AUTOHEAL)


# ---------------------------------------------------------------------- pause_minority


@pytest.mark.slow
def test_scenario_28_pause_minority_closes_the_doors_of_the_smaller_side_in_time_and_confirms_nothing_there() -> None:
    async def scenario(sides: Sides) -> None:
        client = await sides.publisher("n1")
        sides.cut(["n1"], ["n2", "n3"])
        assert not await sides.is_confirmed(client, 2 * NET_TICKTIME_S)
        await until(lambda: "n1" not in sides.world.serving(), 2 * NET_TICKTIME_S)
        assert sides.status("n1")["state"] in ("paused", "starting")
        with pytest.raises((Lost, Refused)):
            await sides.publisher("n1", "late")
        other = await sides.publisher("n2")
        await sides.publish(other)
        sides.mend()
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, MAJORITY)


@pytest.mark.slow
def test_scenario_28_pause_minority_of_two_pauses_whoever_is_alone() -> None:
    async def scenario(sides: Sides) -> None:
        sides.cut(["n1"], ["n2"])
        await until(lambda: not sides.world.serving(), 10)
        sides.mend()
        await sides.come_together()
        sides.world.kill("n2")
        text = "waits for n2: 1 of 2 nodes are there, 2 are needed by partition_handling: pause_minority"
        await until(lambda: text in (sides.status("n1")["reason"] or ""), 20)
        assert not sides.world.serving()

    play(scenario, MAJORITY, TWO)


@pytest.mark.slow
@pytest.mark.parametrize("one_way", [False, True])
def test_scenario_28_pause_minority_does_not_mind_one_link(one_way: bool) -> None:
    async def scenario(sides: Sides) -> None:
        sides.cut(["n1"], ["n2"], one_way=one_way)
        await trio.sleep(3 * NET_TICKTIME_S)
        sides.mend()
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, MAJORITY)


# ---------------------------------------------------------------------- ignore


@pytest.mark.slow
def test_scenario_28_ignore_leaves_two_masters_says_so_and_ends_when_one_side_is_restarted() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2", "n3"])
        here, there = await sides.publisher("n1"), await sides.publisher("n2")
        mine, theirs = await sides.publish(here), await sides.publish(there)
        sides.mend()
        await until(lambda: all(sides.events(name, "partition") for name in NAMES), 10)
        await trio.sleep(3 * NET_TICKTIME_S)
        assert sides.goes_on(["n1"])
        assert sides.goes_on(["n2", "n3"])
        assert sides.status("n1")["parted_from"] == ["n2", "n3"]
        assert "n1" in sides.status("n2")["parted_from"]
        (event,) = sides.events("n1", "partition")
        assert event["text"].startswith("n2 and n3 went on without node n1, and this one without them: there are two m")
        assert "start them again" in event["text"]
        await sides.restart("n1")
        await sides.come_together()
        assert sides.status("n1")["parted_from"] == []
        assert sorted(await sides.nothing_is_lost()) == sorted(mine)
        assert set(theirs) <= sides.confirmed
        assert sides.events("n1", "healed")

    play(scenario, IGNORE)


# ---------------------------------------------------------------------- autoheal


@pytest.mark.slow
def test_scenario_28_autoheal_prefers_the_side_with_most_connections() -> None:
    async def scenario(sides: Sides) -> None:
        crowd = [await sides.publisher("n1", f"crowd-{number}") for number in range(3)]
        there = await sides.publisher("n2")
        await sides.part(["n1"], ["n2", "n3"])
        mine, theirs = await sides.publish(crowd[0]), await sides.publish(there)
        sides.mend()
        await until(lambda: any(sides.events(name, "autoheal") for name in NAMES), 10)
        (event,) = [event for name in NAMES for event in sides.events(name, "autoheal")]
        assert (event["winner"], event["losers"]) == (["n1"], [["n2", "n3"]])
        await sides.come_together()
        assert set(await sides.nothing_is_lost()) == set(theirs)
        assert set(mine) <= sides.confirmed
        assert [len(sides.events(name, "healed")) for name in NAMES] == [0, 1, 1], (
            "each loser goes straight to the winner"
        )
        assert there.lost, "connections of the losing side are closed"
        assert not crowd[1].lost

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_scenario_28_autoheal_prefers_the_larger_side_where_connections_do_not_decide() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2", "n3"])
        here = await sides.publisher("n1")
        mine = await sides.publish(here)
        here.close()
        await trio.sleep(0.5)
        sides.mend()
        await sides.come_together()
        assert sorted(await sides.nothing_is_lost()) == sorted(mine)
        (healed,) = sides.events("n1", "healed")
        assert healed["leader"] in ("n2", "n3")

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_scenario_28_autoheal_of_three_sides_leaves_one() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2"], ["n3"])
        for name in NAMES:
            client = await sides.publisher(name)
            await sides.publish(client)
            client.close()
        await trio.sleep(0.5)
        sides.mend()
        await sides.come_together(60)
        assert len(set(await sides.nothing_is_lost())) == 6

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_what_was_declared_on_the_losing_side_is_kept_with_its_messages() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2", "n3"])
        here = await sides.publisher("n1")
        await here.declare("late")
        await here.publish_all("late", [b"late"])
        here.close()
        await trio.sleep(0.5)
        sides.mend()
        await sides.come_together()
        assert await sides.nothing_is_lost() == [b"late"]
        assert "late" not in [record.name for record in sides.world.queues()]

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_what_the_losing_side_had_in_memory_only_is_kept_too_but_nothing_from_before() -> None:
    async def scenario(sides: Sides) -> None:
        before, here = await sides.publisher("n1", "before"), await sides.publisher("n1")
        await before.declare("fleeting", durable=False)
        await before.publish_all(QUEUE, [b"early"], persistent=False)
        await trio.sleep(3 * NET_TICKTIME_S)
        await sides.part(["n1"], ["n2", "n3"])
        await here.publish_all(QUEUE, [b"transient"], persistent=False)
        await here.publish_all("fleeting", [b"in memory"])
        before.close()
        here.close()
        await trio.sleep(0.5)
        sides.mend()
        await sides.come_together()
        assert sorted(await sides.nothing_is_lost()) == [b"in memory", b"transient"]

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_a_queue_of_which_only_the_losing_side_has_a_copy_goes_on_with_all_that_it_has() -> None:
    async def scenario(sides: Sides) -> None:
        world = sides.world
        await sides.set_policy({"ha-mode": "nodes", "ha-params": ["n2"]}, "solo", pattern="^solo", priority=1)
        there = await sides.publisher("n2")
        await there.declare("solo")
        await there.publish_all("solo", [b"before"])
        crowd = [await sides.publisher("n1", f"crowd-{number}") for number in range(3)]
        await sides.part(["n1"], ["n2", "n3"])
        world.kill("n2")
        world.start("n2")  # its master gets a term of the history that will be lost
        await until(lambda: "n2" in world.serving() and world.queue("solo", at="n2").state == "running", 20)
        late = await sides.publisher("n2", "late")
        await late.publish_all("solo", [b"meanwhile"])
        late.close()
        sides.mend()
        await sides.come_together()
        assert not crowd[0].lost
        await until(lambda: world.queue("solo").state == "running", 10)
        assert await (await sides.client("n3")).drain("solo") == [b"before", b"meanwhile"]
        await sides.nothing_is_lost()

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_who_gave_its_history_up_waits_for_the_one_that_won() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2", "n3"])
        winner, loser = sides.world.tree("n1"), sides.world.tree("n2")
        assert winner is not None
        assert loser is not None
        loser.yield_to("n1", winner.epoch)
        await trio.sleep(4 * NET_TICKTIME_S)
        assert sides.world.serving() == ["n1", "n3"]
        assert sides.status("n2")["reason"].startswith("node n2 gave its history up for that of n1")
        sides.mend()
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_who_waits_in_vain_for_the_one_that_won_follows_whoever_there_is() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2"], ["n3"])
        trees = [sides.world.tree(name) for name in NAMES]
        assert trees[0] is not None
        assert trees[1] is not None
        assert trees[2] is not None
        trees[1].yield_to("n1", trees[0].epoch)
        await trio.sleep(1)
        trees[0].yield_to("n3", trees[2].epoch)
        await trio.sleep(1)
        sides.mend()
        await sides.come_together(60)
        assert await sides.nothing_is_lost() == []

    play(scenario, AUTOHEAL)


@pytest.mark.slow
def test_a_kill_while_it_heals_loses_nothing() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2", "n3"])
        here = await sides.publisher("n1")
        mine = await sides.publish(here)
        here.close()
        await trio.sleep(0.5)
        sides.mend()
        await until(lambda: sides.events("n1", "healed"), 10)
        for pause_s in (0.0, 0.3, 0.01, 0.6):
            await trio.sleep(pause_s)
            sides.world.kill("n1", power=True)
            sides.world.start("n1")
        await sides.come_together()
        assert set(await sides.nothing_is_lost()) == set(mine)

    play(scenario, AUTOHEAL)


# ---------------------------------------------------------------------- pause_if_all_down


def preferring(*names: str, recover: str = "autoheal") -> PartitionHandling:
    return PartitionHandling("pause_if_all_down", names, recover)


@pytest.mark.slow
def test_scenario_28_pause_if_all_down_pauses_whoever_hears_none_of_the_list() -> None:
    async def scenario(sides: Sides) -> None:
        client = await sides.publisher("n2")
        sides.cut(["n1"], ["n2", "n3"])
        await until(lambda: sides.world.serving() == ["n1"], 20)
        assert client.lost
        told = [event["text"] for name in ("n2", "n3") for event in sides.events(name, "life")]
        assert any("pause_if_all_down: waiting for one of n1" in text for text in told)
        await sides.publish(await sides.publisher("n1"))
        sides.mend()
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, preferring("n1"))


@pytest.mark.slow
@pytest.mark.parametrize("recover", ["autoheal", "ignore"])
def test_scenario_28_pause_if_all_down_with_somebody_of_the_list_on_either_side(recover: str) -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2", "n3"])
        here, there = await sides.publisher("n1"), await sides.publisher("n2")
        await sides.publish(here)
        await sides.publish(there)
        sides.mend()
        if recover == "ignore":
            await until(lambda: all(sides.events(name, "partition") for name in NAMES), 10)
            await trio.sleep(3 * NET_TICKTIME_S)
            assert not sides.is_whole()
            await sides.restart("n2", "n3")
        await sides.come_together()
        assert len(set(await sides.nothing_is_lost())) == 3

    play(scenario, preferring("n1", "n3", recover=recover))


# ---------------------------------------------------------------------- one way, and in part


@pytest.mark.slow
@pytest.mark.parametrize("handling", VIEWS, ids=str)
@pytest.mark.parametrize("names", [NAMES, TWO], ids=len)
def test_scenario_28_one_way_nobody_confirms_what_nobody_keeps(
    handling: PartitionHandling, names: tuple[str, ...]
) -> None:
    async def scenario(sides: Sides) -> None:
        await survive(sides, lambda: sides.cut(["n1"], names[1:], one_way=True), names)

    play(scenario, handling, names)


@pytest.mark.slow
@pytest.mark.parametrize("handling", VIEWS, ids=str)
def test_scenario_28_in_part_nobody_confirms_what_nobody_keeps(handling: PartitionHandling) -> None:
    async def scenario(sides: Sides) -> None:
        await survive(sides, lambda: sides.cut(["n1"], ["n2"]), NAMES)

    play(scenario, handling)


async def survive(sides: Sides, cut: Callable[[], None], names: Sequence[str]) -> None:
    """Publish everywhere while something is cut, mend it, and look for all that was confirmed."""
    clients = [await sides.publisher(name) for name in names]
    cut()
    for _ in range(4):
        await trio.sleep(NET_TICKTIME_S)
        for client in clients:
            await sides.is_confirmed(client, 0.2)
    sides.mend()
    if not sides.world.cluster.partition_handling.heals(names):
        await reunite(sides.world)
    await sides.come_together(60)
    await sides.nothing_is_lost()


# ---------------------------------------------------------------------- on the way to a pause


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handling", "loser"),
    [(MAJORITY, "n1"), (preferring("n1"), "n2")],
    ids=str,
)
def test_scenario_28_on_the_way_to_a_pause_nothing_is_confirmed_nor_committed(
    handling: PartitionHandling, loser: str
) -> None:
    async def scenario(sides: Sides) -> None:
        client = await sides.publisher(loser)
        sides.cut(["n1"], ["n2", "n3"])
        await trio.sleep(0.7 * NET_TICKTIME_S)  # the lease is over, the pause is not there yet
        committer = await sides.client(loser, "committer")
        await committer.call(TxSelect(), TxSelectOk)
        done: list[str] = []

        async def attempt(what: str, act: Callable[[], Awaitable[object]]) -> None:
            with trio.move_on_after(3 * NET_TICKTIME_S), suppress(Lost, Refused):
                await act()
                done.append(what)

        async def commit() -> None:
            committer.publish(QUEUE, b"within a transaction")
            await committer.call(TxCommit(), TxCommitOk)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt, "confirm", lambda: sides.publish(client))
            nursery.start_soon(attempt, "commit", commit)
        assert not done
        sides.mend()
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, handling)
