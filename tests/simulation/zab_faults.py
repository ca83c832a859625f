"""What befalls a world of agreement machines: the faults and repairs from which a seed draws.

Decides what each fault does. How often it comes is the drawer's: a seed means the same run as long as the order of the
draws stays as it is.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from tests.simulation.zab_world import World


class Faults(NamedTuple):
    """Which ones are drawn from, `of_leader` when the one who leads is meant; `both_ways`: how often a cut is."""

    kinds: Sequence[str]
    of_leader: Sequence[str]
    both_ways: float


def misbehave(world: World, dice: Random, down: set[str], faults: Faults) -> None:
    """One fault or repair."""
    names = sorted(world.nodes)
    name, other = dice.sample(names, 2)
    fault = dice.choice(faults.kinds)
    if fault == "leader":
        name, fault = world.leader or name, dice.choice(faults.of_leader)
    match fault:
        case "power":
            _fail_power(world, dice, down)
        case "crash" if name not in down:
            _crash(world, dice, name, down)
        case "start" if down:
            name = dice.choice(sorted(down))
            world.start(name)
            down.discard(name)
        case "wipe" if world.settled():
            world.crash(name)
            world.wipe(name)
            down.add(name)
        case "cut":
            world.cut(name, other)
            if dice.random() < faults.both_ways:
                world.cut(other, name)
        case "isolate" | "hush":
            for each in names:
                world.cut(name, each)
                if fault == "isolate":
                    world.cut(each, name)
        case "heal":
            world.heal()
        case "break":
            world.break_link(name, other)
        case "freeze" if name not in down:
            world.freeze(name)
        case "nap" if name not in down:
            world.freeze(name)
            world.run(dice.uniform(0.5, 3.5))
            world.thaw(name)
        case "doze" if name not in down and other not in down:
            _doze(world, dice, name, other, down)
        case "thaw":
            world.thaw(name)


def leaders(world: World) -> list[str]:
    """Everybody who leads, in whatever history."""
    return [node.name for node in world.nodes.values() if node.zab and node.zab.leading]


def _fail_power(world: World, dice: Random, down: set[str]) -> None:
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


def _crash(world: World, dice: Random, name: str, down: set[str]) -> None:
    world.crash(name, proven=dice.random() < 0.8)
    down.add(name)
    if dice.random() < 0.4:  # a supervisor that starts it again at once
        world.run(dice.uniform(0.0, 0.05))
        world.start(name)
        down.discard(name)


def _doze(world: World, dice: Random, name: str, other: str, down: set[str]) -> None:
    """One sleeps for long, the others go on; when it wakes up, one of them is gone."""
    world.freeze(name)
    world.run(dice.uniform(5.5, 9.0))
    for leader in leaders(world):
        world.propose(leader)
    world.run(dice.uniform(0.0, 1.0))
    if dice.random() < 0.6 and world.nodes[other].zab:
        world.crash(other, proven=dice.random() < 0.8)
        down.add(other)
    world.run(dice.choice([0.0, 0.1]))
    world.thaw(name)
