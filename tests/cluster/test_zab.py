"""The agreement machine in a small simulated cluster: what it promises, how long it takes, and that no crash hurts."""

import pytest

from broker.cluster.entries import Accept, Append, DamagedLog, DurableState, Entry
from broker.cluster.messages import Malformed
from broker.cluster.zab import NotLeading, Ready, Zab
from tests.cluster.zab_worlds import by_majority, leave_behind, zab
from tests.simulation.zab_world import NET_TICKTIME, World, applied_of


def test_a_cluster_of_one_founds_itself_and_commits_at_once() -> None:
    world = by_majority(1)
    assert world.propose("n1")
    world.run(0.01)
    assert [payload for _, payload in world.nodes["n1"].applied] == [b"1 by n1"]
    assert zab(world, "n1").stable == zab(world, "n1").committed
    assert zab(world, "n1").lease_until > world.now


def test_two_of_three_do_not_found_a_cluster() -> None:
    world = World(0, 3)
    world.start("n1")
    world.start("n2")
    world.run(60.0)
    assert world.leader is None
    assert zab(world, "n1").waiting_for() == "a founding needs every configured member: waiting for n3"
    world.start("n3")
    world.run_until(world.settled, 1.0)
    assert zab(world, "n1").members == {"n1": "folder-1", "n2": "folder-2", "n3": "folder-3"}


def test_a_founder_that_died_half_way_is_waited_for_and_then_the_founding_goes_on() -> None:
    world = World(0, 3)
    world.nodes["n3"].crash_at_write = 2  # its promise, and the marker that nobody else has
    for name in world.nodes:
        world.start(name)
    world.run(3.0)
    assert world.nodes["n3"].zab is None
    assert world.leader is None
    world.start("n3")
    world.run_until(world.settled, 3.0)


def test_stable_waits_for_everyone_believed_alive_and_for_nobody_else() -> None:
    world = by_majority()
    world.freeze("n1")
    assert world.propose("n3")
    world.run(1.0)
    machine = zab(world, "n3")
    assert machine.committed == machine.last_zxid
    assert machine.stable < machine.committed
    world.run(NET_TICKTIME)
    assert machine.stable == machine.committed
    world.crash("n1")
    assert world.propose("n3")
    world.run(0.1)
    assert zab(world, "n2").stable == machine.last_zxid


def test_stable_waits_for_the_silent_until_the_others_have_applied_their_end() -> None:
    """They may go on without knowing that they are held dead; who takes their word has to know it first."""
    world = by_majority()
    machine, life = zab(world, "n3"), world.nodes["n1"].life
    machine.know_life("n1", life)
    world.freeze("n1")
    assert world.propose("n3")
    world.run(3 * NET_TICKTIME)
    assert machine.stable < machine.committed
    machine.know_end("n1", life, machine.committed + 1)
    world.run(NET_TICKTIME)
    assert machine.stable < machine.committed
    assert world.propose("n3")
    world.run(0.5)
    assert machine.stable == machine.committed


def test_leases_are_held_by_all_in_quiet_times_and_by_none_that_is_cut_off() -> None:
    world = by_majority()
    for _ in range(20):
        world.run(0.3)
        assert min(zab(world, name).lease_until for name in world.nodes) > world.now
    world.cut("n1", "n3")
    world.run(0.6 * NET_TICKTIME + 0.1)
    assert zab(world, "n1").lease_until < world.now
    assert zab(world, "n3").lease_until > world.now


@pytest.mark.parametrize("name", ["n1", "n3"])
def test_one_that_stood_still_trusts_itself_again_only_after_the_quorum_answered(name: str) -> None:
    world = by_majority()
    world.freeze(name)
    world.run(0.6 * NET_TICKTIME)
    world.thaw(name)
    assert not zab(world, name).has_quorum(world.now)
    assert zab(world, name).lease_until < world.now
    if name == "n3":
        assert not world.propose(name)
    world.run_until(world.settled, 1.5)
    assert zab(world, name).lease_until > world.now
    assert zab(world, "n3").state == "leading"


def test_a_member_without_memory_gets_its_vote_back_only_from_the_others() -> None:
    world = by_majority()
    world.propose("n3")
    world.run(0.1)
    world.crash("n1")
    world.wipe("n1")
    world.crash("n2")
    world.run(0.1)
    world.start("n1")
    world.run(10.0)
    assert world.leader is None  # n3 and a blank one are no majority
    assert zab(world, "n1").waiting_for().startswith("blank")
    world.start("n2")
    world.run_until(world.settled, 2.0)
    world.run(0.1)
    assert zab(world, "n3").members["n1"] == "folder-1*"
    world.crash("n2")
    world.run(0.1)
    assert world.propose("n3")  # now it counts
    world.run_until(lambda: len(world.nodes["n1"].applied) == 2, 1.0)


