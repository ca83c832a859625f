"""Rounds of heartbeats: they hurry only as long as that can help somebody."""

from tests.cluster.zab_worlds import by_majority, zab
from tests.simulation.zab_world import NET_TICKTIME


def test_one_that_falls_silent_before_its_first_lease_keeps_nobody_busy() -> None:
    world = by_majority()
    world.crash("n1")
    world.run(0.1)
    world.start("n1")
    world.run_until(lambda: zab(world, "n1").state == "following", 1.0)
    world.freeze("n1")
    world.run(0.1)
    before = world.messages
    world.run(NET_TICKTIME)
    assert world.messages - before < 200
