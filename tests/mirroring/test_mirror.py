"""A mirror follows one term, refuses lower ones, and becomes equal to its master whatever happened before (S4, S5)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.mirroring import repeats
from broker.mirroring.copy import Copy
from broker.mirroring.mirror import Mirror, Offer
from broker.queues.settings import Settings
from broker.wire import records
from broker.wire.content import body_of
from broker.wire.message import Run, Traits
from tests.mirroring.lane import Cluster, Replica, Shelf, Taker, run_of


def bodies(copy: Copy) -> list[str]:
    return [body_of(content).decode() for content in Shelf.of(copy).contents(copy.line.pieces())]


def master_bodies(cluster: Cluster) -> list[str]:
    living = cluster.master.queue.living()
    return [body_of(content).decode() for content in Shelf.of(cluster.master.copy).contents(living)]


def test_a_lower_term_is_refused_by_name_of_the_promised_one() -> None:
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 1))
    statement = mirror.receive_offer(Offer(1, 9, [(9, 1)], 1))
    assert statement.refused == 12
    assert mirror.term == 12


def test_a_record_of_another_term_is_not_applied() -> None:
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 1))
    run = run_of("late")
    run.first = 1
    record = records.Publish(1, 9, run)
    assert not mirror.apply(record, records.encode(record))
    assert len(mirror.copy.line) == 0


def test_the_promise_is_stored_before_anything_else() -> None:
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 1))
    assert [entry.record for entry in mirror.take_entries()] == [records.Term(1, 12, 1)]


def test_a_returning_master_gives_up_what_its_successor_did_not_have() -> None:
    cluster = Cluster(["n2"])
    cluster.master.publish(run_of("a", "b"), 0)
    cluster.settle_down()
    cluster.master.publish(run_of("unconfirmed"), 0)
    heir = Cluster([], copy=cluster.replicas["n2"].mirror.copy, term=20)
    heir.master.publish(run_of("c"), 0)
    old = Replica("n1", cluster.master.retire(), life=2)
    heir.join(old)
    heir.settle_down()
    assert bodies(old.mirror.copy) == ["a", "b", "c"]
    assert master_bodies(heir) == ["a", "b", "c"]


def published_by(origin: str, sequence: int, *texts: str) -> Run:
    run = run_of(*texts)
    run.origin, run.sequence = origin, sequence
    return run


def test_a_copy_claims_no_publication_that_it_had_to_give_up() -> None:
    cluster = Cluster(["n2", "n3"])
    cluster.master.publish(published_by("n2/1", 1, "a", "b"), 0)
    cluster.settle_down()
    cluster.master.publish(published_by("n2/1", 3, "c"), 0)
    cluster.master.publish(published_by("n2/1", 4, "d"), 0)
    cluster.ship()
    second = cluster.replicas["n2"]
    second.read()  # and the third has not got it when the master dies
    heir = Cluster([], copy=cluster.replicas["n3"].mirror.copy, term=20)
    second.mirror.take_entries()
    heir.join(Replica("n2", second.mirror.copy))
    assert second.mirror.copy.origins == {"n2/1": 2}
    entries = heir.replicas["n2"].mirror.take_entries()
    assert [entry.record.highest for entry in entries if isinstance(entry.record, records.Origin)] == [2]


def test_a_mirror_knows_what_was_refused_before_it_knows_what_came_later() -> None:
    cluster = Cluster(["n2"])
    cluster.master.queue.apply(Settings(max_length=1, overflow="reject-publish"), 0)
    cluster.settle_down()
    assert cluster.master.publish(published_by("n9/1", 1, "a", "no", "nor"), 0)[0] == [(1, 3)]
    refused, note = cluster.master.publish(published_by("n9/1", 4, "nor this"), 0)
    assert (refused, note) == ([(0, 1)], cluster.master.note)
    cluster.master.queue.purge()
    cluster.master.publish(published_by("n9/1", 5, "b"), 0)
    cluster.settle_down()
    copy = cluster.replicas["n2"].mirror.copy
    assert (copy.origins, copy.refused) == ({"n9/1": 5}, {"n9/1": [(2, 4)]})
    late = Replica("n3", Copy(1, True))
    cluster.join(late)
    cluster.settle_down()
    assert late.mirror.copy.refused == copy.refused
    cluster.master.answered("n9/1", 3)
    assert cluster.master.copy.refused == {"n9/1": [(4, 4)]}


def test_what_was_refused_between_others_is_known_at_every_moment() -> None:
    cluster = Cluster(["n2"])
    cluster.master.queue.apply(Settings(max_length_bytes=5, overflow="reject-publish"), 0)
    cluster.settle_down()
    refused, _ = cluster.master.publish(published_by("n9/1", 1, "aa", "too much", "bb", "cc", "d"), 0)
    assert refused == [(1, 2), (3, 4)]
    cluster.ship()
    replica = cluster.replicas["n2"]
    known = []
    while replica.lane:
        replica.read(1)
        copy = replica.mirror.copy
        known.append((copy.origins.get("n9/1", 0), list(copy.refused.get("n9/1", [])), len(bodies(copy))))
    assert known[-5:] == [
        (1, [], 1),
        (2, [(2, 2)], 1),
        (3, [(2, 2)], 2),
        (4, [(2, 2), (4, 4)], 2),
        (5, [(2, 2), (4, 4)], 3),
    ]
    assert bodies(replica.mirror.copy) == ["aa", "bb", "d"]


def test_the_time_to_live_under_which_a_message_came_is_known_to_every_copy() -> None:
    cluster = Cluster(["n2"])
    for ttl_ms, own_ms in ((100, None), (100, 30), (None, None), (None, 40)):
        cluster.master.queue.apply(Settings(message_ttl_ms=ttl_ms), 0)
        cluster.master.publish(run_of("a", traits=Traits(persistent=True, expiration_ms=own_ms)), 0)
    cluster.settle_down()
    mirror = cluster.replicas["n2"].mirror
    assert [run.traits.expiration_ms for run in mirror.copy.line.runs()] == [100, 30, None, 40]
    stored = [entry.record for entry in mirror.take_entries() if isinstance(entry.record, records.Publish)]
    assert [record.run.traits.expiration_ms for record in stored] == [100, 30, None, 40]


def test_how_often_messages_were_given_back_is_known_to_every_copy() -> None:
    cluster = Cluster(["n2"])
    cluster.master.queue.apply(Settings(counts_returns=True), 0)
    cluster.master.publish(run_of("a", "b", "c", traits=Traits()), 0)
    cluster.settle_down()
    queue = cluster.master.queue
    cluster.master.open_one()
    cluster.settle_down()
    for _ in range(2):
        assert queue.get("holder", True) is not None
        queue.release("holder")
    cluster.join(Replica("n3", Copy(1, True)))
    cluster.settle_down()
    for node in ("n2", "n3"):
        mirror = cluster.replicas[node].mirror
        assert [(run.first, run.returned) for run in mirror.copy.line.runs()][:2] == [(1, 2), (2, 0)]
        stored = [entry.record for entry in mirror.take_entries()]
        assert any(isinstance(record, records.Publish) for record in stored), "transient messages are kept, too"
        assert any(isinstance(record, records.Returned) for record in stored)
    late = cluster.replicas["n3"].mirror.copy  # it was away while a message came back again
    del cluster.replicas["n3"]
    del cluster.master.witnesses.followers["n3"]
    cluster.master.witnesses.member_nodes.discard("n3")
    queue.get("holder", True)
    queue.release("holder")
    cluster.settle_down()
    cluster.join(Replica("n3", late))
    cluster.settle_down()
    assert [run.returned for run in late.line.runs()][:2] == [3, 0]


def test_a_mirror_claims_no_publication_before_it_has_it() -> None:
    cluster = Cluster([])
    cluster.master.publish(published_by("n9/1", 1, "a", "b", "c"), 0)
    cluster.settle_down()
    cluster.join(Replica("n2", Copy(1, True)))
    replica = cluster.replicas["n2"]
    while len(replica.mirror.copy.line) < 3:
        assert replica.mirror.copy.origins == {}
        replica.read(1)
    cluster.settle_down()
    assert replica.mirror.copy.origins == {"n9/1": 3}


def test_a_copy_that_settled_what_its_successor_still_holds_gets_it_back() -> None:
    cluster = Cluster(["n2"])
    taker = Taker()
    cluster.master.queue.consume(taker)
    cluster.master.publish(run_of("a", "b"), 0)
    cluster.settle_down()
    cluster.master.queue.settle(taker, 1, 2)  # the settle never leaves
    heir = Cluster([], copy=cluster.replicas["n2"].mirror.copy, term=20)
    old = Replica("n1", cluster.master.retire(), life=2)
    heir.join(old)
    heir.settle_down()
    assert bodies(old.mirror.copy) == ["a", "b"]


def test_without_automatic_synchronisation_only_the_live_stream_comes_and_the_hole_is_known() -> None:
    cluster = Cluster([])
    cluster.master.publish(run_of("a", "b"), 0)
    late = Replica("n2", Copy(1, True))
    cluster.join(late, member=False, automatic=False)
    cluster.master.publish(run_of("c"), 0)
    cluster.settle_down()
    assert bodies(late.mirror.copy) == ["c"]
    assert late.mirror.copy.lacking == [(1, 2)]
    assert cluster.master.witnesses.followers["n2"].missing_count == 2


def test_a_mirror_that_lacks_something_is_synchronised_by_draining() -> None:
    cluster = Cluster([])
    taker = Taker()
    cluster.master.publish(run_of("a"), 0)
    late = Replica("n2", Copy(1, True))
    cluster.join(late, member=False, automatic=False)
    follower = cluster.master.witnesses.followers["n2"]
    cluster.master.queue.consume(taker)
    cluster.master.queue.pump()
    cluster.settle_down()
    assert not follower.complete
    cluster.master.queue.settle(taker, 1, 1)
    cluster.settle_down()
    assert follower.complete
    assert late.mirror.copy.lacking == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.integers(1, 30)),
        st.tuples(st.just("requeue"), st.integers(1, 30)),
        st.tuples(st.just("ship"), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("promote"), st.just(0)),
        st.tuples(st.just("return"), st.booleans()),
        st.tuples(st.just("forget"), st.sampled_from([1, 1500])),
    ),
    max_size=40,
)


@given(STEPS)
@settings(deadline=None, max_examples=150)
def test_copies_are_equal_when_quiet_and_nothing_confirmed_is_lost(steps: list[tuple[str, int]]) -> None:
    cluster = Cluster(["n2", "n3"])
    former: Copy | None = None
    taker = Taker()
    cluster.master.queue.consume(taker)
    term, number = 10, 0
    waiting: list[tuple[int, str]] = []
    confirmed: set[str] = set()
    settled: set[str] = set()
    for step, amount in steps:
        if step == "publish":
            texts = [f"m{number + index}" for index in range(amount)]
            number += amount
            _, note = cluster.master.publish(run_of(*texts), 0)
            waiting += [(note, text) for text in texts]
        elif step in ("settle", "requeue"):
            held = {run.first + i: body_of(c).decode() for run in taker.got for i, c in enumerate(run.contents)}
            if amount in held and step == "settle":
                if cluster.master.queue.settle(taker, amount, amount):
                    settled.add(held[amount])
            elif amount in held:
                cluster.master.queue.requeue(taker, amount, amount)
        elif step == "ship":
            cluster.ship()
            cluster.sync()
        elif step == "read":
            for node, replica in cluster.replicas.items():
                replica.read(amount)
                cluster.acknowledge(node)
        elif step == "promote" and len(cluster.replicas) == 2:
            heir, other = cluster.replicas.values()
            former = cluster.master.retire()
            term += 10
            waiting = []
            taker = Taker()
            cluster = Cluster([], copy=heir.mirror.copy, term=term)
            cluster.join(Replica(other.node, other.mirror.copy, other.life))
            cluster.master.queue.consume(taker)
        elif step == "return" and former is not None:
            cluster.join(Replica("n9" if "n9" not in cluster.replicas else "n8", former, term))
            former = None
        elif step == "forget":
            cluster.forget(amount)
            for replica in cluster.replicas.values():
                replica.forget(amount)
        confirmed |= {text for note, text in waiting if note <= cluster.master.confirmed_note}
    cluster.settle_down()
    for replica in cluster.replicas.values():
        assert bodies(replica.mirror.copy) == master_bodies(cluster)
    assert confirmed - settled <= set(master_bodies(cluster))


def test_what_a_copy_gives_up_is_read_before_it_claims_anything() -> None:
    cluster = Cluster(["n2", "n3"])
    cluster.master.publish(published_by("n2/1", 1, "a", "b"), 0)
    cluster.settle_down()
    for sequence, text in ((3, "c"), (4, "d")):
        cluster.master.publish(published_by("n2/1", sequence, text), 0)
    cluster.ship()
    second = cluster.replicas["n2"]
    second.read()  # and the third has not got it when the master dies
    second.forget(1)
    heir = Cluster([], copy=cluster.replicas["n3"].mirror.copy, term=20)
    offer = Offer(1, 20, list(heir.master.copy.terms.entries), heir.master.copy.next_position)
    assert second.mirror.pages_beyond(offer) == (3, 4)
    with pytest.raises(ValueError, match="was not read"):
        second.mirror.receive_offer(offer)
    dropped = [*second.mirror.beyond(offer)]
    statement = second.receive(offer)
    assert (statement.common, statement.living) == (2, [(1, 2)])
    assert Shelf.of(second.mirror.copy).contents(dropped) == [*run_of("c", "d").contents]
    assert second.mirror.copy.origins == {"n2/1": 2}


def test_a_refused_offer_has_nothing_read() -> None:
    cluster = Cluster(["n2"])
    cluster.master.publish(run_of("a"), 0)
    cluster.settle_down()
    mirror = cluster.replicas["n2"].mirror
    mirror.page_out(1)
    assert mirror.pages_beyond(Offer(1, 9, [(9, 1)], 1)) is None
    assert mirror.pages_beyond(Offer(1, 11, [(11, 1)], 1)) == (1, 1)


def test_counts_that_come_one_by_one_do_not_break_a_page_for_good() -> None:
    cluster = Cluster(["n2"])
    cluster.master.queue.apply(Settings(counts_returns=True), 0)
    cluster.master.publish(run_of(*"abcdefgh"), 0)
    cluster.settle_down()
    replica = cluster.replicas["n2"]
    replica.forget(1)
    for position in (1, 3, 2, 5, 4, 7, 8, 6):
        record = records.Returned(1, replica.mirror.term, [(position, position, 1)])
        replica.mirror.apply(record, records.encode(record))
    assert [(piece.count, piece.returned) for piece in replica.mirror.copy.line.pieces()] == [(8, 1)]


def test_what_settles_without_ever_having_been_here_is_not_remembered() -> None:
    """A mirror that is being filled hears of it like of all the rest: the disk kept it, and how often it had come back,
    for ever (seed 910000)."""
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 7))
    mirror.take_entries()
    settle = records.Settle(1, 12, [(2, 3), (6, 6)])
    mirror.apply(settle, records.encode(settle))
    (entry,) = mirror.take_entries()
    assert entry.ranges == [(2, 3), (6, 6)]


def test_letters_that_a_mirror_forgets_are_forgotten_on_its_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its master may have forgotten them while it was away."""
    monkeypatch.setattr(repeats, "REMEMBERED_MAX", 1)
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 7))
    mirror.take_entries()
    for name, at in (("letters 7 3 1", 1), ("letters 7 3 2", 2)):
        letters = records.Origin(1, 12, name, at, [(at, at)])
        mirror.apply(letters, records.encode(letters))
    told = [entry.record for entry in mirror.take_entries()]
    assert told[-1] == records.Origin(1, 12, "letters 7 3 1", 0, [])
    assert len(told) == 3


@pytest.mark.parametrize(
    ("terms", "stands", "bare"),
    [
        ([(10, 1), (14, 5)], [(10, 1), (20, 5)], False),
        ([(10, 1), (14, 5)], [(10, 1), (20, 3)], False),
        ([(10, 1), (14, 5)], [(10, 1), (14, 5), (20, 9)], False),
        ([(10, 1), (14, 5)], [(10, 1), (20, 8)], True),
        ([(10, 1), (14, 5), (16, 7)], [(10, 1), (14, 5), (20, 8)], True),
    ],
)
def test_a_term_that_no_later_one_takes_back_goes_with_all_that_is_on_disk(terms, stands, bare):
    """Who was master for a moment and whom the next one has not heard of: its term would own its positions again after
    a restart, and its messages would live again."""
    copy = Copy(1, True)
    for term, first in terms:
        copy.terms.begin(term, first)
    mirror = Mirror(copy)
    assert mirror.begins_anew(Offer(1, 20, stands, 9)) == bare
    assert not Mirror(replace(copy, durable=False)).begins_anew(Offer(1, 20, stands, 9))
    copy.promised = 21
    assert not mirror.begins_anew(Offer(1, 20, stands, 9))
