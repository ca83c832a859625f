"""Who is held dead, when, and by whom: at once with a proof, else after silence that was nobody else's fault."""

from tests.cluster.zab_worlds import by_majority, zab
from tests.simulation.zab_world import NET_TICKTIME, World


def has_led(world: World, *but: str) -> bool:
    return world.leader is not None and world.leader not in but


def round_trips(world: World, seconds: float) -> float:
    """How many times the longest way there and back, each with a write at its end, fits in."""
    return seconds / (2 * world.delay_s + world.disk_s)


def test_a_proven_death_of_the_leader_costs_a_handful_of_round_trips() -> None:
    world = by_majority()
    world.disk_s = 0.0005
    leader = world.leader
    assert leader
    life = world.nodes[leader].life
    world.crash(leader)
    world.run_until(lambda: all(n.zab.state == "looking" for n in world.nodes.values() if n.zab), 1.0)  # all know now
    took = world.run_until(lambda: has_led(world, leader), 1.0)
    assert round_trips(world, took) < 4
    after = world.leader
    assert after
    verdict = zab(world, after).verdict(leader, life, world.now)
    assert verdict
    assert verdict.proven
    assert world.propose(after)
    count = len(world.judges.history)
    assert round_trips(world, world.run_until(lambda: len(world.judges.history) > count, 1.0)) < 1.5


def test_an_unproven_death_is_silence_and_takes_net_ticktime() -> None:
    world = by_majority()
    leader = world.leader
    assert leader
    world.crash(leader, proven=False)
    took = world.run_until(lambda: has_led(world, leader), 10.0)
    assert NET_TICKTIME - 0.6 < took < NET_TICKTIME + 0.5


def test_a_silent_leader_is_dead_to_its_successor_at_once() -> None:
    world = by_majority()
    world.freeze("n3")
    took = world.run_until(lambda: has_led(world, "n3"), 10.0)
    assert world.leader == "n2"
    world.run(4 * world.delay_s)  # it judges once it is answered
    verdict = zab(world, "n2").verdict("n3", 1, world.now)
    assert verdict
    assert not verdict.proven
    assert NET_TICKTIME - 0.6 < took < NET_TICKTIME + 0.1
    assert zab(world, "n2").verdict("n1", 1, world.now) is None


def test_whoever_leads_next_knows_who_else_has_been_silent() -> None:
    world = by_majority(5)
    world.freeze("n5")
    world.run(0.3)
    world.freeze("n3")
    world.run_until(lambda: has_led(world, "n5"), NET_TICKTIME)
    machine = zab(world, "n4")
    world.run(4 * world.delay_s)
    assert machine.verdict("n5", 1, world.now) is not None
    assert machine.verdict("n3", 1, world.now) is None
    assert world.run_until(lambda: machine.verdict("n3", 1, world.now) is not None, 2.0) < 0.4
    assert all(machine.verdict(name, 1, world.now) is None for name in ("n1", "n2"))


def test_nobody_is_held_dead_while_another_leader_may_have_given_him_a_lease() -> None:
    world = by_majority()
    for one, other in (("n2", "n3"), ("n3", "n2")):
        world.cut(one, other)
    world.run(NET_TICKTIME + 1.0)
    assert world.leader == "n3"  # n1 follows it yet
    world.crash("n1")
    for one, other in (("n1", "n3"), ("n3", "n1")):
        world.cut(one, other)
    world.start("n1")
    world.run_until(lambda: zab(world, "n2").leading, 1.0)
    assert zab(world, "n3").lease_until > world.now + 2.0
    world.run_until(lambda: zab(world, "n2").verdict("n3", 1, world.now) is not None, 10.0)
    assert 0.0 < world.now - zab(world, "n3").lease_until < 0.6


def test_a_leader_that_wakes_up_to_a_finished_write_knows_that_it_slept() -> None:
    world = by_majority()
    machine = zab(world, "n3")
    assert world.propose("n3")
    later = world.now + 3 * NET_TICKTIME
    machine.persisted(later)
    assert not machine.may_propose()
    assert machine.verdict("n1", 1, later) is None


def test_a_leader_does_not_hold_its_own_naps_against_others() -> None:
    world = by_majority()
    world.cut("n1", "n3")
    world.run(3.0)
    world.freeze("n3")
    world.run(2.4)  # not long enough to suspect itself
    world.thaw("n3")
    assert zab(world, "n3").verdict("n1", 1, world.now) is None
    world.run(1.0)
    assert zab(world, "n3").verdict("n1", 1, world.now) is None
    world.run(1.5)
    assert zab(world, "n3").verdict("n1", 1, world.now) is not None


def test_a_frozen_follower_is_dead_to_the_leader_after_net_ticktime_only() -> None:
    world = by_majority()
    world.freeze("n1")
    machine = zab(world, "n3")
    took = world.run_until(lambda: machine.verdict("n1", 1, world.now) is not None, 10.0)
    assert NET_TICKTIME - 0.6 < took < NET_TICKTIME + 0.6
    verdict = machine.verdict("n1", 1, world.now)
    assert verdict
    assert not verdict.proven


def test_a_newer_life_proves_that_the_older_one_is_over() -> None:
    world = by_majority()
    world.crash("n3", proven=False)
    world.start("n3")
    world.run_until(world.settled, 1.0)
    follower = "n1" if world.leader != "n1" else "n2"
    leader = world.leader
    assert leader
    if leader != "n3":
        assert zab(world, leader).verdict("n3", 1, world.now)
        assert zab(world, leader).verdict("n3", 2, world.now) is None
    assert zab(world, follower).has_quorum(world.now)


def test_a_leader_without_a_majority_steps_down_at_once_when_the_deaths_are_proven() -> None:
    world = by_majority()
    world.crash("n1")
    world.crash("n2")
    world.run(0.03)
    assert zab(world, "n3").state == "looking"
    assert not zab(world, "n3").has_quorum(world.now)


def test_a_leader_that_is_not_answered_holds_nobody_dead() -> None:
    world = by_majority()
    world.cut("n1", "n3")
    world.run(0.3)
    world.cut("n2", "n3")
    machine = zab(world, "n3")
    while machine.state == "leading":
        assert machine.verdict("n1", 1, world.now) is None
        assert machine.verdict("n2", 1, world.now) is None
        world.run(0.01)


def test_a_leader_that_is_not_answered_steps_down_after_net_ticktime() -> None:
    world = by_majority()
    for name in ("n1", "n2"):
        world.cut(name, "n3")
    took = world.run_until(lambda: zab(world, "n3").state != "leading", 10.0)
    assert took < NET_TICKTIME + 0.6
    world.heal()
    world.run_until(world.settled, 10.0)
