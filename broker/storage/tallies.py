"""How often messages of one queue were given back: position -> times, kept as stretches with the same number.

Decides how that is remembered in little space: most messages are never given back, and neighbours mostly together. It
must not know what follows from a number.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Tallies:
    """Disjoint stretches (first, last, times) in ascending order."""

    __slots__ = ("_firsts", "_stretches")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._stretches: list[tuple[int, int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return iter(self._stretches)

    def __bool__(self) -> bool:
        return bool(self._stretches)

    def put(self, first: int, last: int, times: int) -> None:
        """These messages were given back so often, whatever was known before."""
        self.remove(first, last)
        index = bisect_left(self._firsts, first)
        if index and self._stretches[index - 1][1:] == (first - 1, times):
            index -= 1
            first = self._stretches[index][0]
            self._replace(index, index + 1, [])
        self._replace(index, index, [(first, last, times)])

    def remove(self, first: int, last: int) -> None:
        """These messages are gone; some may never have been here."""
        start = max(bisect_right(self._firsts, first) - 1, 0)
        stop = bisect_right(self._firsts, last)
        left: list[tuple[int, int, int]] = []
        for from_, upto, times in self._stretches[start:stop]:
            if from_ < first:
                left.append((from_, min(upto, first - 1), times))
            if upto > last:
                left.append((max(from_, last + 1), upto, times))
        self._replace(start, stop, left)

    def _replace(self, start: int, stop: int, stretches: list[tuple[int, int, int]]) -> None:
        self._stretches[start:stop] = stretches
        self._firsts[start:stop] = [first for first, _, _ in stretches]
