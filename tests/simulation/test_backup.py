"""A copy of a stopped node's folder: all of them are the cluster again, one of them alone is nobody (DESIGN S13)."""

from random import Random

import pytest
import trio

from tests.simulation.cluster_life import reason
from tests.simulation.disk import SimDisk
from tests.simulation.homes import Home
from tests.simulation.stage import bodies
from tests.simulation.world import HA_ALL, World, policy, simulate, until


async def publish(world: World, node: str, messages: list[bytes], queue: str = "orders") -> None:
    client = await Home(world, "c1").connect(node)
    await client.declare(queue)
    await client.confirm_select()
    await client.publish_all(queue, messages)


async def drained(world: World, node: str) -> list[bytes]:
    return await (await Home(world, "c2").connect(node)).drain("orders")


async def stop_all(world: World) -> None:
    for name in world.hosts:
        await world.stop(name)


def copy_of(disk: SimDisk) -> SimDisk:
    copy = SimDisk(Random(1))
    disk.copy_to(copy)
    return copy


def test_copies_of_all_folders_are_the_cluster_with_everything() -> None:
    async def story(world: World) -> None:
        await publish(world, "n1", bodies(30))
        await stop_all(world)
        for host in world.hosts.values():
            host.disk = copy_of(host.disk)
        world.start()
        await world.ready()
        await until(lambda: world.synchronised("orders"), 10)
        assert await drained(world, "n3") == bodies(30)

    simulate(1, story, policies=[policy(HA_ALL)])


def test_an_older_folder_beside_a_cluster_that_went_on_serves_nothing_and_says_what_to_do() -> None:
    async def story(world: World) -> None:
        await publish(world, "n1", [b"old"])
        await world.stop("n1")
        copy = copy_of(world.hosts["n1"].disk)
        world.start("n1")
        await world.ready()
        await until(lambda: world.synchronised("orders"), 10)
        assert await drained(world, "n1") == [b"old"]
        await publish(world, "n1", [b"new"])
        await world.stop("n1")
        copy.copy_to(world.hosts["n1"].disk)
        world.start("n1")
        node = world.hosts["n1"].node
        assert node is not None
        await trio.sleep(10)
        assert world.hall("n1") is None
        for peer in ("n2", "n3"):
            assert f"{peer}: refused there: 'a newer life of n1 was seen here" in node.report.why_not_serving()
        assert "is its data folder an older copy? then remove it" in node.report.why_not_serving()
        assert await drained(world, "n2") == [b"new"]
        await world.stop("n1")
        SimDisk(Random(2)).copy_to(world.hosts["n1"].disk)
        world.start("n1")
        await world.ready()
        await until(lambda: world.synchronised("orders"), 10)

    simulate(1, story, policies=[policy(HA_ALL)])


@pytest.mark.parametrize("lives_since", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_older_folder_has_no_vote(lives_since: int) -> None:
    """What n1 and n3 agreed upon without n2 must not be undone by n2 and a copy of n1 that knows nothing of it; nor if
    its next life has the very number of one that n2 remembers."""

    async def story(world: World) -> None:
        await publish(world, "n1", [b"old"])
        await world.stop("n1")
        copy = copy_of(world.hosts["n1"].disk)
        for _ in range(lives_since):
            world.start("n1")
            await world.ready()
            await world.stop("n1")
        world.start("n1")
        await world.ready()
        await world.stop("n2")
        await publish(world, "n1", [b"late"], queue="late")
        await world.stop("n1")
        world.kill("n3")
        copy.copy_to(world.hosts["n1"].disk)
        world.start("n1", "n2")
        await trio.sleep(10)
        assert not world.serving(), "n1 has forgotten what it voted for"
        assert "n1 has no vote: its data folder is an older copy" in reason(world, "n2")
        world.start("n3")
        await until(lambda: {"n2", "n3"} <= set(world.serving()), 20)
        assert world.queue("late").name == "late"

    simulate(1, story, policies=[policy(HA_ALL)])
