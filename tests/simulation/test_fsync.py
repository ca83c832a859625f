"""What was confirmed before it was synced is lost with the machine only: then the copies of others count, not this."""

import pytest
import trio

from broker.storage.fsync import Mode
from tests.simulation.homes import Home
from tests.simulation.stage import bodies
from tests.simulation.world import HA_ALL, World, policy, simulate, until


async def filled(world: World) -> None:
    client = await Home(world, "c1").connect("n1")
    await client.declare("orders")
    await client.confirm_select()
    await client.publish_all("orders", bodies(30))
    assert world.queue("orders").master.node == "n1"


async def drained(world: World, node: str) -> list[bytes]:
    return await (await Home(world, "c2").connect(node)).drain("orders")


@pytest.mark.parametrize("mode", ["never", "interval"])
def test_after_a_crash_of_its_machine_a_master_is_not_believed(mode: Mode) -> None:
    """All processes die, and the machine of the master, too, which is the first to be back."""

    async def story(world: World) -> None:
        await filled(world)
        world.kill("n2", "n3")
        world.kill("n1", power=True)
        world.start("n1", "n2")
        await until(lambda: {"n1", "n2"} <= set(world.serving()), 20)
        await trio.sleep(1)
        assert world.queue("orders").master.node != "n1"
        world.start("n3")
        await world.ready()
        await until(lambda: world.synchronised("orders"), 10)
        assert await drained(world, "n1") == bodies(30)

    simulate(3, story, policies=[policy(HA_ALL)], fsync=mode, fsync_interval=60_000)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_process_that_ends_loses_nothing_however_it_ends(orderly: bool) -> None:
    async def story(world: World) -> None:
        await filled(world)
        if orderly:
            await world.stop("n1")
            world.hosts["n1"].disk.lose_power()
            world.hosts["n1"].boots += 1
        else:
            world.kill("n1")
            world.start("n1")
            await world.ready()
            world.kill("n1", power=True)  # what the last life left to the system was made durable first
        world.start("n1")
        await world.ready()
        assert await drained(world, "n1") == bodies(30)

    simulate(3, story, names=["n1"], fsync="never")


def test_status_says_so() -> None:
    async def story(world: World) -> None:
        node = world.hosts["n1"].node
        assert node is not None
        assert node.report.status(queues=False)["fsync"] == "interval"

    simulate(3, story, names=["n1"], fsync="interval")
