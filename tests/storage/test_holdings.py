"""Holdings are a mapping position -> (segment, term), and the segments count along."""

from hypothesis import given
from hypothesis import strategies as st

from broker.storage.holdings import Holdings
from broker.storage.segments import Segment

spans = st.tuples(st.integers(1, 30), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))
puts = st.tuples(st.just("put"), spans, st.integers(0, 2), st.integers(1, 3))
takes = st.tuples(st.just("take"), spans, st.none(), st.none() | st.integers(1, 3))


@given(st.lists(puts | takes, max_size=20), spans)
def test_holdings_are_a_mapping(changes, window):
    segments = [Segment(number) for number in range(3)]
    holdings, expected = Holdings(), {}
    for verb, (first, last), number, term in changes:
        before = {segment for segment in segments if segment.living}
        covered = range(first, last + 1)
        if verb == "put":
            emptied = holdings.put(first, last, term, segments[number], 10 * (last - first + 1))
            expected |= dict.fromkeys(covered, (segments[number], term))
        else:
            emptied = holdings.take(first, last, below_term=term)
            expected = {
                position: (segment, held)
                for position, (segment, held) in expected.items()
                if position not in covered or (term is not None and held >= term)
            }
        held = {p: (s.segment, s.term) for s in holdings for p in range(s.first, s.last + 1)}
        assert held == expected
        assert list(held) == sorted(held)
        for segment in segments:
            assert segment.living == sum(segment is home for home, _ in expected.values())
            assert segment.living_bytes == sum(s.size_bytes for s in holdings if s.segment is segment)
            assert bool(segment.living) == bool(segment.living_bytes)
        now_empty = {segment for segment in before if not segment.living}
        assert now_empty <= set(emptied) | {segments[number or 0]}
    cut = {p: (s.segment, s.term) for s in holdings.within(*window) for p in range(s.first, s.last + 1)}
    assert cut == {p: value for p, value in expected.items() if window[0] <= p <= window[1]}


def test_one_stretch_as_long_as_nothing_changes():
    holdings, segment = Holdings(), Segment(1)
    for first in range(1, 1000, 10):
        holdings.put(first, first + 9, 1, segment, 1000)
    assert len(list(holdings)) == 1
    assert holdings.take(1, 999) == []
    assert holdings.take(1000, 1000) == [segment]
    assert segment.living_bytes == 0
