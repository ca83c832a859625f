"""The line: a table of edges, and everything at random against a plain list of positions."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.queues.line import Line
from broker.wire.message import Run
from tests.queues.fakes import positions, run_of


def test_append_keeps_order() -> None:
    line = Line([run_of(3, first=1), run_of(2, first=7)])
    assert (line.first, line.last, len(line)) == (1, 8, 5)
    assert line.ranges() == [(1, 3), (7, 8)]
    with pytest.raises(ValueError, match="does not come after 8"):
        line.append(run_of(1, first=8))


def test_an_empty_line_has_no_ends() -> None:
    line = Line()
    assert (line.first, line.last, len(line), line.size_bytes, line.head(), line.take(1)) == (
        None,
        None,
        0,
        0,
        None,
        None,
    )
    assert line.ranges() == line.remove(1, 9) == line.discard(1, 9) == line.clear() == []


def test_take_gives_one_run_at_most_and_cuts_it() -> None:
    line = Line([run_of(3, first=1), run_of(2, first=4)])
    taken = [line.take(2), line.take(9), line.take(9), line.take(9)]
    assert [positions([run]) if run else None for run in taken] == [[1, 2], [3], [4, 5], None]


def test_a_whole_run_is_passed_on_as_it_is() -> None:
    run = run_of(3, first=1)
    assert Line([run]).take(3) is run


def test_take_within_bytes_gives_at_least_one() -> None:
    line = Line([run_of(5, first=1, size=10)])
    one = len(run_of(1, size=10).contents[0])
    assert positions([line.take(5, bytes_max=1)]) == [1]
    assert positions([line.take(5, bytes_max=3 * one)]) == [2, 3, 4]
    assert positions([line.take(5, bytes_max=3 * one)]) == [5]


def test_take_stops_at_the_mark() -> None:
    line = Line([run_of(5, first=10)])
    line.open_upto = 9
    assert (line.at_hand(), line.take(5)) == (0, None)
    line.open_upto = 12
    assert line.at_hand() == 3
    assert positions([line.take(5)]) == [10, 11, 12]
    assert (line.at_hand(), line.take(5), len(line)) == (0, None, 2)
    line.open_upto = None
    assert line.at_hand() == 2


def test_insert_skips_what_is_there() -> None:
    line = Line([run_of(2, first=3), run_of(2, first=8)])
    line.insert(run_of(10, first=1))
    assert line.ranges() == [(1, 10)]
    assert positions(list(line.runs())) == list(range(1, 11))
    line.insert(run_of(10, first=1))
    assert len(line) == 10


def test_insert_behind_a_half_taken_head() -> None:
    line = Line([run_of(5, first=1)])
    line.take(3)
    line.insert(run_of(2, first=2))
    assert positions(list(line.runs())) == [2, 3, 4, 5]


def test_remove_returns_what_was_there() -> None:
    line = Line([run_of(5, first=1), run_of(5, first=11)])
    line.take(1)
    assert positions(line.remove(4, 12)) == [4, 5, 11, 12]
    assert line.ranges() == [(2, 3), (13, 15)]
    assert line.discard(2, 2) == [(2, 2)]
    assert line.discard(1, 99) == [(3, 3), (13, 15)]
    assert len(line) == 0


def test_measures_follow_every_change() -> None:
    line = Line([run_of(5, first=1, size=10)])
    assert line.size_bytes == 50
    line.append(run_of(2, first=10, size=1))
    assert line.size_bytes == 52
    line.take(2)
    line.remove(4, 4)
    assert line.size_bytes == 22
    line.insert(run_of(3, first=5, size=7))  # 5 is there
    assert line.size_bytes == 36
    line.discard(1, 99)
    assert line.size_bytes == 0
    line.append(run_of(1, first=3, size=5))
    assert line.size_bytes == 5


def test_flag_cuts_at_the_mark() -> None:
    line = Line([run_of(5, first=1), run_of(5, first=6)])
    line.take(1)
    line.flag_redelivered(7)
    assert [(run.first, run.last, run.redelivered) for run in line.runs()] == [
        (2, 5, True),
        (6, 7, True),
        (8, 10, False),
    ]


def test_long_lines_are_compacted() -> None:
    line = Line(run_of(1, first=position) for position in range(1, 1001))
    for position in range(1, 1000):
        assert positions([line.take(1)]) == [position]
        assert len(line._pieces) <= 2 * (len(line) + 64)
    line.insert(run_of(1, first=5))
    assert line.ranges() == [(5, 5), (1000, 1000)]


class LineAgainstAList(RuleBasedStateMachine):
    """Any operations in any order; the model is a sorted list of positions, each with the size of its body."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.model: dict[int, int] = {}
        self.next = 1

    def made(self, first: int, count: int) -> Run:
        """Bodies are as long as their position says, so that a misplaced one is found out."""
        run = run_of(count, first=first)
        run.contents[:] = [run_of(1, size=position % 7).contents[0] for position in range(first, first + count)]
        return run

    @rule(gap=st.integers(0, 3), count=st.integers(1, 8))
    def append(self, gap: int, count: int) -> None:
        first = self.next + gap
        self.line.append(self.made(first, count))
        self.next = first + count
        self.model |= {position: position % 7 for position in range(first, first + count)}

    @rule(first=st.integers(1, 60), count=st.integers(1, 20))
    def insert(self, first: int, count: int) -> None:
        self.line.add(self.made(first, count))
        self.model |= {position: position % 7 for position in range(first, first + count)}
        self.next = max(self.next, first + count)

    @rule(first=st.integers(1, 60), width=st.integers(0, 60), every=st.integers(1, 3))
    def put_back(self, first: int, width: int, every: int) -> None:
        gone = [position for position in range(first, first + width, every) if position not in self.model]
        self.line.put_back([self.made(position, 1) for position in gone])
        self.model |= {position: position % 7 for position in gone}
        self.next = max(self.next, *(position + 1 for position in gone), 1)

    @rule(first=st.integers(1, 60), width=st.integers(0, 30), times=st.integers(1, 3))
    def count_returned(self, first: int, width: int, times: int) -> None:
        before = self.counts()
        self.line.count_returned(first, first + width, times)
        assert self.counts() == {
            position: max(count, times) if first <= position <= first + width else count
            for position, count in before.items()
        }

    def counts(self) -> dict[int, int]:
        return {position: run.returned for run in self.line.runs() for position in positions([run])}

    @rule(count=st.integers(1, 10))
    def take(self, count: int) -> None:
        run = self.line.take(count)
        got = [] if run is None else positions([run])
        assert got == sorted(self.model)[: len(got)]
        limit = self.line.open_upto
        expected = [p for p in sorted(self.model)[:count] if limit is None or p <= limit]
        assert len(got) <= len(expected)
        assert bool(got) == bool(expected)
        for position in got:
            del self.model[position]

    @rule(upto=st.one_of(st.none(), st.integers(0, 60)))
    def mark(self, upto: int | None) -> None:
        self.line.open_upto = upto

    @rule(first=st.integers(1, 60), width=st.integers(0, 30), returning=st.booleans())
    def remove(self, first: int, width: int, returning: bool) -> None:
        expected = [position for position in sorted(self.model) if first <= position <= first + width]
        if returning:
            removed = self.line.remove(first, first + width)
            assert positions(removed) == expected
            for run in removed:
                assert run.contents == self.made(run.first, len(run.contents)).contents
        else:
            ranges = self.line.discard(first, first + width)
            assert [p for a, b in ranges for p in range(a, b + 1)] == expected
        for position in expected:
            del self.model[position]

    @rule()
    def ack_the_head(self) -> None:
        head = self.line.head()
        if head is not None:
            assert self.line.discard(head.first, head.last) == [(head.first, head.last)]
            for position in positions([head]):
                del self.model[position]

    @rule(upto=st.integers(0, 60))
    def flag(self, upto: int) -> None:
        self.line.flag_redelivered(upto)
        for run in self.line.runs():
            assert run.redelivered or run.first > upto

    @rule()
    def measure(self) -> None:
        assert self.line.size_bytes == sum(self.model.values())

    @invariant()
    def agree(self) -> None:
        order = sorted(self.model)
        assert len(self.line) == len(order)
        assert (self.line.first, self.line.last) == ((order[0], order[-1]) if order else (None, None))
        runs = list(self.line.runs())
        assert positions(runs) == order
        assert [len(c) - len(run_of(1, size=0).contents[0]) for run in runs for c in run.contents] == [
            self.model[p] + 8 if self.model[p] else 0 for p in order
        ]
        ranges = self.line.ranges()
        assert [p for a, b in ranges for p in range(a, b + 1)] == order
        assert all(ranges[i][1] + 1 < ranges[i + 1][0] for i in range(len(ranges) - 1))


TestLineAgainstAList = LineAgainstAList.TestCase
TestLineAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
