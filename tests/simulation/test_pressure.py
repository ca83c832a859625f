"""What fills up on one node makes the publishers of every node wait, as their messages end there (S8, S11)."""

import trio

from tests.simulation.workload import Home
from tests.simulation.world import World, simulate

SHORT_BYTES = 32 * 1024 * 1024


def test_a_disk_without_room_blocks_publishers_of_other_nodes_and_nobody_ends() -> None:
    async def story(world: World) -> None:
        hall = world.hall("n1")
        assert hall is not None
        await hall.declarations.declare_plain("/", "orders")
        assert world.queue("orders").master.node == "n1"
        disk = world.hosts["n1"].disk
        client = await Home(world, "c3").connect("n3")
        await client.confirm_select()
        await client.publish_all("orders", [b"before"])
        disk.bytes_max = sum(disk.sizes().values()) + SHORT_BYTES
        await trio.sleep(1)
        await client.publish_all("orders", [b"read when the gate closed"])
        client.publish("orders", b"waits")
        await client.flush()
        await trio.sleep(3)
        assert list(client.unconfirmed.values()) == [b"waits"]
        assert await (await Home(world, "c2").connect("n2")).drain("orders") == [
            b"before",
            b"read when the gate closed",
        ], "consumers go on"
        disk.bytes_max = None
        await client.wait_for(lambda: not client.unconfirmed)
        assert world.hall("n1") is hall

    simulate(1, story)
