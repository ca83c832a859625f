"""A message is confirmed when every member has it, and delivered before only where the mark allows (S1, S7)."""

from broker.mirroring.copy import Copy
from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.mirroring.mirror import Mirror, Offer
from broker.queues.settings import Settings
from broker.wire.message import Traits
from tests.mirroring.lane import Cluster, Replica, Taker, run_of


def test_a_confirm_waits_for_the_own_disk_and_every_member() -> None:
    cluster = Cluster(["n2", "n3"])
    cluster.settle_down()
    _, note = cluster.master.publish(run_of("a", "b"), 0)
    cluster.ship()
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    cluster.sync()
    assert cluster.master.confirmed_note < note
    cluster.replicas["n3"].read()
    cluster.acknowledge("n3")
    assert cluster.master.confirmed_note >= note


def test_the_own_disk_is_a_witness_like_any_other() -> None:
    cluster = Cluster(["n2"])
    cluster.settle_down()
    _, note = cluster.master.publish(run_of("a"), 0)
    cluster.ship()
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    assert cluster.master.confirmed_note < note
    cluster.sync()
    assert cluster.master.confirmed_note >= note


def test_a_member_without_a_link_is_waited_for() -> None:
    cluster = Cluster(["n2"])
    cluster.settle_down()
    cluster.master.witnesses.member_nodes.add("n3")
    _, note = cluster.master.publish(run_of("a"), 0)
    cluster.ship()
    cluster.sync()
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    assert cluster.master.confirmed_note < note
    cluster.master.witnesses.member_nodes.discard("n3")  # its removal was committed
    cluster.master.advance(cluster.synced)
    assert cluster.master.confirmed_note >= note


def test_a_mirror_whose_entry_is_proposed_counts_already() -> None:
    cluster = Cluster(["n2"])
    cluster.join(Replica("n3", Copy(1, True)), member=False)
    cluster.settle_down()
    follower = cluster.master.witnesses.followers["n3"]
    follower.entering = True
    _, note = cluster.master.publish(run_of("a"), 0)
    cluster.ship()
    cluster.sync()
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    assert cluster.master.confirmed_note < note
    cluster.replicas["n3"].read()
    cluster.acknowledge("n3")
    assert cluster.master.confirmed_note >= note


def test_a_mirror_that_follows_a_newer_term_counts_for_nothing() -> None:
    cluster = Cluster(["n2"])
    cluster.settle_down()
    _, note = cluster.master.publish(run_of("a"), 0)
    cluster.ship()
    cluster.sync()
    cluster.master.witnesses.followers["n2"].refused = True
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    assert cluster.master.confirmed_note < note


def test_a_waiting_consumer_is_served_before_the_mirrors_answer_and_the_mark_goes_ahead() -> None:
    cluster = Cluster(["n2"])
    taker = Taker()
    cluster.master.queue.consume(taker)
    cluster.settle_down()
    cluster.master.publish(run_of("a", "b"), 0)
    assert [len(run.contents) for run in taker.got] == [2]
    cluster.ship()
    replica = cluster.replicas["n2"]
    replica.read(1)
    assert replica.mirror.copy.marks[0] == 2
    assert len(replica.mirror.copy.line) == 0


def test_a_backlog_is_announced_before_it_is_delivered() -> None:
    cluster = Cluster(["n2"])
    cluster.master.publish(run_of("a", "b", "c"), 0)
    cluster.settle_down()
    taker = Taker(window=2)
    cluster.master.queue.consume(taker)
    cluster.master.queue.pump()
    cluster.ship()
    assert taker.got == []
    cluster.sync()
    assert taker.got == []
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    assert sum(len(run.contents) for run in taker.got) == 2


def test_an_older_mark_that_has_arrived_opens_nothing_that_is_only_announced() -> None:
    """Once it did, and what a cut-off master gave out then came again without a flag (seed 107 of little memory)."""
    cluster = Cluster(["n2"])
    taker = Taker(window=1)
    cluster.master.queue.consume(taker)
    cluster.settle_down()
    cluster.master.publish(run_of("a", "b"), 0)
    cluster.ship()
    taker.window = 1
    cluster.master.queue.pump()
    cluster.master.open_more()
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    cluster.sync()
    assert sum(run.count for run in taker.got) == 1
    cluster.settle_down()
    assert sum(run.count for run in taker.got) == 2


def test_a_new_master_gives_out_what_its_predecessor_announced_when_every_copy_knows_of_it() -> None:
    """Its own copy may be the only one that the announcement had reached: what it gave out came again from the third,
    without a flag (a power cut in seed 66)."""
    cluster = Cluster(["n2", "n3"])
    cluster.master.publish(run_of("a", "b"), 0)
    cluster.settle_down()
    cluster.master.queue.consume(Taker(window=1))
    cluster.master.queue.pump()
    cluster.ship()
    cluster.replicas["n2"].read()  # n3 does not
    heir = Cluster(["n3"], copy=cluster.replicas["n2"].mirror.copy, term=20)
    taker = Taker(window=1)
    heir.master.queue.consume(taker)
    heir.master.queue.pump()
    heir.ship()
    heir.sync()
    assert not taker.got
    heir.settle_down()
    assert [run.redelivered for run in taker.got] == [True]
    assert heir.replicas["n3"].mirror.copy.marks == {0: 1}


