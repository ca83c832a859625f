"""A death that this process has proven stays proven: through its own next life, and for whoever leads then (S10)."""

import pytest

from broker.cluster import schema
from tests.simulation.test_promptness import orders_on
from tests.simulation.world import HA_ALL, NET_TICKTIME_S, World, policy, simulate, until


def runs(world: World, name: str, at: str) -> bool:
    """Whether the tree of a serving node says so."""
    tree = world.tree(at)
    record = None if tree is None else schema.member(tree.tree, name)
    return record is None or record.running


@pytest.mark.parametrize(("survivor", "back"), [("n3", "n1"), ("n1", "n3")], ids=["it leads", "it follows"])
def test_with_two_killed_and_one_back_the_other_is_given_up_at_once(survivor: str, back: str) -> None:
    async def story(world: World) -> None:
        await orders_on(world, leader=True)
        world.kill("n2", back)
        await until(lambda: survivor not in world.serving(), 10, 0.001)
        before = world.hosts[survivor].node
        assert before is not None
        life = before.report.life
        await until(lambda: before.report.life > life, 5, 0.001)  # it was without a majority, and began anew
        world.start(back)
        await until(lambda: survivor in world.serving() and back in world.serving(), 0.75 * NET_TICKTIME_S, 0.001)
        assert not runs(world, "n2", survivor)
        assert world.leader() == ("n3" if survivor == "n3" else back)

    simulate(1, story, policies=[policy(HA_ALL)])


def test_what_was_not_proven_is_waited_for() -> None:
    async def story(world: World) -> None:
        await orders_on(world, leader=True)
        world.kill("n1", "n2", "n3")
        world.start("n1", "n3")  # nobody saw n2 die; that its address refuses proves nothing to who never met it
        await until(lambda: "n1" in world.serving() and "n3" in world.serving(), 0.75 * NET_TICKTIME_S, 0.001)
        assert runs(world, "n2", "n1")
        await until(lambda: not runs(world, "n2", "n1"), NET_TICKTIME_S, 0.001)

    simulate(1, story, policies=[policy(HA_ALL)])
