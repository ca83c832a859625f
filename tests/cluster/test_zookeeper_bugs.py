"""What went wrong in the original, bug by bug, and does not here: each is a case, and the table says which."""

import re
from pathlib import Path

import pytest

from broker.cluster.entries import MARKER, TRANSACTION, Compact, DurableState, Entry, Roll, zxid_of
from broker.cluster.messages import Follow, Marks, Proposals, Report, decode, encode
from broker.cluster.operations import Create, Set
from broker.cluster.operations import decode as operations_in
from broker.cluster.operations import encode as encoded
from broker.cluster.overlay import Overlay
from broker.cluster.tree import Tree
from broker.cluster.zab import Zab
from tests.cluster.zab_worlds import by_majority, leave_behind, zab
from tests.simulation.zab_world import Node, World

HERE = Path(__file__).parent

# ZOOKEEPER-nnnn: the test that would fail if it were so here; `file.py::test`, or a test of this file.
BUGS = {
    710: "../metadata/test_shared_tree.py::test_requests_on_a_link_that_breaks_are_carried_out_once",
    1277: "test_zab.py::test_the_counter_of_an_epoch_never_runs_into_the_epoch",
    1549: "test_a_snapshot_holds_only_what_is_committed",
    1624: "test_overlay.py::test_a_refused_transaction_leaves_no_trace_not_even_in_the_count_of_children",
    1653: "test_a_member_that_died_between_its_promise_and_the_history_starts_where_it_was",
    1675: "test_zab.py::test_one_that_stood_still_trusts_itself_again_only_after_the_quorum_answered",
    1732: "test_a_late_comer_with_a_longer_log_follows_who_leads_already",
    1805: "test_a_late_comer_with_a_longer_log_follows_who_leads_already",
    1818: "test_a_late_comer_with_a_longer_log_follows_who_leads_already",
    2307: "test_a_member_that_died_between_its_promise_and_the_history_starts_where_it_was",
    2418: "test_a_hole_in_what_a_leader_sends_is_not_taken_over",
    2678: "test_nothing_is_said_to_be_on_the_disk_before_it_is",
    2832: "test_zab_model.py::test_a_broken_rule_is_found",
    2845: "test_what_was_never_committed_is_applied_by_nobody_that_lives_on",
    3023: "test_nothing_is_said_to_be_on_the_disk_before_it_is",
    3104: "test_a_state_that_arrived_in_part_is_neither_taken_over_nor_acknowledged",
    3526: "test_who_is_behind_what_the_leader_still_has_is_sent_the_state_and_told_to_cut_off_nothing",
    3642: "test_what_was_never_committed_is_applied_by_nobody_that_lives_on",
    3911: "test_nothing_is_said_to_be_on_the_disk_before_it_is",
    4352: "test_zab.py::test_a_log_that_cannot_be_ours_is_refused",
    4394: "test_a_commit_ahead_of_its_entry_commits_nothing_yet",
    4502: "test_a_write_under_way_when_the_log_is_cut_off_counts_only_as_far_as_it_is_kept",
    4643: "test_a_member_that_died_between_its_promise_and_the_history_starts_where_it_was",
    4646: "test_nothing_is_said_to_be_on_the_disk_before_it_is",
    4685: "test_nothing_is_said_to_be_on_the_disk_before_it_is",
    4712: "test_a_write_under_way_when_the_log_is_cut_off_counts_only_as_far_as_it_is_kept",
    4743: "test_versions_do_not_wrap",
    4785: "test_nothing_is_said_to_be_on_the_disk_before_it_is",
    4925: "test_a_hole_in_what_a_leader_sends_is_not_taken_over",
    5010: "test_what_was_never_committed_is_applied_by_nobody_that_lives_on",
}

ROLL = Roll("cluster", "n3", {"n1": "folder-1", "n2": "folder-2", "n3": "folder-3"}).encode()


@pytest.mark.parametrize(("bug", "where"), BUGS.items())
def test_the_case_of_each_bug_is_there(bug: int, where: str) -> None:
    file, _, name = where.rpartition("::")
    text = (HERE / (file or Path(__file__).name)).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"ZOOKEEPER-{bug} has no case"


