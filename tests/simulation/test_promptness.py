"""How long a queue is without its master, in virtual time: from the fault to the committed promotion (S10)."""

from collections.abc import Callable

import pytest
import trio

from broker.cluster import schema
from broker.cluster.records import MemberRecord
from broker.vhosts import by_hand
from tests.simulation.world import HA_ALL, NET_TICKTIME_S, World, policy, simulate, until

KILLED_S = 0.060
SILENT_S = NET_TICKTIME_S + 0.5 * NET_TICKTIME_S / 5
"""Half a second at the default net_ticktime of five."""
FIVE = ("n1", "n2", "n3", "n4", "n5")


async def orders_on(world: World, *, leader: bool) -> str:
    """A durable queue with one message, its master on the leader or on another node; the master's name."""
    node = next(name for name in world.serving() if (name == world.leader()) == leader)
    hall = world.hall(node)
    assert hall is not None
    await hall.declarations.declare_plain("/", "orders")
    await by_hand.publish(hall.catalogue.vhosts["/"], "", "orders", [b"kept"], persistent=True)
    await until(world.synchronised, 10)
    await trio.sleep(world.chance.uniform(0.0, NET_TICKTIME_S))
    return node


async def promotion(world: World, old: str, others: list[str] | None = None) -> float:
    """Wait until every survivor has another master for the queue; returns how long that took."""
    names = others or [name for name in world.running() if name != old]
    began = trio.current_time()
    await until(lambda: all(world.queue("orders", at=name).master.node != old for name in names), 30, 0.001)
    return trio.current_time() - began


def members(world: World, at: str) -> dict[str, MemberRecord]:
    tree = world.tree(at)
    assert tree is not None
    return schema.members(tree.tree)


def freeze(world: World, name: str) -> None:
    world.freeze(name)


def cut_off(world: World, name: str) -> None:
    for other in world.hosts:
        if other != name:
            world.network.cut(name, other)


def gag(world: World, name: str) -> None:
    for other in world.hosts:
        if other != name:
            world.network.cut(name, other, one_way=True)


def deafen(world: World, name: str) -> None:
    for other in world.hosts:
        if other != name:
            world.network.cut(other, name, one_way=True)


def test_a_leader_that_hears_nobody_ends_no_life_but_its_own() -> None:
    async def story(world: World) -> None:
        old = await orders_on(world, leader=True)
        others = [name for name in world.hosts if name != old]
        before = {name: member.life for name, member in members(world, others[0]).items()}
        deafen(world, old)
        assert await promotion(world, old) <= 2.2 * NET_TICKTIME_S
        await trio.sleep(NET_TICKTIME_S)
        after = members(world, others[0])
        assert {name: after[name].life for name in others if after[name].running} == {
            name: before[name] for name in others
        }
        assert not after[old].running

    simulate(1, story, policies=[policy(HA_ALL)])


@pytest.mark.parametrize("fault", [freeze, cut_off, gag])
@pytest.mark.parametrize("leader", [True, False], ids=["leader", "follower"])
@pytest.mark.parametrize("seed", range(3))
def test_a_silent_master_is_replaced_after_one_net_ticktime(
    fault: Callable[[World, str], None], leader: bool, seed: int
) -> None:
    async def story(world: World) -> None:
        old = await orders_on(world, leader=leader)
        fault(world, old)
        took = await promotion(world, old)
        assert took <= SILENT_S, f"{took:.3f} s"
        assert took >= 0.85 * NET_TICKTIME_S, f"{took:.3f} s"

    simulate(seed, story, policies=[policy(HA_ALL)])


@pytest.mark.parametrize("seed", range(2))
def test_master_and_leader_silent_together_cost_one_net_ticktime(seed: int) -> None:
    async def story(world: World) -> None:
        old = await orders_on(world, leader=False)
        leader = world.leader()
        assert leader is not None
        world.freeze(leader)
        world.freeze(old)
        took = await promotion(world, old)
        assert took <= SILENT_S, f"{took:.3f} s"

    simulate(seed, story, names=FIVE, policies=[policy(HA_ALL)])


@pytest.mark.parametrize("leader", [True, False], ids=["leader", "follower"])
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_master_is_replaced_at_once(leader: bool, seed: int) -> None:
    async def story(world: World) -> None:
        old = await orders_on(world, leader=leader)
        world.kill(old)
        took = await promotion(world, old)
        assert took < KILLED_S, f"{took:.3f} s"

    simulate(seed, story, policies=[policy(HA_ALL)])


@pytest.mark.parametrize("leader", [True, False], ids=["leader", "follower"])
def test_a_master_whose_disk_fails_is_replaced_at_once(leader: bool) -> None:
    async def story(world: World) -> None:
        old = await orders_on(world, leader=leader)
        hall = world.hall(old)
        assert hall is not None
        world.hosts[old].disk.sync_fails = True
        world.nursery.start_soon(_publish, world, old)
        await until(lambda: world.hall(old) is None, 10, 0.001)
        others = [name for name in world.hosts if name != old]
        took = await promotion(world, old, others)
        assert took < 0.5, f"{took:.3f} s"

    simulate(1, story, policies=[policy(HA_ALL)])


async def _publish(world: World, name: str) -> None:
    hall = world.hall(name)
    assert hall is not None
    await by_hand.publish(hall.catalogue.vhosts["/"], "", "orders", [b"lost"], persistent=True)
