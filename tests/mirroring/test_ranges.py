"""Range arithmetic against sets of numbers."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
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


@settings(max_examples=30)
@given(POSITIONS, POSITIONS)
def test_intersect(left: set[int], right: set[int]) -> None:
    assert as_set(ranges.intersect(as_ranges(left), as_ranges(right))) == left & right


@settings(max_examples=30)
@given(POSITIONS, st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), max_size=20))
def test_remove_in_any_order(positions: set[int], others: list[tuple[int, int]]) -> None:
    found = as_ranges(positions)
    gone = [(first, first + length) for first, length in others]
    ranges.remove(found, gone)
    assert as_set(found) == positions - as_set(gone)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(found))


def test_where_ranges_are_many_only_those_that_meet_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message that a mirror was filled with cost a look at all holes of the backlog: hours for a long one."""
    looked_at = 0
    difference = ranges._difference

    def counted(some: Sequence[ranges.Range], others: Sequence[ranges.Range]) -> list[ranges.Range]:
        nonlocal looked_at
        looked_at += len(some) + len(others)
        return difference(some, others)

    monkeypatch.setattr(ranges, "_difference", counted)
    many = [(position, position) for position in range(1, 100_000, 2)]
    rest = ranges.subtract(many, [(501, 503)])
    assert (len(rest), ranges.intersect(many, [(501, 503)])) == (49_998, [(501, 501), (503, 503)])
    assert ranges.subtract([(500, 504)], many) == [(500, 500), (502, 502), (504, 504)]
    for position in range(1, 1000, 2):
        ranges.remove(many, [(position, position)])
    assert many[0] == (1001, 1001)
    assert looked_at < 2 * 500 + 30


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
