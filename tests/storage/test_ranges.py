"""Ranges are a set of numbers, whatever is added and removed."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker.storage.ranges import Ranges

spans = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


def numbers(ranges: Ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(st.lists(st.tuples(st.booleans(), spans)), spans)
def test_ranges_are_a_set(changes, window):
    ranges, expected = Ranges(), set()
    for added, (first, last) in changes:
        if added:
            ranges.add(first, last)
            expected |= set(range(first, last + 1))
        else:
            ranges.remove(first, last)
            expected -= set(range(first, last + 1))
        assert numbers(ranges) == expected
    pairs = list(ranges)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(pairs)), "neighbours are one"
    assert bool(ranges) is bool(expected)
    cut = ranges.within(*window)
    assert {number for first, last in cut for number in range(first, last + 1)} == expected & set(
        range(window[0], window[1] + 1)
    )


@given(st.lists(spans), st.lists(spans))
def test_what_two_share(left_spans, right_spans):
    left, right = Ranges(), Ranges()
    for first, last in left_spans:
        left.add(first, last)
    for first, last in right_spans:
        right.add(first, last)
    shared = {number for first, last in left.shared_with(right) for number in range(first, last + 1)}
    assert shared == numbers(left) & numbers(right)


def test_the_highest_positions_fit():
    ranges = Ranges()
    ranges.add(0, 0)
    ranges.add(2**64 - 2, 2**64 - 2)
    ranges.remove(0, 2**64 - 1)
    assert not ranges
