"""Only a mirror that owes an answer is silent: one that has nothing to acknowledge stays in the in-sync set (S11)."""

import trio

from broker.vhosts import by_hand
from tests.simulation.world import HA_ALL, NET_TICKTIME_S, World, policy, simulate, until


async def orders_on(world: World, node: str) -> None:
    """A durable queue with one message, its master on this node."""
    hall = world.hall(node)
    assert hall is not None
    await hall.declarations.declare_plain("/", "orders")
    await by_hand.publish(hall.catalogue.vhosts["/"], "", "orders", [b"kept"], persistent=True)
    assert world.queue("orders").master.node == node


def test_an_idle_mirror_that_came_back_stays_synchronised() -> None:
    async def story(world: World) -> None:
        await orders_on(world, "n1")
        world.kill("n1")
        await until(lambda: world.queue("orders", at="n2").master.node != "n1", 10)
        world.start("n1")
        await until(lambda: world.synchronised("orders") and len(world.queue("orders").in_sync) == 3, 20)
        await trio.sleep(3 * NET_TICKTIME_S)
        assert len(world.queue("orders").in_sync) == 3

    simulate(1, story, policies=[policy(HA_ALL)])


def test_with_two_of_three_dead_any_member_that_is_back_serves() -> None:
    async def story(world: World) -> None:
        await orders_on(world, "n2")
        world.kill("n1")
        await until(lambda: len(world.queue("orders", at="n3").in_sync) == 2, 10)
        world.kill("n2")
        await trio.sleep(2 * NET_TICKTIME_S)
        world.start("n1")
        await until(lambda: "n1" in world.serving() and world.synchronised("orders"), 30)
        assert world.queue("orders").master.node == "n3"
        await trio.sleep(3 * NET_TICKTIME_S)
        assert {life.node for life in world.queue("orders").in_sync} == {"n3", "n1"}

    simulate(1, story, policies=[policy(HA_ALL)])
