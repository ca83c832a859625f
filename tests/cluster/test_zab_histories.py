"""Two histories, made by a partition or by force: both sides say so, and one of them yields."""

import pytest

from broker.cluster.member import Yields
from broker.cluster.partitions import PAUSE_MINORITY, QuorumRule
from tests.cluster.zab_worlds import by_view, commit, leads, payloads, split, zab
from tests.simulation.zab_world import NET_TICKTIME


def test_a_partition_makes_two_histories_and_one_of_them_yields() -> None:
    world = by_view(torn=True)
    split(world, "n1", "n2")
    world.run_until(lambda: leads(world, "n1") and leads(world, "n2"), 12.0)
    for name in ("n1", "n2"):
        commit(world, name)
    assert zab(world, "n1").epoch % 64 == 0
    assert zab(world, "n2").epoch % 64 == 1
    assert not zab(world, "n1").parted
    world.heal()
    world.run(1.0)
    assert zab(world, "n1").parted["n2"].leader == "n2"
    assert zab(world, "n2").parted["n1"].view == ("n1",)
    assert leads(world, "n1")
    assert leads(world, "n2")
    world.crash("n1")
    world.start("n1")  # for it has lost its say
    world.run_until(world.settled, 10.0)
    assert [(name, leader) for name, leader, _ in world.yielded] == [("n1", "n2")]
    assert payloads(world, "n1") == payloads(world, "n2")
    assert not zab(world, "n2").parted or world.run(NET_TICKTIME + 1.0) is None
    assert not zab(world, "n2").parted


def test_somebody_else_decides_which_history_yields() -> None:
    world = by_view(torn=True)
    split(world, "n1", "n2")
    world.run_until(lambda: leads(world, "n1") and leads(world, "n2"), 12.0)
    epoch = zab(world, "n1").epoch
    zab(world, "n1").yield_to("n1", epoch)  # its own: nothing happens
    with pytest.raises(Yields, match="yields to n1"):
        zab(world, "n2").yield_to("n1", epoch)
    world.heal()
    world.yield_to("n2", "n1", epoch)
    world.run_until(world.settled, 10.0)
    assert zab(world, "n2").leader == "n1"


def test_who_has_yielded_follows_nobody_else() -> None:
    world = by_view(3, torn=True)
    for other in ("n2", "n3"):
        split(world, "n1", other)
    world.run_until(lambda: leads(world, "n1") and (leads(world, "n2") or leads(world, "n3")), 12.0)
    epoch = zab(world, "n1").epoch
    world.yield_to("n2", "n1", epoch)
    world.run(20.0)
    assert zab(world, "n2").state == "looking"  # n3 is there, in the other history
    assert zab(world, "n2").waiting_for() == f"gave its history up for the one with epoch {epoch}: waiting for n1"
    world.heal()
    world.run_until(lambda: zab(world, "n1").view == ("n1", "n2"), 5.0)
    assert "n3" in zab(world, "n1").parted


def test_a_history_that_yields_takes_those_with_it_who_were_about_to_follow_it() -> None:
    world = by_view(3, torn=True)
    for one, other in (("n1", "n2"), ("n1", "n3"), ("n2", "n3")):
        split(world, one, other)
    world.run_until(lambda: all(leads(world, name) for name in world.nodes), 20.0)
    world.yield_to("n1", "n3", zab(world, "n3").epoch)
    world.run(1.0)
    epoch = zab(world, "n2").epoch
    world.yield_to("n3", "n2", epoch)
    world.heal()
    world.run_until(world.settled, 20.0)
    assert [(name, leader) for name, leader, _ in world.yielded] == [("n1", "n3"), ("n3", "n2"), ("n1", "n2")]


def test_one_way_only_one_of_two_goes_on() -> None:
    world = by_view(torn=True)
    world.cut("n1", "n2")
    world.run(30.0)
    assert leads(world, "n2")
    assert not zab(world, "n1").has_quorum(world.now)
    world.heal()
    world.run_until(world.settled, 10.0)
    assert not world.yielded


def test_three_of_whom_two_do_not_hear_one_another() -> None:
    world = by_view(3, torn=True)
    split(world, "n1", "n3")
    world.run(40.0)
    serving = [name for name in world.nodes if zab(world, name).has_quorum(world.now)]
    assert len(serving) >= 2
    assert len([name for name in world.nodes if leads(world, name)]) == 1
    world.heal()
    world.run_until(world.settled, 10.0)


def test_an_operator_forces_a_minority_to_go_on_until_there_is_a_majority_again() -> None:
    world = by_view(3, QuorumRule(PAUSE_MINORITY))
    for name in world.nodes:
        world.crash(name)
    world.start("n1", forced=True)
    world.run_until(lambda: leads(world, "n1"), 3.0)
    assert zab(world, "n1").view == ("n1",)
    commit(world, "n1")
    world.start("n2")
    world.run_until(lambda: zab(world, "n2").has_quorum(world.now) and zab(world, "n1").view == (), 3.0)
    world.start("n3")
    world.run_until(world.settled, 3.0)
    assert payloads(world, "n3") == payloads(world, "n1")


def test_what_was_forced_beside_a_majority_is_another_history() -> None:
    world = by_view(3, QuorumRule(PAUSE_MINORITY), torn=True)
    world.crash("n1")
    for other in ("n2", "n3"):
        split(world, "n1", other)
    world.run(1.0)
    assert world.propose(world.leader or "")
    world.start("n1", forced=True)
    world.run_until(lambda: leads(world, "n1"), 3.0)
    world.heal()
    world.run(2.0)
    assert zab(world, "n1").parted.keys() == {"n3"}
    assert zab(world, "n3").parted.keys() == {"n1"}
    world.crash("n1")
    world.start("n1")
    world.run_until(world.settled, 10.0)
    assert [name for name, _, _ in world.yielded] == ["n1"]
