"""Agreement machines by views under random faults. Without partitions there is one history, and nothing committed is
lost; with them there may be two, which both sides say, and of which one yields."""

from random import Random

import pytest

from broker.cluster.partitions import AUTO, AUTOHEAL, IGNORE, PAUSE_IF_ALL_DOWN, QuorumRule
from tests.simulation.zab_faults import Faults, leaders, misbehave
from tests.simulation.zab_judges import Broken, PartedJudges
from tests.simulation.zab_world import Node, World

STEPS = 14
CALM = Faults(
    ["crash", "crash", "start", "start", "break", "freeze", "thaw", "leader", "power", "wipe", "nap", "doze", "none"],
    of_leader=["crash", "freeze", "nap"],
    both_ways=0.6,
)
TORN = CALM._replace(kinds=[*CALM.kinds, "cut", "cut", "isolate", "heal", "heal"])
RULES = [
    QuorumRule(AUTO),
    QuorumRule(IGNORE),
    QuorumRule(AUTOHEAL),
    QuorumRule(PAUSE_IF_ALL_DOWN, ("n1", "n2")),
]


def run_view_seed(seed: int, size: int, *, torn: bool = False, rule: QuorumRule | None = None) -> World:
    """One run; raises Broken."""
    dice = Random(f"views of {seed}")
    chosen = dice.choice(RULES if size == 2 else RULES[1:])
    world = World(seed, size, rule or chosen)
    if torn:
        world.judges = PartedJudges()
    world.resets = True
    world.disk_s = dice.choice([0.0005, 0.005, 0.05, 0.2])
    world.delay_s = dice.choice([0.001, 0.01, 0.1])
    down: set[str] = set()
    for name in world.nodes:
        world.start(name)
    world.run(dice.uniform(0.0, 2.0))
    for _ in range(STEPS):
        misbehave(world, dice, down, TORN if torn else CALM)
        down = {name for name in down if world.nodes[name].zab is None}
        for _ in range(dice.randrange(4)):
            for name in leaders(world):
                world.propose(name)
            world.run(dice.uniform(0.0, 0.02))
        world.run(dice.choice([0.01, 0.1, 0.5, 2.0, 7.0]))
    recover(world, down, torn=torn)
    return world


def run_seed_of_a_view_that_hardly_came_about(seed: int) -> World:
    """Two go on without the third, which goes on by itself. As soon as one of them has made their view it dies, and the
    other one is restarted: it does not know that there was one, and has the third in sight again. Raises Broken."""
    dice = Random(f"hardly {seed}")
    world = World(seed, 3, QuorumRule(dice.choice([IGNORE, AUTOHEAL])))
    world.judges = PartedJudges()
    world.disk_s, world.delay_s = dice.choice([0.001, 0.02]), 0.1
    for name in world.nodes:
        world.start(name)
    world.run_until(world.settled, 10.0)
    alone = dice.choice(list(world.nodes))
    two = [name for name in world.nodes if name != alone]
    for other in two:
        world.cut(alone, other)
        world.cut(other, alone)
    world.run_until(lambda: any(len(node.zab.view) == 2 for node in world.nodes.values() if node.zab), 30.0)
    world.run_until(lambda: any(name in two for name in leaders(world)), 10.0)
    world.run(dice.uniform(0.0, 0.2))
    dying = next(name for name in two if name in leaders(world))
    other = next(name for name in two if name != dying)
    for name in (other, dying):
        world.crash(name)
    world.run_until(lambda: alone in leaders(world), 30.0)
    world.heal()
    world.start(other)
    world.run(dice.choice([0.5, 7.0]))
    recover(world, {dying}, torn=True)
    return world


def recover(world: World, down: set[str], *, torn: bool) -> None:
    """Everything mended: then there is one view of all, perhaps after one side has yielded; and work goes on."""
    world.heal()
    for name in world.nodes:
        world.thaw(name)
    for name in sorted(down):
        if world.nodes[name].zab is None:
            world.start(name)
    if torn:
        world.run(20.0)
        heal_histories(world)
    world.run_until(world.settled, 60.0)
    if world.yielded and not torn:
        raise Broken(f"yields: nothing was parted, and {world.yielded} yielded")
    world.run_until(lambda: all(view_is_full(world, node) for node in world.nodes.values()), 10.0)
    leader = world.leader
    assert leader
    assert world.propose(leader)
    world.run_until(lambda: len({node.digest for node in world.nodes.values()}) == 1, 10.0)
    for node in world.nodes.values():
        world.judges.full_check(node.name, node.applied)


def view_is_full(world: World, node: Node) -> bool:
    return node.zab is not None and len(node.zab.view) == len(world.nodes)


def heal_histories(world: World) -> None:
    """What an operator, or autoheal, does about two histories; both sides must know of one another."""
    for _ in range(6):
        established = leaders(world)
        if not established or not any(node.zab and node.zab.parted for node in world.nodes.values()):
            return
        for name in established:
            machine = world.nodes[name].zab
            assert machine
            unknown = [each for each in established if each != name and each not in machine.parted]
            if unknown:
                raise Broken(f"parted: {name} leads and does not say that {unknown} have another history")
        winner = max(established)
        machine = world.nodes[winner].zab
        assert machine
        losers = [name for name, node in world.nodes.items() if node.zab and winner in node.zab.parted]
        for name in losers:
            if world.rule.mode == IGNORE:
                world.crash(name)
            else:
                world.yield_to(name, winner, machine.epoch)
        for name in losers:
            if world.rule.mode == IGNORE:
                world.start(name)
        world.run(20.0)


@pytest.mark.parametrize("size", [2, 3])
def test_kills_restarts_and_freezes_lose_nothing(size: int) -> None:
    for seed in range(8):
        run_view_seed(seed, size)


@pytest.mark.parametrize("size", [2, 3])
def test_a_partition_makes_two_histories_that_know_of_one_another(size: int) -> None:
    for seed in range(6):
        run_view_seed(seed, size, torn=True)


def test_what_may_be_committed_is_given_up_by_nobody() -> None:
    for seed in range(3):
        run_seed_of_a_view_that_hardly_came_about(seed)


@pytest.mark.slow
def test_nor_in_many_more_seeds() -> None:
    for seed in range(3, 200):
        run_seed_of_a_view_that_hardly_came_about(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize("torn", [False, True])
def test_many_more_seeds(block: int, torn: bool) -> None:
    for seed in range(10_000 + block * 100, 10_000 + block * 100 + 100):
        run_view_seed(seed, 2 + seed % 3, torn=torn)
