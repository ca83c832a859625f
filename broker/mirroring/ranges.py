"""Sorted, disjoint ranges of positions, both ends included.

Decides how what a copy holds, lacks or lost is written down: as few pairs as possible. It must not know what stands
at a position.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter

Range = tuple[int, int]

_first, _last = itemgetter(0), itemgetter(1)
_FEW = 16
"""So many ranges are taken out one by one: each costs a search, and a move of what lies behind."""


def merge(ranges: Iterable[Range]) -> list[Range]:
    """The same positions, sorted, with touching and overlapping ranges joined."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def subtract(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """What is in `ranges` and not in `others`; both sorted and disjoint. Only where they meet it is looked at each."""
    if not ranges or not others:
        return list(ranges)
    start, stop = _within(ranges, others[0][0], others[-1][1])
    if start == stop:
        return list(ranges)
    begin, end = _within(others, ranges[start][0], ranges[stop - 1][1])
    return [*ranges[:start], *_difference(ranges[start:stop], others[begin:end]), *ranges[stop:]]


def remove(ranges: list[Range], others: Sequence[Range]) -> None:
    """Take others, in any order, out in place; `ranges` is sorted and disjoint, and cheap to change however long."""
    if len(others) > _FEW:
        ranges[:] = subtract(ranges, merge(others))
        return
    for other in others:
        start, stop = _within(ranges, *other)
        if start < stop:
            ranges[start:stop] = _difference(ranges[start:stop], [other])


def _within(ranges: Sequence[Range], first: int, last: int) -> tuple[int, int]:
    """Between which indexes the ranges stand that have something of first..last."""
    start = bisect_left(ranges, first, key=_last)
    return start, bisect_right(ranges, last, lo=start, key=_first)


def _difference(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    left: list[Range] = []
    at = 0
    for first, last in ranges:
        while at < len(others) and others[at][1] < first:
            at += 1
        cursor, probe = first, at
        while probe < len(others) and others[probe][0] <= last:
            if others[probe][0] > cursor:
                left.append((cursor, others[probe][0] - 1))
            cursor = max(cursor, others[probe][1] + 1)
            probe += 1
        if cursor <= last:
            left.append((cursor, last))
    return left


def intersect(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """What is in both; both sorted and disjoint."""
    if not others:
        return []
    start, stop = _within(ranges, others[0][0], others[-1][1])
    return subtract(ranges[start:stop], subtract(ranges[start:stop], others))


def upto(ranges: Sequence[Range], position: int) -> list[Range]:
    """The part at or below `position`."""
    return [(first, min(last, position)) for first, last in ranges if first <= position]


def count(ranges: Iterable[Range]) -> int:
    """How many positions there are."""
    return sum(last - first + 1 for first, last in ranges)


def contains(ranges: Sequence[Range], position: int) -> bool:
    """Whether a position is in one of the ranges."""
    at = bisect_right(ranges, (position, 1 << 64)) - 1
    return at >= 0 and ranges[at][1] >= position


def extend(ranges: list[Range], first: int, last: int) -> None:
    """Add a range in place; cheap when it continues the last one, as settles mostly do."""
    if ranges and ranges[-1][0] <= first == ranges[-1][1] + 1:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))
