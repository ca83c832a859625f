"""A master's side of a queue on services without tasks: what goes to disk, to mirrors and back to publishers."""

import pytest

from broker.mirroring.copy import Copy
from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.queues.settings import Settings
from broker.vhosts.local import Local
from broker.vhosts.paging import Paging
from broker.vhosts.publications import Publications
from broker.wire import queue_frames as frames
from broker.wire import records
from broker.wire.message import Run, Traits
from tests.mirroring.lane import Taker, run_of
from tests.vhosts.fakes import FakePending, FakeSwitchboard, FakeTimers

TERM = 10


@pytest.fixture
def switchboard():
    return FakeSwitchboard()


class DeadLetterBox:
    def __init__(self):
        self.letters = []

    def send(self, source, dead):
        self.letters.append(dead)


def local_of(switchboard, *, durable=True, mirrored=False, copy=None, publications=None, auto_delete=False, **settings):
    deleted = []

    async def delete():
        deleted.append(True)

    local = Local(
        Master(copy or Copy(1, durable), TERM, Settings(**settings), mirrored=mirrored),
        publications or Publications(switchboard.origin),
        switchboard,
        FakeTimers(),
        Paging(switchboard.journal),
        box := DeadLetterBox(),
        auto_delete=auto_delete,
        delete=delete,
        spawn=lambda function, *args: deleted.append(function),
    )
    local.deleted = deleted
    local.letters = box.letters
    switchboard.end_turn()
    return local


def follow(local, node="n2", *, member=True):
    follower = local.master.witnesses.followers[node] = Follower(node, 1)
    follower.stated = follower.joined = True
    if member:
        local.master.witnesses.member_nodes.add(node)
    return follower


def acknowledge(local, follower, offset):
    if follower.acknowledged(offset, offset):
        local.advance()


def test_a_queue_that_nobody_logs_answers_at_once(switchboard):
    local, pending = local_of(switchboard, durable=False), FakePending()
    local.publish(run_of("a", "b"), pending)
    assert pending.answers == 1
    assert local.queue.messages_ready == 2
    assert not switchboard.journal.appended


def test_a_persistent_message_is_confirmed_when_it_is_on_disk(switchboard):
    local, pending = local_of(switchboard), FakePending()
    local.publish(run_of("a"), pending)
    switchboard.end_turn()
    assert (pending.answers, local.waits) == (0, True)
    switchboard.journal.sync()
    local.advance()
    assert (pending.answers, local.waits) == (1, False)


def test_the_only_copy_confirms_under_a_lease_alone(switchboard):
    local, pending = local_of(switchboard), FakePending()
    local.publish(run_of("a"), pending)
    switchboard.end_turn()
    switchboard.journal.sync()
    switchboard.lease = False
    local.advance()
    assert (pending.answers, local.waits) == (0, True)
    switchboard.lease = True
    local.advance()
    assert pending.answers == 1


def test_a_transient_message_is_confirmed_with_whatever_stands_before_it_in_the_log(switchboard):
    local, taker, pending = local_of(switchboard), Taker(), FakePending()
    local.consume(taker)
    local.publish(run_of("a", traits=Traits()), pending)  # only its announcement is written
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    assert pending.answers == 1
    local.settle(taker, frames.ACKNOWLEDGE, 1, 1)
    again = FakePending()
    local.publish(run_of("b", traits=Traits()), again)
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    assert again.answers == 1


def test_a_queue_whose_policy_asks_for_mirrors_that_are_not_there_confirms_all_the_same(switchboard):
    local, pending = local_of(switchboard, durable=False), FakePending()
    local.master.mirror()
    local.publish(run_of("a"), pending)
    switchboard.end_turn()
    assert pending.answers == 1


def test_a_message_of_a_mirrored_queue_is_confirmed_when_every_member_has_it(switchboard):
    local, pending = local_of(switchboard, mirrored=True), FakePending()
    follower = follow(local)
    local.publish(run_of("a"), pending)
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    assert pending.answers == 0
    acknowledge(local, follower, switchboard.links.offset("n2", "data"))
    assert pending.answers == 1


def test_a_note_that_found_no_link_is_not_taken_for_acknowledged(switchboard):
    local, pending = local_of(switchboard, mirrored=True), FakePending()
    follower = follow(local)
    switchboard.links.down.add("n2")  # the link broke by this very frame: on_down is still to come
    local.publish(run_of("a"), pending)
    switchboard.end_turn()
    switchboard.journal.sync()
    acknowledge(local, follower, 0)
    local.advance()
    assert pending.answers == 0
    assert not follower.unsynced


def test_what_overflows_is_refused_and_then_answered(switchboard):
    local, pending = local_of(switchboard, max_length=1, overflow="reject-publish"), FakePending()
    local.publish(run_of("a", "b", "c"), pending)
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    assert (pending.refused, pending.answers) == ([(1, 3)], 1)


def from_peer(sequence, *bodies):
    run = run_of(*bodies)
    run.origin, run.sequence = "n2/1", sequence
    return run