def test_what_no_consumer_can_have_seen_is_not_flagged_after_promotion() -> None:
    cluster = Cluster(["n2"])
    cluster.master.publish(run_of("a", "b", "c"), 0)
    cluster.settle_down()
    taker = Taker(window=1)
    cluster.master.queue.consume(taker)
    cluster.master.queue.pump()
    cluster.settle_down()
    heir = Cluster([], copy=cluster.replicas["n2"].mirror.copy, term=20)
    late = Taker()
    heir.master.queue.consume(late)
    heir.master.queue.pump()
    heir.settle_down()
    flags = [run.redelivered for run in late.got for _ in run.contents]
    assert flags == [True, False, False]


def test_a_follower_made_anew_is_not_joined() -> None:
    follower = Follower("n2", 1)
    assert not follower.joined
    assert not follower.complete


def test_a_mirror_enters_only_with_everything_that_was_confirmed_without_it() -> None:
    cluster = Cluster([])
    cluster.settle_down()
    cluster.join(Replica("n2", Copy(1, True)), member=False)
    follower = cluster.master.witnesses.followers["n2"]
    cluster.replicas["n2"].read()
    cluster.master.publish(run_of("confirmed without it"), 0)
    cluster.ship()
    cluster.sync()
    confirmed = cluster.master.confirmed_note
    assert confirmed == cluster.master.note
    cluster.acknowledge("n2")  # filled, but the last record is still on its way
    assert not cluster.master.witnesses.may_enter(follower, confirmed)
    cluster.master.publish(run_of("waits for it already"), 0)
    cluster.ship()
    cluster.sync()
    assert cluster.master.confirmed_note == confirmed
    cluster.replicas["n2"].read()
    cluster.acknowledge("n2")
    assert cluster.master.witnesses.may_enter(follower, cluster.master.confirmed_note)


def test_what_a_queue_gave_out_before_it_was_mirrored_counts_as_announced_at_every_priority() -> None:
    master = Master(Copy(1, False), 10, Settings(max_priority=2), mirrored=False)
    taker = Taker(2)
    master.queue.consume(taker)
    for priority in (0, 2):
        master.publish(run_of("m", traits=Traits(priority=priority)), 0)
    assert len(taker.got) == 2
    master.mirror()
    heir = Master(master.retire(), 20, Settings(max_priority=2), mirrored=True)
    assert [run.redelivered for run in heir.queue.living()] == [True, True]


def test_the_space_of_a_queue_that_nobody_keeps_is_told() -> None:
    master = Master(Copy(1, False), 10, Settings(), mirrored=False)
    for _ in range(10):
        master.publish(run_of("x" * 100, traits=Traits()), 0)
    assert master.queue.purge() == 10
    assert master.take_freed() == []  # nothing of it ever was in the journal
    for _ in range(10):
        master.publish(run_of("x" * 100, traits=Traits()), 0)
    assert sum(run.count for run in master.page_out(1500)) > 5
    assert master.queue.purge() == 10
    master.note_settled()
    assert master.take_freed() == [(11, 20)]
    assert master.take_freed() == []
    heir = Master(master.retire(), 20, Settings(), mirrored=True)
    heir.publish(run_of("x", traits=Traits()), 0)
    heir.queue.purge()
    heir.note_settled()
    assert heir.take_freed() == [(21, 21)]


def test_a_head_that_is_not_in_memory_needs_no_further_announcement() -> None:
    cluster = Cluster([])
    for _ in range(10):
        cluster.master.publish(run_of("x" * 100), 0)
    cluster.settle_down()
    assert len(cluster.master.page_out(1)) == 10
    taker = Taker(2)
    cluster.master.queue.consume(taker)
    cluster.settle_down()
    assert cluster.master.copy.marks == {0: 2}
    for _ in range(5):
        cluster.settle_down()
    assert cluster.master.copy.marks == {0: 2}
    assert cluster.master.queue.wanted() == (1, 10)
    assert cluster.master.queue.want_head()


def test_what_was_taken_of_lives_that_are_over_is_forgotten_everywhere():
    master, mirror = Master(Copy(1, True), 10, Settings(), mirrored=True), Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 10, [(10, 1)], 1))
    for origin in ("n1/1", "n2/1"):
        run = run_of("a")
        run.origin, run.sequence = origin, 1
        master.publish(run, 0)
    master.forget_origins(lambda origin: origin == "n1/1")
    for note in master.take_notes():
        mirror.apply(note.record, note.raw)
    assert master.copy.origins == mirror.copy.origins == {"n2/1": 1}


def test_what_an_earlier_term_settled_where_this_one_begins_is_not_settled_again() -> None:
    """A mirror that was being filled hears of settles of what it never has: as a master it puts others there."""
    master = Master(Copy(1, True, next_position=4), 20, Settings(), mirrored=True)
    master.take_notes()
    master.settle_again([(2, 6)])
    assert [note.effect for note in master.take_notes()] == [[(2, 3)]]
    master.settle_again([(4, 6)])
    assert not master.take_notes()


def test_a_backlog_that_is_fetched_is_announced_with_ever_fewer_words_and_little_ahead() -> None:
    cluster = Cluster(["n2"])
    cluster.master.publish(run_of(*("m" for _ in range(300))), 0)
    cluster.settle_down()
    queue, words = cluster.master.queue, 0
    for fetched in range(300):
        while queue.get("holder", False) is None:
            cluster.master.open_one()
            cluster.settle_down()
            words += 1
            ahead = cluster.master.copy.marks[0] - fetched
            assert 1 <= ahead <= 1 + fetched // 8, "what nobody has had is flagged after a failover"
    assert words < 60
