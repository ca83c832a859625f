"""What lives is told from what was written and from where it is held, without a look at it."""

from broker.storage.extents import Extents
from broker.storage.holdings import Stretch
from broker.storage.segments import Segment
from broker.wire.records import Extent


def extent(first: int, count: int, term: int = 1, priority: int = 0) -> Extent:
    return Extent(1, term, first, count, priority, False, 10 * count, 100 * count)


def test_extents_count_as_far_as_they_are_held_there():
    old, new, extents = Segment(1), Segment(2), Extents()
    for written, segment in (
        (extent(1, 10), old),
        (extent(11, 5, priority=3), old),
        (extent(9, 4, term=2), old),
        (extent(4, 2), new),
        (extent(4, 3), new),
    ):
        extents.add(written, segment)
    held = [
        Stretch(2, 3, 1, old, 0),
        Stretch(4, 6, 1, new, 0),
        Stretch(8, 8, 1, old, 0),
        Stretch(9, 10, 2, old, 0),
        Stretch(13, 15, 1, old, 0),
    ]
    assert extents.living(1, iter(held)) == [
        extent(2, 2),
        extent(4, 2),
        extent(6, 1),
        extent(8, 1),
        extent(9, 2, term=2),
        extent(13, 3, priority=3),
    ]
    assert extents.living(2, iter([])) == []