def part(world: World, one: str, other: str) -> None:
    world.cut(one, other)
    world.cut(other, one)


def test_what_was_never_committed_is_applied_by_nobody_that_lives_on() -> None:
    world = by_majority()
    world.cut("n3", "n2")
    world.disk_s = 0.05
    assert world.propose("n3")
    world.run(0.003)
    world.crash("n3")  # n1 has the entry, n3 had not written it yet
    world.disk_s = 0.001
    world.heal()
    part(world, "n1", "n2")
    part(world, "n1", "n3")
    world.run(0.1)
    lone = zab(world, "n1").last_zxid
    assert lone == zxid_of(1, 1)
    assert world.nodes["n3"].disk.state.entries[-1].zxid < lone
    world.start("n3")
    world.run_until(lambda: world.leader is not None, 2.0)
    assert world.propose(world.leader or "")
    world.run(0.1)
    world.heal()
    world.run_until(world.settled, 2.0)
    assert [zxid for zxid, _ in world.nodes["n1"].applied] == [zxid_of(2, 1)]
    assert not zab(world, "n1")._member.history.contains(lone)


def test_a_write_under_way_when_the_log_is_cut_off_counts_only_as_far_as_it_is_kept() -> None:
    entries = [Entry(zxid_of(1, 0), MARKER, ROLL), Entry(zxid_of(1, 1), TRANSACTION, b"a")]
    durable = DurableState(accepted_epoch=1, entries=entries)
    member = Zab("n1", "folder-1", ["n1", "n2", "n3"], durable, now=0.0)._member
    member.append([Entry(zxid_of(1, 2), TRANSACTION, b"b"), Entry(zxid_of(1, 3), TRANSACTION, b"c")])
    member.take_ops()
    member.truncate(zxid_of(1, 1))
    member.append([Entry(zxid_of(2, 0), MARKER, ROLL)])
    member.persisted()  # of what was taken before the cut
    assert member.durable_zxid == zxid_of(1, 1)
    member.take_ops()
    member.persisted()
    assert member.durable_zxid == zxid_of(2, 0)


class Watched(World):
    """Compares what members say of their disks with their disks."""

    said = 0

    def _send(self, node: Node, messages: list[tuple[str, bytes]]) -> None:
        disk = node.disk.state
        last = disk.entries[-1].zxid if disk.entries else disk.snapshot.zxid if disk.snapshot else 0
        for _, data in messages:
            match decode(data):
                case Report(durable=durable):
                    assert durable <= last
                    self.said += durable > 0
                case Follow(epoch=epoch):
                    assert disk.accepted_epoch >= epoch
        super()._send(node, messages)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_said_to_be_on_the_disk_before_it_is(seed: int) -> None:
    world = Watched(seed, 3)
    world.disk_s = 0.05
    for name in world.nodes:
        world.start(name)
    for _ in range(4):
        world.run_until(world.settled, 5.0)
        leader = world.leader
        assert leader
        for _ in range(3):
            assert world.propose(leader)
        world.run(0.03)
        world.crash(leader)
        world.run(0.2)
        world.start(leader)
    assert world.said > 20


@pytest.mark.parametrize("accepted", [1, 2])
def test_a_member_that_died_between_its_promise_and_the_history_starts_where_it_was(accepted: int) -> None:
    entries = [Entry(zxid_of(1, 0), MARKER, ROLL), Entry(zxid_of(1, 1), TRANSACTION, b"a")]
    durable = DurableState(accepted_epoch=accepted, entries=entries)
    machine = Zab("n1", "folder-1", ["n1", "n2", "n3"], durable, now=0.0)
    assert machine.state == "looking"
    assert machine._member.position == (1, zxid_of(1, 1))  # what it votes with is its history, not its promise
    assert machine._member.accepted_epoch == accepted


