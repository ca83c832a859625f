"""Scenario 28 with two nodes, of which either goes on alone: deaths, sleep and a partition (DESIGN S9)."""

from functools import partial

import pytest
import trio

from tests.simulation.modes import AUTO, TWO, Sides, play
from tests.simulation.world import NET_TICKTIME_S, until


@pytest.mark.slow
@pytest.mark.parametrize("dead", TWO)
def test_of_two_nodes_either_goes_on_when_the_other_dies(dead: str) -> None:
    async def scenario(sides: Sides) -> None:
        survivor = next(name for name in TWO if name != dead)
        client = await sides.publisher(survivor)
        sides.world.kill(dead)
        await until(lambda: sides.goes_on([survivor]), 5)
        await sides.publish(client)
        sides.world.start(dead)
        await sides.come_together()
        assert await sides.nothing_is_lost(dead) == []

    play(scenario, AUTO, TWO)


@pytest.mark.slow
def test_of_two_nodes_the_one_that_was_left_behind_waits_for_the_other() -> None:
    async def scenario(sides: Sides) -> None:
        sides.world.kill("n1")
        await until(lambda: sides.goes_on(["n2"]), 5)
        await sides.publish(await sides.publisher("n2"))
        sides.world.kill("n2")
        sides.world.start("n1")
        await trio.sleep(6 * NET_TICKTIME_S)
        assert sides.world.serving() == []
        assert "n2" in sides.status("n1")["reason"]
        sides.world.start("n2")
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, AUTO, TWO)


def test_of_two_nodes_either_goes_on_again_and_again() -> None:
    async def scenario(sides: Sides) -> None:
        for dead, survivor in (("n1", "n2"), ("n2", "n1"), ("n2", "n1")):
            client = await sides.publisher(survivor)
            sides.world.kill(dead)
            await until(partial(sides.goes_on, [survivor]), 5)
            await sides.publish(client)
            client.close()
            sides.world.start(dead)
            await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, AUTO, TWO)


@pytest.mark.slow
def test_of_two_nodes_a_sleeper_does_not_go_on_by_itself() -> None:
    async def scenario(sides: Sides) -> None:
        sides.world.freeze("n2")
        await until(lambda: sides.goes_on(["n1"]), 20)
        await sides.publish(await sides.publisher("n1"))
        sides.world.kill("n1")
        sides.world.thaw("n2")
        await trio.sleep(6 * NET_TICKTIME_S)
        assert sides.world.serving() == []
        sides.world.start("n1")
        await sides.come_together()
        assert await sides.nothing_is_lost() == []

    play(scenario, AUTO, TWO)


def test_two_nodes_that_part_are_two_masters_and_become_one() -> None:
    async def scenario(sides: Sides) -> None:
        await sides.part(["n1"], ["n2"])
        here, there = await sides.publisher("n1"), await sides.publisher("n2")
        more = await sides.publisher("n2", "more")
        mine, theirs = await sides.publish(here), await sides.publish(there)
        sides.mend()
        await sides.come_together()
        assert sorted(await sides.nothing_is_lost()) == sorted(mine)
        assert set(theirs) <= sides.confirmed
        assert not more.lost
        sides.world.kill("n2")
        await until(lambda: sides.goes_on(["n1"]), 5)

    play(scenario, AUTO, TWO)
