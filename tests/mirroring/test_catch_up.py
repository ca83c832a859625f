"""Catch-up sends what lies on disk without keeping it, and nothing that has died while it was read."""

from broker.mirroring import catch_up
from broker.mirroring.copy import Copy
from broker.mirroring.follower import Follower
from broker.mirroring.master import Master
from broker.mirroring.mirror import Statement
from broker.queues.settings import Settings
from broker.wire import records
from tests.mirroring.lane import Cluster, Replica, Shelf, Taker, run_of


def started(*texts: str) -> tuple[Cluster, Follower]:
    """A master whose messages are on its shelf, but the last one, and a mirror that lacks them all."""
    cluster = Cluster([])
    for text in texts[:-1]:
        cluster.master.publish(run_of(text), 0)
    cluster.settle_down()
    cluster.forget(1)
    cluster.master.publish(run_of(texts[-1]), 0)
    cluster.settle_down()
    follower = cluster.master.witnesses.followers["n2"] = Follower("n2", 1)
    statement = Statement(1, cluster.master.term, 0, 0, [])
    catch_up.receive_statement(cluster.master, follower, statement, automatic=True)
    return cluster, follower


def sent(chunk: list[bytes]) -> list[tuple[int, int]]:
    return [(record.run.first, record.run.last) for raw in chunk for record in [records.decode(raw)[0]]]


def test_it_stops_before_what_is_not_in_memory_and_says_so() -> None:
    cluster, follower = started("a", "b", "c", "d")
    assert catch_up.take_chunk(cluster.master, follower) == []
    assert follower.missing == [(1, 4)]
    assert catch_up.wanted(cluster.master, follower) == (1, 3)
    chunk = catch_up.chunk_of(cluster.master, follower, Shelf.of(cluster.master.copy).load(1, 3))
    assert sent(chunk) == [(1, 1), (2, 2), (3, 3)]
    assert follower.missing == [(4, 4)]
    assert catch_up.chunk_of(cluster.master, follower, Shelf.of(cluster.master.copy).load(1, 3)) == []
    assert cluster.master.queue.paged_messages == 3
    assert catch_up.wanted(cluster.master, follower) is None
    assert sent(catch_up.take_chunk(cluster.master, follower)) == [(4, 4)]
    assert follower.complete == follower.joined


def test_what_died_while_it_was_read_is_not_sent() -> None:
    cluster, follower = started("a", "b", "c", "d")
    runs = Shelf.of(cluster.master.copy).load(1, 3)
    cluster.master.queue.consume(Taker(1, ack_required=False))
    cluster.settle_down()
    cluster.forget(1)  # loads the first, which the consumer takes
    cluster.settle_down()
    assert cluster.master.queue.living_ranges() == [(2, 4)]
    chunk = catch_up.chunk_of(cluster.master, follower, runs)
    assert catch_up.chunk_of(cluster.master, follower, runs) == []
    assert [*sent(chunk), *sent(catch_up.take_chunk(cluster.master, follower))] == [(2, 2), (3, 3), (4, 4)]
    assert follower.missing == []


def test_a_part_of_a_load_leaves_the_rest_missing() -> None:
    cluster, follower = started("a", "b", "c", "d")
    catch_up.chunk_of(cluster.master, follower, Shelf.of(cluster.master.copy).load(2, 2))
    assert follower.missing == [(1, 1), (3, 4)]
    assert catch_up.wanted(cluster.master, follower) == (1, 3)
    chunk = catch_up.chunk_of(cluster.master, follower, Shelf.of(cluster.master.copy).load(1, 3))
    assert sent(chunk) == [(1, 1), (3, 3)]


def test_a_backlog_full_of_holes_is_read_in_chunks() -> None:
    """It was read message by message."""
    cluster, follower = started(*"x" * 601)
    follower.missing = [(position, position) for position in range(1, 601, 2)]
    readings = 0
    while (loaded := catch_up.wanted(cluster.master, follower)) is not None:
        assert sent(catch_up.chunk_of(cluster.master, follower, Shelf.of(cluster.master.copy).load(*loaded)))
        readings += 1
    assert (readings, follower.missing) == (1 + 300 // catch_up.CHUNK_RANGES, [])


def test_what_lies_far_apart_is_not_read_together() -> None:
    cluster, follower = started(*"x" * 100)
    follower.missing = [(1, 1), (90, 91)]
    assert catch_up.wanted(cluster.master, follower) == (1, 1)


def test_of_a_backlog_full_of_holes_little_is_sent_in_one_step() -> None:
    master = Master(Copy(1, True), 10, Settings(), mirrored=True)
    master.publish(run_of(*"x" * 1200), 0)
    follower = Follower("n2", 1)
    follower.missing = [(position, position) for position in range(1, 1200, 2)]
    assert len(catch_up.take_chunk(master, follower)) == catch_up.CHUNK_RANGES


def test_nobody_joins_while_the_rest_has_to_be_read() -> None:
    cluster, follower = started("a", "b")
    assert not catch_up.may_join(cluster.master, follower)
    catch_up.chunk_of(cluster.master, follower, Shelf.of(cluster.master.copy).load(1, 1))
    assert catch_up.may_join(cluster.master, follower)


def test_flags_and_counts_of_what_is_not_in_memory_go_out() -> None:
    cluster = Cluster([])
    cluster.master.queue.apply(Settings(counts_returns=True), 0)
    cluster.master.publish(run_of("a", "b"), 0)
    cluster.settle_down()
    cluster.forget(1)
    cluster.master.open_one()
    cluster.settle_down()
    cluster.master.queue.want_head()
    cluster.forget(1)
    assert cluster.master.queue.get("holder", True) is not None
    cluster.master.queue.release("holder")
    cluster.master.page_out(1)
    replica = Replica("n2", Copy(1, True))
    cluster.join(replica)
    cluster.settle_down()
    assert [(run.first, run.redelivered, run.returned) for run in replica.mirror.copy.line.runs()] == [
        (1, True, 1),
        (2, False, 0),
    ]


def test_many_small_holes_are_written_down_once_for_each_chunk() -> None:
    class Counted(Follower):
        __slots__ = ("times",)

        def __setattr__(self, name: str, value: object) -> None:
            if name == "missing":
                object.__setattr__(self, "times", getattr(self, "times", 0) + 1)
            object.__setattr__(self, name, value)

    master = Master(Copy(1, True), 10, Settings(), mirrored=True)
    for body in "abcdef":
        master.publish(run_of(body), 0)
    follower = Counted("n2", 1)
    follower.missing = [(1, 1), (3, 3), (5, 6)]
    follower.times = 0
    assert len(catch_up.take_chunk(master, follower, 3)) == 3
    assert (follower.missing, follower.times) == ([(6, 6)], 1)
    assert len(catch_up.take_chunk(master, follower)) == 1
    assert follower.missing == []
