"""Places know for every position a span of bytes in which its record lies, and few of them."""

from hypothesis import given
from hypothesis import strategies as st

from broker.storage.places import ENTRY_BYTES_MAX, Places

records = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 6), st.integers(0, 9000), st.integers(1, ENTRY_BYTES_MAX)),
    max_size=30,
)


@given(records, st.integers(1, 70), st.integers(0, 20))
def test_what_is_looked_for_lies_in_a_span(drawn, first, more):
    places, written, offset = Places(), [], 0
    for start, length, ahead, size in drawn:
        offset += ahead
        places.add(start, start + length, offset, size)
        written.append((start, start + length, offset, offset + size))
        offset += size
    spans = places.spans(first, first + more)
    for start, last, begin, end in written:
        if start <= first + more and last >= first:
            assert any(at <= begin and end <= upto for at, upto in spans)
    for at, upto in spans:
        assert any(begin == at for _, _, begin, _ in written), "a span begins with a record"
        assert any(end == upto for _, _, _, end in written), "and ends with one"
    again = Places(places.firsts, places.lasts, places.offsets, places.ends)
    assert again.spans(first, first + more) == spans


def test_neighbours_are_one_entry():
    places = Places()
    for first in range(1, 1001):
        places.add(first, first, 100 * first, 100)
    assert len(places) == 1000 * 100 // ENTRY_BYTES_MAX + 1
    (span,) = places.spans(500, 501)
    assert span[0] <= 50_000
    assert span[1] >= 50_200
    assert span[1] - span[0] <= ENTRY_BYTES_MAX


def test_no_entry_reaches_over_damage():
    places = Places()
    places.add(1, 1, 100, 100)
    places.add(2, 2, 300, 100, 300)
    places.add(3, 3, 400, 100, 300)
    assert places.spans(1, 3) == [(100, 200), (300, 500)]