def test_a_commit_ahead_of_its_entry_commits_nothing_yet() -> None:
    world = by_majority()
    follower = zab(world, "n1")
    following = follower.last_zxid + 1
    world.cut("n3", "n1")
    assert world.propose("n3")
    world.run(0.05)
    assert zab(world, "n3").committed == following
    follower.receive("n3", encode(Marks(1, following, 0, following, 0, float("-inf"))), world.now)
    assert follower.committed < following
    assert [type(decode(data)) for to, data in follower.take_ready().messages if to == "n3"] == [Follow], "it asks"
    follower.persisted(world.now)
    world.heal()
    world.run_until(world.settled, 2.0)
    assert follower.committed == following


def test_a_hole_in_what_a_leader_sends_is_not_taken_over() -> None:
    world = by_majority()
    follower = zab(world, "n1")
    last = follower.last_zxid
    for previous, first in ((last, last + 2), (last + 1, last + 2)):
        hole = Proposals(1, previous, [Entry(first, TRANSACTION, b"x")])
        follower.receive("n3", encode(hole), world.now)
        assert follower.last_zxid == last
    hole = Proposals(1, last, [Entry(last + 1, TRANSACTION, b"x"), Entry(last + 3, TRANSACTION, b"y")])
    follower.receive("n3", encode(hole), world.now)
    assert follower.last_zxid == last


def test_a_state_that_arrived_in_part_is_neither_taken_over_nor_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    world = leave_behind(monkeypatch)
    before = world.nodes["n1"].disk.state.entries[-1].zxid
    world.start("n1")
    world.run_until(lambda: bool(getattr(zab(world, "n1")._role, "_snapshot", b"")), 2.0)  # some slices have come
    world.break_link("n3", "n1")
    world.run(0.02)
    assert zab(world, "n1").last_zxid == before
    assert world.nodes["n1"].disk.state.snapshot is None
    assert not zab(world, "n1").has_quorum(world.now)
    world.run_until(world.settled, 2.0)
    assert len(world.nodes["n1"].applied) == 40


def test_who_is_behind_what_the_leader_still_has_is_sent_the_state_and_told_to_cut_off_nothing() -> None:
    world = by_majority()
    world.crash("n1")
    for _ in range(20):
        world.propose("n3")
        world.run(0.01)
    leader = zab(world, "n3")._member.history
    assert leader.base_zxid > world.nodes["n1"].disk.state.entries[-1].zxid
    world.start("n1")
    world.run_until(world.settled, 2.0)
    world.judges.full_check("n1", world.nodes["n1"].applied)
    assert world.nodes["n1"].disk.state.snapshot is not None


def test_a_snapshot_holds_only_what_is_committed() -> None:
    world = by_majority()
    for name in ("n1", "n2"):
        world.cut("n3", name)
    machine = zab(world, "n3")
    applied = machine._member.applied
    assert world.propose("n3")
    world.run(0.05)
    assert machine.last_zxid == applied + 1
    machine.snapshot(b"state")
    (compact,) = [op for op in machine.take_ready().log if isinstance(op, Compact)]
    assert compact.snapshot.zxid == applied
    assert [entry.zxid for entry in machine._member.history.entries] == [applied + 1]


def test_a_late_comer_with_a_longer_log_follows_who_leads_already() -> None:
    world = by_majority()
    for name in ("n1", "n2"):
        world.cut("n3", name)
    for _ in range(3):
        assert world.propose("n3")
    world.run(0.05)
    world.crash("n3")
    world.heal()
    world.run_until(lambda: world.leader == "n2", 2.0)
    epoch = zab(world, "n2").epoch
    world.start("n3")
    world.run_until(world.settled, 2.0)
    assert (world.leader, zab(world, "n3").epoch) == ("n2", epoch)


@pytest.mark.parametrize("version", [(1 << 31) - 1, (1 << 32) - 1])
def test_versions_do_not_wrap(version: int) -> None:
    tree = Tree()
    tree.apply(1, [Create("/a", b"x", 0), Set("/a", b"y", version)])
    overlay = Overlay(tree)
    with overlay.transaction(2) as operations:
        overlay.set("/a", b"z", version)
    tree.apply(2, operations_in(encoded(operations)))
    again = Tree()
    again.restore(tree.snapshot())
    for each in (tree, again):
        node = each.get("/a")
        assert node
        assert node.version == version + 1
