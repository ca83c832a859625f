"""Positions of messages as ranges, and pieces of several rows in one order.

Decides only how positions are written down. It must not know what stands there.
"""

from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableSequence

    from broker.queues.page import Piece

first_of = attrgetter("first")
last_of = attrgetter("last")


def merged(several: "Iterable[Iterator[Piece]]") -> "Iterator[Piece]":
    """The pieces of several rows in one order; no two rows hold the same position."""
    return merge(*several, key=first_of)


def ranges_of(pieces: "Iterable[Piece]") -> list[tuple[int, int]]:
    """The positions of pieces in order, as ranges (first, last), as few as possible."""
    ranges: list[tuple[int, int]] = []
    for piece in pieces:
        join_range(ranges, piece.first, piece.last)
    return ranges


def join_range(ranges: "MutableSequence[tuple[int, int]]", first: int, last: int) -> None:
    """Add a range to the end of a sequence of ranges, joined with the last one if it continues that one."""
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))
