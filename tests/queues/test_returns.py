"""Counting what comes back: which may be delivered again, and what there is to write down."""

from broker.queues.line import Line
from broker.queues.returns import Returns, join_stretch
from tests.queues.fakes import run_of


def test_neighbours_with_the_same_count_are_one_entry():
    returns = Returns()
    runs = [run_of(2, first=1), run_of(1, first=3), run_of(1, first=5)]
    runs[2].returned = 4
    assert returns.count(runs, None) == (runs, [])
    assert returns.take() == [(1, 3, 1), (5, 5, 5)]
    assert returns.take() == []


def test_over_the_limit_is_worn():
    returns = Returns()
    fresh, old = run_of(1, first=1), run_of(1, first=2)
    old.returned = 2
    assert returns.count([fresh, old], 2) == ([fresh], [old])
    assert returns.take() == [(1, 1, 1), (2, 2, 3)]
    assert returns.count([run_of(1)], 0)[0] == []


def test_a_line_notes_what_it_is_told_for_some_of_its_messages():
    line = Line([run_of(5, first=1), run_of(2, first=8)])
    line.count_returned(2, 8, 3)
    line.count_returned(4, 4, 1)
    shown = [(run.first, run.last, run.returned) for run in line.runs()]
    assert [(position, times) for first, last, times in shown for position in range(first, last + 1)] == [
        (1, 0), (2, 3), (3, 3), (4, 3), (5, 3), (8, 3), (9, 0),
    ]  # fmt: skip
    assert len(line) == 7


def test_a_mirror_is_told_of_neighbours_together():
    counts = []
    for run in (run_of(2, first=1), run_of(1, first=3), run_of(1, first=5)):
        run.returned = 2
        join_stretch(counts, run)
    assert counts == [(1, 3, 2), (5, 5, 2)]
