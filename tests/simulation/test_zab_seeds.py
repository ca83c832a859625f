"""Agreement machines under random faults: every promise is kept, and everything settles once healed."""

from random import Random

import pytest

from tests.simulation.zab_faults import Faults, misbehave
from tests.simulation.zab_world import World

STEPS = 14
FAULTS = Faults(
    ["crash", "crash", "start", "start", "cut", "heal", "break", "freeze", "thaw", "leader", "power", "none"],
    of_leader=["crash", "freeze", "isolate", "hush"],
    both_ways=0.5,
)


def run_seed(seed: int, size: int, **rules: bool) -> World:
    dice = Random(f"faults of {seed}")
    world = World(seed, size, **rules)
    world.disk_s = dice.choice([0.0005, 0.005, 0.05, 0.2])
    world.delay_s = dice.choice([0.001, 0.01, 0.1])
    down: set[str] = set()
    for name in world.nodes:
        world.start(name)
    world.run(dice.uniform(0.0, 1.0))
    for _ in range(STEPS):
        misbehave(world, dice, down, FAULTS)
        for _ in range(dice.randrange(4)):
            world.propose(dice.choice([world.leader or "n1", dice.choice(sorted(world.nodes))]))
            world.run(dice.uniform(0.0, 0.02))
        world.run(dice.choice([0.01, 0.1, 0.5, 2.0, 7.0]))
    recover(world, down)
    return world


def recover(world: World, down: set[str]) -> None:
    """Everything mended: then there is a leader, everybody serves, and new work is done everywhere."""
    world.heal()
    for name in world.nodes:
        world.thaw(name)
    for name in sorted(down):
        world.start(name)
    world.run_until(world.settled, 60.0)
    count = len(world.judges.history)
    assert world.leader
    assert world.propose(world.leader)
    world.run_until(lambda: all(len(node.applied) > count for node in world.nodes.values()), 10.0)
    for node in world.nodes.values():
        world.judges.full_check(node.name, node.applied)


@pytest.mark.parametrize("block", range(8))
def test_three_members_keep_their_promises(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        run_seed(seed, 3)


def test_five_members_keep_their_promises() -> None:
    for seed in range(20):
        run_seed(seed, 5)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(6))
def test_many_more_seeds(block: int) -> None:
    for seed in range(10_000 + block * 100, 10_000 + block * 100 + 100):
        run_seed(seed, 3 if seed % 2 else 5)
