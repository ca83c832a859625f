"""Acceptance scenarios 25 to 27, and the life of a cluster: members come, go, return blank, restart one by one."""

from dataclasses import replace
from random import Random

import trio

from broker.cluster import schema
from broker.node.configuration import Address
from broker.node.configuration import Node as NodeSection
from tests.simulation.disk import SimDisk
from tests.simulation.stage import Stage, bodies
from tests.simulation.world import HA_ALL, Host, World, simulate, until


def add_hosts(world: World, *names: str) -> None:
    """Machines, and a cluster's file that names them, too; nodes that run already do not read it."""
    settings = world.cluster.nodes[0].settings
    sections = [
        NodeSection(name, Address(name, 5672), Address(name, 15672), Address(name, 25672), settings) for name in names
    ]
    world.cluster = replace(world.cluster, nodes=(*world.cluster.nodes, *sections))
    for name in names:
        world.hosts[name] = Host(name, SimDisk(Random(f"disk of {name} {world.seed}")))


async def ask(world: World, do: str, *, at: str | None = None, **members: object) -> dict[str, object]:
    """A change of the shared state, at any node that serves."""
    tree = world.tree(at or world.serving()[0])
    assert tree is not None
    return await tree.propose({"do": do, **members})


def voters(world: World) -> set[str]:
    """Who has a vote, as the leader sees it."""
    name = world.leader()
    tree = None if name is None else world.tree(name)
    return set() if tree is None else set(tree.voters)


async def grow(world: World, name: str) -> None:
    """One more member, as `warren apply` makes it."""
    add_hosts(world, name)
    world.start(name)
    await ask(world, "add_member", node=name, link=f"{name}:25672")
    await until(lambda: name in world.serving() and name in voters(world), 30)


async def shrink(world: World, name: str) -> None:
    """One member less, likewise; its machine goes, too."""
    keeper = next(other for other in world.serving() if other != name)
    await until(world.synchronised, 30)
    await ask(world, "retire_member", node=name, at=keeper)
    await until(lambda: voters(world) and name not in voters(world), 30)
    await world.stop(name)
    tree = world.tree(keeper)
    assert tree is not None

    def has_ended() -> bool:
        record = schema.member(tree.tree, name)
        return record is not None and not record.running

    await until(lambda: world.tree(keeper) is tree and has_ended() and world.leader(), 30)
    await ask(world, "forget_member", node=name, at=keeper)
    del world.hosts[name]


def members(world: World, at: str) -> list[str]:
    """The members as a node has them."""
    node = world.hosts[at].node
    assert node is not None
    return sorted(node.membership.names)


def test_a_cluster_grows_from_one_to_five_and_shrinks_to_one_under_load() -> None:
    """Nothing confirmed is lost, whoever comes and goes (S13)."""
    sent: list[bytes] = []

    async def publish(stage: Stage, stop: trio.Event) -> None:
        client = await stage.client("n1", "publisher")
        await client.confirm_select()
        while not stop.is_set():
            batch = bodies(5, len(sent) + 1)
            await client.publish_all("q", batch)
            sent.extend(batch)
            await trio.sleep(0.05)

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.set_policy(HA_ALL)
        await (await stage.client("n1")).declare("q")
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish, stage, stop)
            for name in ("n2", "n3", "n4", "n5"):
                await grow(world, name)
            assert voters(world) == {"n1", "n2", "n3", "n4", "n5"}
            await until(world.synchronised, 30)
            assert {life.node for life in world.queue("q").in_sync} == set(world.hosts)
            for name in ("n5", "n4", "n3", "n2"):
                await shrink(world, name)
            stop.set()
        assert voters(world) == {"n1"}
        assert members(world, "n1") == ["n1"]
        assert len(sent) > 100
        assert await (await stage.client("n1")).drain("q") == sent

    simulate(1, story, names=["n1"])


def test_the_founders_may_all_be_replaced() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 20)
        for new, old in (("n4", "n1"), ("n5", "n2"), ("n6", "n3")):
            await grow(world, new)
            await until(world.synchronised, 30)
            await shrink(world, old)
        assert members(world, "n5") == ["n4", "n5", "n6"]
        world.kill("n4", "n5", "n6", power=True)
        await trio.sleep(1)
        world.start("n5", "n6")
        await until(world.synchronised, 30)
        world.start("n4")
        await world.ready()
        assert await (await stage.client("n4")).drain("q") == bodies(20)

    simulate(2, story)