def test_an_older_copy_of_a_folder_has_no_vote_until_its_new_life_is_known() -> None:
    world = by_majority()
    for name in ("n2", "n3"):
        zab(world, name).know_life("n1", 7)
    world.crash("n2")
    world.run(NET_TICKTIME)
    assert not world.propose("n3") or zab(world, "n3").committed < zab(world, "n3").last_zxid


def test_nor_has_one_that_counts_a_life_once_more_that_is_known() -> None:
    world = by_majority()
    life = world.nodes["n1"].life
    for name in ("n2", "n3"):
        zab(world, name).know_life("n1", life, "another one")
    world.crash("n2")
    world.run(NET_TICKTIME)
    assert not world.propose("n3") or zab(world, "n3").committed < zab(world, "n3").last_zxid


def test_members_join_and_leave_one_at_a_time() -> None:
    world = by_majority()
    machine = zab(world, "n3")
    newcomer = World(0, 4).nodes["n4"]
    world.nodes["n4"] = newcomer
    world.start("n4")
    world.run(1.0)
    assert not newcomer.zab or not newcomer.zab.has_quorum(world.now)
    assert machine.propose_members({**machine.members, "n4": "folder-4"})
    assert machine.propose_members(machine.members) is None  # one change is under way
    world.run_until(world.settled, 2.0)
    left = {name: folder for name, folder in machine.members.items() if name != "n3"}
    assert machine.propose_members(left)
    world.run_until(lambda: world.leader not in (None, "n3"), 2.0)
    assert zab(world, world.leader or "").members == left
    world.run(1.0)
    assert zab(world, "n3").state == "following"  # it may watch
    assert not zab(world, "n3").has_quorum(world.now)


def test_the_counter_of_an_epoch_never_runs_into_the_epoch() -> None:
    world = World(0, 3)
    world.machine = lambda *args, **more: Zab(*args, **more, counter_max=5)
    for name in world.nodes:
        world.start(name)
    world.run_until(world.settled, 1.0)
    for _ in range(12):
        world.run_until(lambda: world.leader is not None and world.propose(world.leader), 2.0)
        world.run(0.05)
    world.run_until(world.settled, 2.0)
    assert zab(world, "n1").epoch == 3
    assert len(world.nodes["n1"].applied) == 12


def test_who_is_far_behind_gets_the_state_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    world = leave_behind(monkeypatch)
    assert zab(world, "n3").log_length < 20
    world.start("n1")
    world.run_until(world.settled, 1.0)
    assert len(world.nodes["n1"].applied) == 40
    snapshot = world.nodes["n1"].disk.state.snapshot
    assert snapshot
    assert len(applied_of(snapshot.state)) >= 20


@pytest.mark.parametrize("name", ["n1", "n2", "n3"])
def test_a_crash_after_any_write_hurts_nobody(name: str) -> None:
    for write in range(1, 26):
        world = World(write, 3)
        world.nodes[name].crash_at_write = write
        for each in world.nodes:
            world.start(each)
        for step in range(8):
            world.run(0.1)
            if world.leader:
                world.propose(world.leader)
            if step == 4 and world.leader:
                leader = world.leader
                world.crash(leader)
                world.run(0.05)
                world.start(leader)
        if world.nodes[name].zab is None:
            world.start(name)
        world.run_until(world.settled, 10.0)


def test_only_a_leader_proposes() -> None:
    world = by_majority()
    with pytest.raises(NotLeading, match="n3 leads"):
        zab(world, "n1").propose(b"x")


def test_a_log_that_cannot_be_ours_is_refused() -> None:
    hole = DurableState(accepted_epoch=1, entries=[Entry(1 << 32, 1, b'{"cluster":"","leader":"","members":{}}')])
    hole.entries.append(Entry((1 << 32) + 2, 3, b""))
    with pytest.raises(DamagedLog, match="cannot follow"):
        Zab("n1", "f", ["n1"], hole, now=0.0)
    with pytest.raises(DamagedLog, match="accepted is only 0"):
        Zab("n1", "f", ["n1"], DurableState(entries=hole.entries[:1]), now=0.0)


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(Malformed):
        zab(by_majority(), "n1").receive("n2", b"\xffnonsense", 10.0)


def test_a_bundle_says_what_waits_for_the_disk() -> None:
    machine = Zab("n1", "f", ["n1"], DurableState(), now=0.0)
    promise = machine.take_ready()
    assert promise.log == [Accept(1)]
    assert promise.sync
    assert not promise.committed
    machine.persisted(0.0)
    marker = machine.take_ready()
    assert [type(op) for op in marker.log] == [Append]
    assert not machine.leading
    machine.persisted(0.0)
    assert machine.leading
    done = machine.take_ready()
    assert not done.sync
    assert [entry.zxid for entry in done.committed] == [1 << 32]
    assert not Ready([], False, [], None, [], False)
