"""A node whose disk fails is as good as killed: its queues go on elsewhere, and it stays only to say why (S8)."""

from broker.vhosts import by_hand
from tests.simulation.world import HA_ALL, World, policy, simulate, until


def test_a_failed_sync_hands_the_queues_over_and_says_why() -> None:
    async def story(world: World) -> None:
        hall = world.hall("n1")
        assert hall is not None
        await hall.declarations.declare_plain("/", "orders")
        await by_hand.publish(hall.catalogue.vhosts["/"], "", "orders", [b"kept"], persistent=True)
        assert world.queue("orders").master.node == "n1"
        world.hosts["n1"].disk.sync_fails = True
        world.nursery.start_soon(publish_in_vain, world)
        await until(lambda: world.hall("n1") is None, 10)
        await until(lambda: world.queue("orders", at="n2").master.node != "n1", 10)
        heir = world.hall(world.queue("orders", at="n2").master.node)
        assert heir is not None
        messages, _ = await by_hand.get(heir.catalogue.vhosts["/"].handle("orders"), 1, keep=True)
        assert messages[0]["body"] == "kept"
        node = world.hosts["n1"].node
        assert node is not None
        await until(lambda: node.report.state == "failed", 5)
        assert "mend the disk" in node.report.status(queues=False)["reason"]

    simulate(1, story, policies=[policy(HA_ALL)])


async def publish_in_vain(world: World) -> None:
    hall = world.hall("n1")
    assert hall is not None
    await by_hand.publish(hall.catalogue.vhosts["/"], "", "orders", [b"lost"], persistent=True)
