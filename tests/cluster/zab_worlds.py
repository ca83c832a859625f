"""Worlds of agreement machines as tests begin them, and what they do to them again and again."""

import pytest

from broker.cluster.partitions import AUTO, IGNORE, QuorumRule
from broker.cluster.zab import Zab
from tests.simulation.zab_judges import PartedJudges
from tests.simulation.zab_world import World


def by_view(size: int = 2, rule: QuorumRule | None = None, *, torn: bool = False) -> World:
    world = World(0, size, rule or QuorumRule(AUTO if size == 2 else IGNORE))
    if torn:
        world.judges = PartedJudges()
    return founded(world)


def by_majority(size: int = 3, seed: int = 0) -> World:
    return founded(World(seed, size))


def founded(world: World) -> World:
    for name in world.nodes:
        world.start(name)
    world.run_until(world.settled, 5.0)
    world.run(2.0)
    return world


def zab(world: World, name: str) -> Zab:
    machine = world.nodes[name].zab
    assert machine
    return machine


def leads(world: World, name: str) -> bool:
    machine = world.nodes[name].zab
    return machine is not None and machine.leading


def payloads(world: World, name: str) -> list[bytes]:
    return [payload for _, payload in world.nodes[name].applied]


def commit(world: World, name: str) -> None:
    count = len(world.nodes[name].applied)
    assert world.propose(name)
    world.run_until(lambda: len(world.nodes[name].applied) > count, 1.0)


def split(world: World, left: str, right: str) -> None:
    world.cut(left, right)
    world.cut(right, left)


def leave_behind(monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster that has gone on for long without n1, and whose state goes in slices."""
    monkeypatch.setattr("broker.cluster.progress.BATCH_BYTES", 64)
    world = by_majority()
    world.crash("n1")
    for _ in range(40):
        world.propose("n3")
        world.run(0.01)
    return world
