"""What a master knows of a mirror, and what of it ends with the messages."""

from broker.mirroring.copy import Copy
from broker.mirroring.follower import Follower
from broker.mirroring.mirror import Mirror, Offer
from broker.wire import records


def test_what_settles_in_any_order_is_lacking_no_more() -> None:
    """Consumers answer in the order they like: a mirror that is not filled was never in sync, though all had gone."""
    follower = Follower("n2", 1)
    follower.missing, follower.lacking = [(1, 4)], [(5, 10)]
    settled = [(8, 10), (5, 7), (3, 4), (1, 2)]
    follower.settled(settled)
    assert follower.missing_count == 0
    mirror = Mirror(Copy(1, True))
    mirror.receive_offer(Offer(1, 12, [(12, 1)], 11))
    for record in (records.Hole(1, 12, [(1, 10)]), records.Settle(1, 12, settled)):
        mirror.apply(record, records.encode(record))
    assert mirror.copy.lacking == []
