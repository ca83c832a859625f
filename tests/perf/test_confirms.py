"""Confirms cover each publish once, in whatever form the answers come."""

from hypothesis import given
from hypothesis import strategies as st

from broker.perf.confirms import Confirms


def test_in_order_one_by_one_and_in_bulk() -> None:
    confirms = Confirms()
    assert confirms.answer(1, 1, multiple=False) == [(1, 1)]
    assert confirms.answer(9, 9, multiple=True) == [(2, 9)]
    assert confirms.answer(10, 12, multiple=False) == [(10, 12)]
    assert (confirms.upto, confirms.answered) == (12, 12)


def test_a_late_answer_closes_the_gap() -> None:
    confirms = Confirms()
    assert confirms.answer(3, 4, multiple=False) == [(3, 4)]
    assert (confirms.upto, confirms.answered) == (0, 2)
    assert confirms.answer(6, 6, multiple=True) == [(1, 2), (5, 6)]
    assert (confirms.upto, confirms.answered) == (6, 6)


def test_an_answer_that_was_given_is_not_new() -> None:
    confirms = Confirms()
    confirms.answer(5, 5, multiple=True)
    assert confirms.answer(3, 3, multiple=True) == []
    assert confirms.answer(2, 4, multiple=False) == []


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9), st.booleans()), max_size=40))
def test_every_tag_is_new_exactly_once(answers: list[tuple[int, int, bool]]) -> None:
    confirms, told, seen = Confirms(), [], set[int]()
    for first, more, multiple in answers:
        for start, stop in confirms.answer(first, first + more, multiple=multiple):
            told += range(start, stop + 1)
        seen |= set(range(1 if multiple else first, first + more + 1))
    assert sorted(told) == sorted(seen)
    assert confirms.answered == len(seen)
    assert set(range(1, confirms.upto + 1)) <= seen
