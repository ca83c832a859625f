"""Range arithmetic against sets of numbers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker.mirroring import ranges

POSITIONS = st.sets(st.integers(1, 40))


def as_ranges(positions: set[int]) -> list[ranges.Range]:
    return ranges.merge((position, position) for position in positions)


def as_set(found: list[ranges.Range]) -> set[int]:
    return {position for first, last in found for position in range(first, last + 1)}


@given(POSITIONS, POSITIONS)
def test_subtract(left: set[int], right: set[int]) -> None:
    assert as_set(ranges.subtract(as_ranges(left), as_ranges(right))) == left - right


@given(POSITIONS, st.integers(0, 41))
def test_upto_count_and_contains(positions: set[int], limit: int) -> None:
    found = as_ranges(positions)
    assert as_set(ranges.upto(found, limit)) == {position for position in positions if position <= limit}
    assert ranges.count(found) == len(positions)
    assert all(ranges.contains(found, position) == (position in positions) for position in range(1, 42))


@given(POSITIONS)
def test_ranges_are_as_few_as_possible(positions: set[int]) -> None:
    found = as_ranges(positions)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(found))


def test_extend_joins_what_continues() -> None:
    found: list[ranges.Range] = []
    for first, last in ((1, 3), (4, 6), (9, 9)):
        ranges.extend(found, first, last)
    assert found == [(1, 6), (9, 9)]
