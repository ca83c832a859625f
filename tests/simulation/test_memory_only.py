"""Clusters with `data: memory`: what they throw away they say (S9)."""

import pytest
import trio

from broker.world.disk import MemoryDisk
from tests.simulation.modes import AUTOHEAL, QUEUE, TWO, Sides
from tests.simulation.world import HA_ALL, World, policy, simulate, until


class Forgetful(MemoryDisk):
    """As the simulation treats disks."""

    def kill(self) -> None:
        """Nothing is left anyway."""


@pytest.mark.parametrize("persistent", [True, False])
def test_who_loses_a_partition_says_what_is_lost_with_it(persistent: bool) -> None:
    async def story(world: World) -> None:
        sides = Sides(world)
        world.kill(*world.hosts)
        for host in world.hosts.values():
            host.disk = Forgetful()
        world.start()
        await world.ready()
        here, there = await sides.publisher("n1"), await sides.publisher("n2")
        await here.declare(QUEUE)
        await here.publish_all(QUEUE, [b"old"], persistent=persistent)
        await trio.sleep(10)  # both sides have it, and nobody has to look how long they had not heard one another
        await sides.part(["n1"], ["n2"])
        for client in (here, there):
            for each in range(3):
                await client.publish_all(QUEUE, [b"%d" % each], persistent=persistent)
        sides.mend()
        await until(lambda: any(sides.events(name, "healed") for name in TWO), 20)
        told = [event for name in TWO for event in sides.events(name, "set_aside")]
        assert [(event["queue"], event["messages"], event["lost"]) for event in told] == [(QUEUE, 0, 3)]
        assert "are lost, as nothing is kept with data: memory" in told[0]["text"]

    simulate(1, story, policies=[policy(HA_ALL)], names=TWO, handling=AUTOHEAL)
