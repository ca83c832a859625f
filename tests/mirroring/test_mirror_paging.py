"""What a mirror forgets of the contents that it has in memory, and how much of them at a time."""

from broker.mirroring.copy import Copy
from broker.mirroring.mirror import Mirror, Offer
from broker.queues.window import PORTION_BYTES
from broker.wire import records
from broker.wire.message import Traits
from tests.mirroring.lane import run_of


def test_a_mirror_forgets_nearly_everything_and_tells_what_is_not_needed_any_more() -> None:
    mirror = Mirror(Copy(1, False))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 1))

    def tell(record: records.QueueRecord) -> None:
        mirror.apply(record, records.encode(record))

    for position in range(1, 11):
        run = run_of("x" * 100, traits=Traits())
        run.first = position
        tell(records.Publish(1, 12, run))
    assert mirror.page_out(mirror.resident_bytes) == []
    tell(records.Settle(1, 12, [(1, 1)]))
    assert mirror.take_freed() == []
    forgotten = mirror.page_out(1000)
    assert [run.first for run in forgotten] == [2, 3, 4, 5, 6, 7, 8]
    assert mirror.resident_bytes < 1000
    tell(records.Returned(1, 12, [(4, 4, 1)]))
    tell(records.Settle(1, 12, [(2, 3), (5, 6)]))
    assert mirror.copy.line.ranges() == [(4, 4), (7, 10)]
    assert mirror.take_freed() == [(2, 3), (5, 6)]
    offer = Offer(1, 13, [(13, 1)], 1)
    assert mirror.pages_beyond(offer) == (4, 8)
    mirror.look_beyond(8, [])
    mirror.receive_offer(offer)
    assert mirror.take_freed() == [(4, 4), (7, 8), (9, 9), (10, 10)]


def test_a_mirror_that_is_filled_forgets_a_little_at_a_time() -> None:
    """It is as busy as can be, and the queues that it serves meanwhile wait for each of its steps."""
    window_bytes = 2 * PORTION_BYTES
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 100_000))
    mirror.apply(hole := records.Hole(1, 12, [(1, 100_000)]), records.encode(hole))
    forgotten = 0
    for first in range(1, 20_000, 100):
        run = run_of(*["x" * 1000] * 100)
        run.first = first
        mirror.apply(record := records.Publish(1, 12, run), records.encode(record))
        mirror.take_entries()
        if mirror.resident_bytes > window_bytes:
            at_once = mirror.page_out(window_bytes)
            assert sum(run.count for run in at_once) * 1000 < PORTION_BYTES + 2 * 110_000
            forgotten += len(at_once)
    assert mirror.resident_bytes <= window_bytes
    assert forgotten > 150
