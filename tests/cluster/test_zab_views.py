"""Views: all of them have to agree, and who may go on without whom. The cases of the exhaustive model of two nodes, and
those of three that it has no room for."""

import pytest

from broker.cluster import bonds
from broker.cluster.entries import epoch_of
from broker.cluster.member import Member
from broker.cluster.partitions import AUTO, AUTOHEAL, IGNORE, PAUSE_IF_ALL_DOWN, PAUSE_MINORITY, QuorumRule
from tests.cluster.zab_worlds import by_view, commit, leads, payloads, zab
from tests.simulation.zab_judges import Broken
from tests.simulation.zab_world import NET_TICKTIME, Node, World


def n1_alone() -> World:
    """One of two goes on without the other, which was killed."""
    world = by_view()
    world.crash("n2")
    world.run_until(lambda: leads(world, "n1"), 1.0)
    commit(world, "n1")
    return world


def test_which_rule_wants_a_view() -> None:
    assert [QuorumRule(AUTO).wants_view("ab"[:count]) for count in (1, 2)] == [False, True]
    assert not QuorumRule(AUTO).wants_view("abc")
    assert not QuorumRule(PAUSE_MINORITY).wants_view("ab")
    assert all(QuorumRule(mode).wants_view("abc") for mode in (IGNORE, AUTOHEAL, PAUSE_IF_ALL_DOWN))


def test_a_founding_is_a_view_of_all_and_nothing_commits_without_all() -> None:
    world = by_view()
    assert zab(world, "n1").view == zab(world, "n2").view == ("n1", "n2")
    world.freeze("n1")
    assert world.propose("n2")
    world.run(1.0)
    assert zab(world, "n2").committed < zab(world, "n2").last_zxid
    world.thaw("n1")
    world.run(1.0)
    assert zab(world, "n2").committed == zab(world, "n2").last_zxid


def test_the_survivor_of_two_goes_on_at_once() -> None:
    world = by_view()
    world.crash("n2")
    assert world.run_until(lambda: leads(world, "n1"), 1.0) < 0.1
    assert zab(world, "n1").view == ("n1",)
    commit(world, "n1")
    world.start("n2")
    world.run_until(world.settled, 2.0)
    assert zab(world, "n2").view == ("n1", "n2")


def test_a_silent_one_is_waited_for_net_ticktime_long() -> None:
    world = by_view()
    world.freeze("n2")
    took = world.run_until(lambda: leads(world, "n1"), 10.0)
    assert NET_TICKTIME - 0.6 < took < NET_TICKTIME + 0.6
    commit(world, "n1")
    took = world.run_until(lambda: zab(world, "n1").verdict("n2", 1, world.now) is not None, 5.0)
    assert took < 0.6 * NET_TICKTIME + 0.6
    world.thaw("n2")
    world.run_until(world.settled, 3.0)
    assert payloads(world, "n2") == payloads(world, "n1")


def test_a_restarted_node_that_was_not_alone_waits_and_says_for_whom() -> None:
    world = n1_alone()
    world.crash("n1")
    world.start("n2")
    world.run(30.0)
    assert zab(world, "n2").state == "looking"
    assert zab(world, "n2").waiting_for() == "last seen together with n1: waiting for n1"
    world.start("n1")
    world.run_until(world.settled, 3.0)
    assert payloads(world, "n2") == payloads(world, "n1")


def test_one_that_was_alone_at_last_may_start_alone() -> None:
    world = n1_alone()
    world.crash("n1")
    world.start("n1")
    took = world.run_until(lambda: leads(world, "n1"), 3.0)
    assert took >= 1.0  # n2 might be starting, too


def freeze_serve_kill_thaw(world: World) -> None:
    """n1 goes on while n2 sleeps, and is gone when it wakes up."""
    world.resets = True
    world.freeze("n2")
    world.run_until(lambda: leads(world, "n1"), 10.0)
    commit(world, "n1")
    world.crash("n1")
    world.run(0.1)
    world.thaw("n2")
    world.run(30.0)


def test_a_sleeper_counts_as_restarted() -> None:
    world = by_view()
    freeze_serve_kill_thaw(world)
    assert zab(world, "n2").state == "looking"
    assert zab(world, "n2").waiting_for() == "last seen together with n1: waiting for n1"
    world.start("n1")
    world.run_until(world.settled, 3.0)


def test_a_sleeper_that_is_trusted_loses_what_was_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonds, "continuing", lambda member: (member.view or {}).get(member.me.name) == member.me.life)
    with pytest.raises(Broken, match="durability"):
        freeze_serve_kill_thaw(by_view())


def test_two_that_slept_at_once_go_on_as_if_nothing_had_happened() -> None:
    world = by_view()
    epoch = zab(world, "n2").epoch
    for name in world.nodes:
        world.freeze(name)
    world.run(60.0)
    for name in world.nodes:
        world.thaw(name)
    world.run_until(world.settled, 1.0)
    world.run(1.0)
    assert zab(world, "n2").epoch == epoch
    world.crash("n2")  # and they trust their eyes again
    world.run_until(lambda: leads(world, "n1"), 1.0)


