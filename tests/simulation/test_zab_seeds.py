"""Agreement machines under random faults: every promise is kept, and everything settles once healed."""

from random import Random

import pytest

from tests.simulation.zab_world import World

STEPS = 14
FAULTS = ["crash", "crash", "start", "start", "cut", "heal", "break", "freeze", "thaw", "leader", "power", "none"]


def misbehave(world: World, dice: Random, down: set[str]) -> None:
    """One fault or repair, and some work meanwhile."""
    names = sorted(world.nodes)
    name, other = dice.sample(names, 2)
    fault = dice.choice(FAULTS)
    if fault == "power":
        fail_power(world, dice, down)
    if fault == "leader":
        name, fault = world.leader or name, dice.choice(["crash", "freeze", "isolate", "hush"])
    if fault == "crash" and name not in down:
        world.crash(name, proven=dice.random() < 0.8)
        down.add(name)
        if dice.random() < 0.4:  # a supervisor that starts it again at once
            world.run(dice.uniform(0.0, 0.05))
            world.start(name)
            down.discard(name)
    elif fault == "start" and down:
        name = dice.choice(sorted(down))
        world.start(name)
        down.discard(name)
    elif fault == "cut":
        world.cut(name, other)
        if dice.random() < 0.5:
            world.cut(other, name)
    elif fault in {"isolate", "hush"}:
        for each in names:
            world.cut(name, each)
            if fault == "isolate":
                world.cut(each, name)
    elif fault == "heal":
        world.heal()
    elif fault == "break":
        world.break_link(name, other)
    elif fault == "freeze" and name not in down:
        world.freeze(name)
    elif fault == "thaw":
        world.thaw(name)


def fail_power(world: World, dice: Random, down: set[str]) -> None:
    """In the middle of work, some or all go at once; then some come back, perhaps others."""
    names = sorted(world.nodes)
    majority = len(names) // 2 + 1
    if world.leader:
        world.propose(world.leader)
    world.run(dice.uniform(0.0, 2.0) * (world.disk_s + world.delay_s))
    for name in names if dice.random() < 0.5 else dice.sample(names, majority):
        if name not in down:
            world.crash(name)
            down.add(name)
    world.run(dice.uniform(0.0, 0.1))
    for name in dice.sample(names, majority):
        if name in down:
            world.start(name)
            down.discard(name)


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
        misbehave(world, dice, down)
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


@pytest.mark.parametrize("block", range(4))
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
