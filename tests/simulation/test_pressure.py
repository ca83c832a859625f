"""What fills up on one node makes the publishers of every node wait, as their messages end there (S8, S11)."""

import trio

from broker.wire.content import body_of
from tests.simulation.homes import Home
from tests.simulation.memory import TOTAL_BYTES
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
        client.publish("orders", b"waits")
        await client.flush()
        await trio.sleep(3)
        assert list(client.unconfirmed.values()) == [b"waits"]
        assert await (await Home(world, "c2").connect("n2")).drain("orders") == [b"before"], "consumers go on"
        disk.bytes_max = None
        await client.wait_for(lambda: not client.unconfirmed)
        assert world.hall("n1") is hall

    simulate(1, story)


def test_a_node_without_memory_blocks_publishers_of_other_nodes_and_says_why() -> None:
    async def story(world: World) -> None:
        hall = world.hall("n1")
        assert hall is not None
        await hall.declarations.declare_plain("/", "orders")
        publisher = await Home(world, "c3").connect("n3")
        await publisher.confirm_select()
        await publisher.publish_all("orders", [b"before"])
        memory = world.hosts["n1"].memory
        memory.used = round(0.4 * TOTAL_BYTES) + 1
        await trio.sleep(1)
        assert publisher.blocked == "", "it does not publish now"
        publisher.publish("orders", b"waits")
        await publisher.flush()
        await publisher.wait_for(lambda: publisher.blocked)
        assert publisher.blocked == "low on memory"
        consumer = await Home(world, "c2").connect("n2")
        seen: list[bytes] = []
        consumer.on_deliver = lambda delivered: seen.extend(map(body_of, delivered.contents))
        await consumer.consume("orders", 10)
        await trio.sleep(1)
        assert seen == [b"before"], "consumers go on"
        world.hosts["n2"].disk.bytes_max = 0
        late = await Home(world, "c1").connect("n1")
        await trio.sleep(1)
        await late.confirm_select()
        late.publish("orders", b"late")
        await late.flush()
        await late.wait_for(lambda: late.blocked)
        assert late.blocked == "low on disk & memory"
        world.hosts["n2"].disk.bytes_max = None
        node = world.hosts["n1"].node
        assert node is not None
        node.alarm_limits.memory = 0.5
        await publisher.wait_for(lambda: not publisher.unconfirmed and not publisher.blocked)
        await late.wait_for(lambda: not late.unconfirmed and not late.blocked)
        assert sorted(seen[1:]) == [b"late", b"waits"]

    simulate(2, story)
