"""A set of positions, kept as ranges.

Decides how many numbers are remembered in little space: two words per gap, nothing per position. It must not know what
the positions mean. The ends are cheap (queues grow at one end and shrink at the other), the middle goes by bisection.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """Disjoint ranges (first, last), both included, in ascending order; neighbours are one range."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts = array("Q")
        self._lasts = array("Q")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def add(self, first: int, last: int) -> None:
        """Put the positions in; some may be there already."""
        firsts, lasts = self._firsts, self._lasts
        if not lasts or first > lasts[-1] + 1:
            firsts.append(first)
            lasts.append(last)
        elif first == lasts[-1] + 1:
            lasts[-1] = last
        else:
            start = bisect_left(lasts, max(first - 1, 0))
            stop = bisect_right(firsts, last + 1)
            if start < stop:
                first, last = min(first, firsts[start]), max(last, lasts[stop - 1])
            firsts[start:stop] = array("Q", (first,))
            lasts[start:stop] = array("Q", (last,))

    def remove(self, first: int, last: int) -> None:
        """Take the positions out; some may not be there."""
        firsts, lasts = self._firsts, self._lasts
        if firsts and firsts[0] == first and last < lasts[0]:
            firsts[0] = last + 1
            return
        start, stop = bisect_left(lasts, first), bisect_right(firsts, last)
        if start >= stop:
            return
        new_firsts, new_lasts = array("Q"), array("Q")
        if firsts[start] < first:
            new_firsts.append(firsts[start])
            new_lasts.append(first - 1)
        if lasts[stop - 1] > last:
            new_firsts.append(last + 1)
            new_lasts.append(lasts[stop - 1])
        firsts[start:stop] = new_firsts
        lasts[start:stop] = new_lasts

    def within(self, first: int, last: int) -> list[tuple[int, int]]:
        """The ranges between the two positions, cut to them."""
        firsts, lasts = self._firsts, self._lasts
        start, stop = bisect_left(lasts, first), bisect_right(firsts, last)
        return [(max(firsts[index], first), min(lasts[index], last)) for index in range(start, stop)]

    def shared_with(self, other: "Ranges") -> list[tuple[int, int]]:
        """The ranges of positions that both have."""
        if not self or not other or other._lasts[-1] < self._firsts[0] or self._lasts[-1] < other._firsts[0]:
            return []  # usual: neighbours in time
        return [shared for first, last in other for shared in self.within(first, last)]
