"""What a start knows of living messages without reading them.

Decides how the extents that summaries tell of and the places where the books say that messages live come together: an
extent counts as far as it is in the segment, and of the term, of which the living message is. It must not know files.
"""

from bisect import bisect_left
from collections.abc import Iterator

from broker.storage.holdings import Stretch
from broker.storage.segments import Segment
from broker.wire.records import Extent


class Extents:
    """Gathers what was written, segment by segment, and gives what of it lives."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, int], list[Extent]] = {}  # (queue id, segment, term) -> as written

    def add(self, extent: Extent, segment: Segment) -> None:
        """This was written to the segment."""
        self._found.setdefault((extent.queue_id, segment.number, extent.term), []).append(extent)

    def living(self, queue_id: int, held: Iterator[Stretch]) -> list[Extent]:
        """What the stretches of a queue hold, in the same order."""
        living: list[Extent] = []
        disjoint: dict[tuple[int, int], list[Extent]] = {}
        for stretch in held:
            key = (stretch.segment.number, stretch.term)
            if key not in disjoint:
                disjoint[key] = _disjoint(self._found.pop((queue_id, *key), []))
            written = disjoint[key]
            index = bisect_left(written, stretch.first, key=lambda extent: extent.last)
            while index < len(written) and written[index].first <= stretch.last:
                extent = written[index]
                living.append(extent.cut(max(extent.first, stretch.first), min(extent.last, stretch.last)))
                index += 1
        return living


def _disjoint(extents: list[Extent]) -> list[Extent]:
    """The same in order of position; what was written twice under one term is the same message."""
    ordered: list[Extent] = []
    for extent in sorted(extents, key=lambda extent: extent.first):
        end = ordered[-1].last if ordered else 0
        if extent.first > end:
            ordered.append(extent)
        elif extent.last > end:
            ordered.append(extent.cut(end + 1, extent.last))
    return ordered