def answers(switchboard):
    return [frames.decode_pair(payload)[1] for payload in switchboard.take(frames.ANSWERED, "n2")]


def test_another_nodes_publications_are_answered_once_a_turn_and_repeats_are_not_taken_twice(switchboard):
    local = local_of(switchboard)
    local.publish_from("n2", from_peer(1, "a"))
    local.publish_from("n2", from_peer(2, "b", "c"))
    local.publish_from("n2", from_peer(2, "b", "c", "d"))  # sent again after a link broke
    switchboard.end_turn()
    assert answers(switchboard) == []
    switchboard.journal.sync()
    local.advance()
    assert answers(switchboard) == [4]
    assert local.queue.messages_ready == 4


def test_an_answer_that_found_no_link_is_given_when_there_is_one_unless_its_node_has_gone(switchboard):
    local = local_of(switchboard)
    switchboard.links.down.add("n2")
    local.publish_from("n2", from_peer(1, "a"))
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    assert local.debts.owed
    switchboard.links.down.clear()
    local.advance()
    assert (answers(switchboard), bool(local.debts.owed)) == ([1], False)
    local.publish_from("n2", from_peer(2, "b"))
    local.debts.cancel("n2")
    assert not local.debts.owed


def test_a_gap_in_another_nodes_publications_is_not_taken(switchboard):
    local = local_of(switchboard)
    local.publish_from("n2", from_peer(3, "c"))
    assert local.queue.messages_ready == 0


def test_another_node_hears_what_was_refused_before_the_answer(switchboard):
    local = local_of(switchboard, max_length=1, overflow="reject-publish")
    local.publish_from("n2", from_peer(1, "a", "b", "c"))
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    kinds = [kind for _, kind, _ in switchboard.links.sent]
    assert kinds == [frames.REFUSED, frames.ANSWERED]
    assert frames.decode_triple(switchboard.take(frames.REFUSED)[0]) == (1, 2, 3)


def test_what_another_node_publishes_without_confirms_is_only_taken(switchboard):
    local = local_of(switchboard)
    local.publish_from("n2", run_of("a"))
    assert local.queue.messages_ready == 1


def test_a_new_master_takes_what_this_node_has_not_had_answered_and_nothing_twice(switchboard):
    publications, copy = Publications(switchboard.origin), Copy(1, True)
    known, half, new = FakePending(), FakePending(), FakePending()
    publications.add(run_of("a"), known)
    publications.add(run_of("b", "c"), half).sent = True
    publications.add(run_of("d"), new)
    copy.origins[switchboard.origin] = 2  # the log has a and b
    local = local_of(switchboard, copy=copy, publications=publications)
    assert [len(run.contents) for run in local.queue.living()] == [1, 1]
    assert [run.redelivered for run in local.queue.living()] == [True, False], "no master has ever had the last one"
    switchboard.journal.sync()
    local.advance()
    assert [pending.answers for pending in (known, half, new)] == [1, 1, 1]


def test_consumers_answers_reach_the_queue(switchboard):
    local, taker = local_of(switchboard, durable=False), Taker()
    local.consume(taker)
    local.publish(run_of("a", "b", "c"), None)
    local.settle(taker, frames.ACKNOWLEDGE, 1, 1)
    local.settle(taker, frames.REJECT, 2, 2)
    taker.window = 0
    local.settle(taker, frames.REQUEUE, 3, 3)
    assert (local.queue.messages_ready, local.queue.messages_unacked) == (1, 0)
    taker.window = 5
    local.wake(taker)
    assert [(run.first, run.redelivered) for run in taker.got] == [(1, False), (3, True)]
    local.settle(taker, frames.RELEASE, 0, 0)
    assert local.statistics()["messages"] == 1


def test_an_auto_delete_queue_ends_with_its_last_consumer(switchboard):
    local, taker, other = local_of(switchboard, durable=False, auto_delete=True), Taker(), Taker()
    assert not local.is_unused
    local.consume(taker)
    local.consume(other)
    local.part_with(taker)
    assert not local.deleted
    local.part_with(other)
    assert local.deleted == [local.delete]


def test_a_settle_leaves_the_disk_when_every_member_has_it(switchboard):
    local, taker = local_of(switchboard, mirrored=True), Taker()
    follower = follow(local)
    local.publish(run_of("a"), None)
    local.consume(taker)
    local.wake(taker)
    switchboard.end_turn()
    switchboard.journal.sync()
    acknowledge(local, follower, switchboard.links.offset("n2", "data"))
    assert [run.first for run in taker.got] == [1]
    local.settle(taker, frames.ACKNOWLEDGE, 1, 1)
    switchboard.end_turn()
    assert switchboard.journal.freed == []
    acknowledge(local, follower, switchboard.links.offset("n2", "data"))
    assert switchboard.journal.freed == [(1, [(1, 1)])]