def go_on_with_a_view_that_one_only_promised() -> World:
    """n2 dies; n1 leads a view with n3, which has its marker when n1 dies before its own disk has; n3 goes on alone,
    commits, and dies. Then the others come back."""
    world = World(1, 3, QuorumRule(IGNORE))
    for name in world.nodes:
        world.start(name)
    world.run_until(world.settled, 5.0)
    world.run(2.0)
    world.crash("n3")
    world.run_until(lambda: leads(world, "n2") and zab(world, "n2").view == ("n1", "n2"), 3.0)
    commit(world, "n2")
    world.cut("n3", "n2")
    world.start("n3")
    world.run(0.2)
    world.disk_s = 0.2
    world.crash("n2")
    world.heal()
    entries = [zab(world, name)._member.history.last_epoch for name in ("n1", "n3")]
    world.run_until(lambda: epoch_of(world.nodes["n3"].disk.state.entries[-1].zxid) > max(entries), 5.0)
    assert epoch_of(world.nodes["n1"].disk.state.entries[-1].zxid) == entries[0]
    world.crash("n1")
    world.disk_s = 0.001
    world.run_until(lambda: leads(world, "n3"), 10.0)
    commit(world, "n3")
    world.crash("n3")
    for name in ("n1", "n2"):
        world.start(name)
    world.run(10.0)
    return world


def test_a_view_that_was_promised_is_asked_for() -> None:
    world = go_on_with_a_view_that_one_only_promised()
    assert zab(world, "n1").waiting_for() == "last seen together with n3: waiting for n3"
    assert not leads(world, "n2")
    world.start("n3")
    world.run_until(world.settled, 5.0)


def test_a_promise_that_does_not_name_the_view_loses_what_it_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Member.accept
    monkeypatch.setattr(Member, "accept", lambda self, epoch, leader, view=None: accept(self, epoch, leader))
    with pytest.raises(Broken):
        go_on_with_a_view_that_one_only_promised()


def go_on_without_one_whose_admission_was_on_the_way() -> World:
    """n1 is about to be in the view again, which it and the leader n3 have written down, and n2 has not. n3 dies, n1
    takes a nap, n2 goes on alone, commits, and dies."""
    world = by_view(3)
    world.crash("n1")
    world.run_until(lambda: leads(world, "n3") and zab(world, "n3").view == ("n2", "n3"), 3.0)
    commit(world, "n3")
    world.cut("n3", "n2")
    world.start("n1")
    world.run_until(
        lambda: "n1" in zab(world, "n1").view and zab(world, "n1").last_zxid > zab(world, "n2").last_zxid, 1.0
    )
    world.run(0.01)
    world.freeze("n1")
    world.crash("n3")
    world.heal()
    world.run_until(lambda: leads(world, "n2"), 1.0)
    commit(world, "n2")
    world.resets = True
    world.crash("n2")
    world.run(0.05)
    world.nodes["n1"].held = world.nodes["n1"].held[-2:]  # that the others are dead
    world.thaw("n1")
    world.run(10.0)
    return world


def test_an_admission_counts_once_it_is_committed() -> None:
    world = go_on_without_one_whose_admission_was_on_the_way()
    assert zab(world, "n1").waiting_for() == "last seen together with n2, n3: waiting for n2, n3"
    world.start("n2")
    world.run_until(lambda: leads(world, "n2"), 3.0)
    world.start("n3")
    world.run_until(world.settled, 5.0)


def test_an_admission_that_counts_too_early_loses_what_was_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonds, "continuing", lambda member: (member.view or {}).get(member.me.name) == member.me.life)
    with pytest.raises(Broken):
        go_on_without_one_whose_admission_was_on_the_way()


def test_a_restarted_node_that_trusts_its_eyes_loses_what_was_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonds, "continuing", lambda member: True)
    world = n1_alone()
    world.crash("n1")
    world.start("n2")
    with pytest.raises(Broken, match="durability"):
        world.run(10.0)


def test_pause_if_all_down_wants_one_of_the_listed() -> None:
    world = by_view(3, QuorumRule(PAUSE_IF_ALL_DOWN, ("n1", "gone")))
    world.crash("n1")
    world.run(10.0)
    assert world.leader is None
    assert zab(world, "n3").waiting_for() == "pause_if_all_down: waiting for one of gone, n1"
    world.start("n1")
    world.run_until(world.settled, 5.0)
    world.crash("n2")
    world.crash("n3")
    world.run_until(lambda: leads(world, "n1"), 1.0)


def test_a_lost_memory_is_waited_for_by_nobody() -> None:
    world = by_view()
    commit(world, "n2")
    world.crash("n1")
    world.crash("n2")
    world.wipe("n1")
    world.start("n2")
    world.run(3.0)
    assert zab(world, "n2").waiting_for() == "last seen together with n1: waiting for n1"
    world.start("n1")
    world.run_until(world.settled, 5.0)
    assert zab(world, "n2").view == ("n1", "n2")
    assert payloads(world, "n1") == [b"1 by n2"]


def test_whoever_joins_two_ends_the_view_and_only_if_both_are_there() -> None:
    world = by_view()
    world.nodes["n3"] = Node("n3", "folder-3")
    world.start("n3")
    world.run(1.0)
    machine = zab(world, "n2")
    world.crash("n1")
    world.run_until(lambda: machine.leading and machine.view == ("n2",), 1.0)
    world.run(1.0)
    assert machine.lacking == ("n1",)
    assert machine.propose_members({**machine.members, "n3": "folder-3"}) is None
    world.start("n1")
    world.run_until(lambda: machine.view == ("n1", "n2"), 2.0)
    world.run(0.1)
    assert machine.propose_members({**machine.members, "n3": "folder-3"})
    world.run_until(world.settled, 2.0)
    assert machine.view == ()
    world.crash("n2")
    world.run_until(lambda: world.leader not in (None, "n2"), 1.0)
    assert {name: folder for name, folder in zab(world, "n3").members.items() if name != "n2"}
    leader = zab(world, world.leader or "")
    assert leader.propose_members({"n1": "folder-1", "n3": "folder-3"})
    world.run(0.2)
    assert leader.view == ("n1", "n3")
