"""What stands in a footer is what is read from it, and nonsense is noticed."""

from array import array
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.footers import IndexTable, Raised, pack_entries, pack_index, unpack_entries, unpack_index
from broker.wire.records import Drop, Extent, Hole, Mark, Origin, Returned, Settle, Term
from broker.wire.sealed import DamagedRecord

numbers = st.integers(0, 2**64 - 1)
words = st.integers(0, 2**32 - 1)
few = st.integers(1, 2)
texts = st.text(max_size=40)
ranges = st.lists(st.tuples(numbers, numbers), max_size=5)
entries = st.lists(
    st.one_of(
        st.builds(
            Extent, st.integers(1, 2), st.integers(1, 2), numbers, words, st.integers(0, 255), st.booleans(), words
        )
        | st.builds(Extent, numbers, numbers, numbers, words, st.integers(0, 255), st.booleans(), words, words),
        st.builds(Raised, numbers, numbers, texts, numbers),
        st.builds(Settle, numbers, numbers, ranges),
        st.builds(Term, numbers, numbers, numbers),
        st.builds(Mark, numbers, numbers, st.integers(0, 255), numbers),
        st.builds(Hole, numbers, numbers, ranges),
        st.builds(Origin, numbers, numbers, texts, numbers, ranges),
        st.builds(Drop, numbers, numbers),
        st.builds(Returned, numbers, numbers, st.lists(st.tuples(numbers, numbers, words), max_size=5)),
    ),
    max_size=8,
)


@given(entries)
def test_entries_come_back_in_their_order(written):
    assert list(unpack_entries(pack_entries(written))) == written


@given(entries, st.integers(1, 30))
def test_entries_that_end_too_early_are_noticed(written, cut):
    data = pack_entries(written)[:-cut]
    try:
        read = list(unpack_entries(data))
    except DamagedRecord:
        return
    assert read == written[: len(read)]


@given(st.binary(max_size=100))
def test_noise_is_never_more_than_damage(noise):
    for read in (lambda: list(unpack_entries(noise)), lambda: unpack_index(noise)):
        with suppress(DamagedRecord):
            read()


def test_a_neighbourhood_of_extents_takes_few_bytes():
    extents = [Extent(1, 5, first, 1, first % 10, False, 100, 190) for first in range(1, 1001)]
    assert len(pack_entries(extents)) < 25_000


def test_an_index_comes_back():
    table = IndexTable(
        array("Q", [7, 2**64 - 1]),
        array("I", [2, 1]),
        array("Q", [1, 5, 9]),
        array("Q", [4, 8, 9]),
        array("I", [0, 90, 70]),
        array("I", [9, 99, 80]),
    )
    data = pack_index(table)
    assert unpack_index(data) == table
    assert table.firsts[0] == 1, "what was packed is as it was"
    for length in range(len(data)):
        with pytest.raises(DamagedRecord):
            unpack_index(data[:length])
