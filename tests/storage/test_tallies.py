"""How often messages were given back, against a dict."""

from hypothesis import given
from hypothesis import strategies as st

from broker.storage.tallies import Tallies

positions = st.integers(1, 12)
steps = st.lists(st.tuples(positions, positions, st.integers(0, 3)), max_size=12)


@given(steps)
def test_the_newest_count_of_each_position(written):
    tallies, known = Tallies(), {}
    for one, other, times in written:
        first, last = min(one, other), max(one, other)
        if times:
            tallies.put(first, last, times)
            known |= dict.fromkeys(range(first, last + 1), times)
        else:
            tallies.remove(first, last)
            known = {at: count for at, count in known.items() if not first <= at <= last}
        stretches = list(tallies)
        assert {at: times for first, last, times in stretches for at in range(first, last + 1)} == known
        assert stretches == sorted(stretches)
        assert bool(tallies) == bool(known)


def test_neighbours_that_came_back_together_are_one_stretch():
    tallies = Tallies()
    for position in range(1, 100):
        tallies.put(position, position, 1)
    assert list(tallies) == [(1, 99, 1)]