def test_dead_letters_go_out_at_the_end_of_the_turn_and_settle_when_they_are_safe(switchboard):
    local = local_of(switchboard, durable=False, dead_letter_exchange="dlx", max_length=1)
    local.publish(run_of("a", "b"), None)
    switchboard.end_turn()
    (dead,) = local.letters
    assert dead.reason == "maxlen"
    assert local.statistics()["messages_dying"] == 1
    local.forget_dead(1, 1)
    assert local.statistics()["messages_dying"] == 0
    local.forget_dead(0, 0)  # of a publish that was refused and never stood in the log


def test_dead_letters_wait_for_the_lease(switchboard):
    local = local_of(switchboard, message_ttl_ms=10, dead_letter_exchange="dlx")
    local.publish(run_of("a"), None)
    switchboard.end_turn()
    switchboard.lease = False  # as after a sleep: somebody else may have been put in its place
    local.tick(switchboard.stamp_ms + 20)
    switchboard.end_turn()
    assert local.letters == []
    switchboard.lease = True
    local.advance()
    switchboard.end_turn()
    assert len(local.letters) == 1


def test_an_unused_queue_that_expires_is_deleted(switchboard):
    local = local_of(switchboard, durable=False, expires_ms=100)
    local.tick(switchboard.stamp_ms)
    assert not local.deleted
    local.tick(switchboard.stamp_ms + 101)
    assert local.deleted == [local.delete]


def test_a_successor_tells_publishers_what_was_refused_and_takes_nothing_for_let_in(switchboard):
    copy = Copy(1, True)
    copy.origins.update({"n2/1": 7, "n1/1": 7})
    copy.refused.update({"n2/1": [(3, 3), (5, 6)], "n1/1": [(5, 6)]})
    publications, pending = Publications("n1/1"), FakePending()
    publications.next_sequence = 4
    publications.add(run_of(*"defg"), pending)
    local = local_of(switchboard, copy=copy, publications=publications)
    assert pending.refused == [(1, 3)]
    assert local.attach("n2", "n2/1", 3) == 7
    switchboard.journal.sync()
    switchboard.end_turn()
    kinds = [kind for _, kind, _ in switchboard.links.sent if kind in (frames.REFUSED, frames.ANSWERED)]
    assert kinds == [frames.REFUSED, frames.ANSWERED]
    assert [frames.decode_triple(raw) for raw in switchboard.take(frames.REFUSED)] == [(1, 5, 6)]


def test_a_master_that_has_ended_writes_nothing_gives_nothing_and_answers_nobody(switchboard):
    publications = Publications(switchboard.origin)
    local, taker = local_of(switchboard, publications=publications), Taker()
    local.publish(run_of("a"), FakePending())
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    switchboard.lease = False
    local.consume(taker)
    local.publish(run_of("b"), None)  # the turn is not over when the queue is deleted, or gets another master
    appended = switchboard.journal.appended
    copy = local.end()
    assert copy.line.ranges() == [(1, 2)]
    assert switchboard.journal.appended > appended, "the journal has what the copy has"
    appended, pending = switchboard.journal.appended, FakePending()
    publications.add(run_of("c"), pending).note = 1  # its successor on this node counts anew
    switchboard.lease = True
    switchboard.end_turn()
    local.advance()
    local.tick(switchboard.stamp_ms)
    assert (switchboard.journal.appended, taker.got, pending.answers) == (appended, [], 0)
    assert local.get(taker, ack_required=True) is None
    assert not local.opens()


def test_the_log_says_what_the_queue_did(switchboard):
    written = []
    append = switchboard.journal.append
    switchboard.journal.append = lambda raw, record: written.append(record) or append(raw, record)
    local, taker = local_of(switchboard), Taker()
    local.consume(taker)
    local.publish(run_of("a"), None)
    local.settle(taker, frames.ACKNOWLEDGE, 1, 1)
    switchboard.end_turn()
    assert [type(record) for record in written] == [records.Term, records.Mark, records.Publish, records.Settle]
    assert isinstance(written[2].run, Run)
    assert local.queue.purge() == 0


def test_letters_that_wait_for_the_lease_hear_that_it_is_back(switchboard):
    local = local_of(switchboard)
    switchboard.lease = False
    local.tick(1)
    heard = local.pager.letters._changed
    assert not heard.is_set()
    switchboard.lease = True
    local.tick(2)
    assert heard.is_set()


@pytest.mark.parametrize("known", [False, True])
def test_a_master_that_ends_says_what_its_mirrors_may_not_know_to_be_settled(switchboard, known):
    local = local_of(switchboard, mirrored=True)
    follower = follow(local)
    taker = Taker()
    local.consume(taker)
    local.publish(run_of("a", "b"), None)
    assert [run.count for run in taker.got] == [2]
    local.settle(taker, frames.ACKNOWLEDGE, 1, 1)
    switchboard.end_turn()
    if known:
        switchboard.journal.sync()
        acknowledge(local, follower, 1 << 40)
    local.settle(taker, frames.ACKNOWLEDGE, 2, 2)  # in the very turn
    local.end()
    assert local.unsafe[frames.ACKNOWLEDGE] == ([(2, 2)] if known else [(1, 1), (2, 2)])
