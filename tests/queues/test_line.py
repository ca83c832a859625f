"""The line: a table of edges, and everything at random against a plain list of positions."""

from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.queues.line import Line
from broker.queues.page import Page, Piece, bytes_of, part
from broker.queues.row import RUN_BYTES, weight_of
from broker.wire.message import Run
from tests.queues.fakes import ADDRESS, PLAIN, positions, run_of


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


SIZES = [run_of(1, size=size).contents[0] for size in range(7)]


class LineAgainstAList(RuleBasedStateMachine):
    """Any operations in any order, with contents forgotten and loaded at any moment; the model is a list of positions,
    each with its flags. A body is as long as its position says, so that a misplaced one is found out."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.model: dict[int, tuple[bool, int]] = {}  # redelivered, returned
        self.held: list[Piece] = []
        self.held_flags: dict[int, tuple[bool, int]] = {}
        self.under_way: list[list[Run]] = []
        self.next = 1

    def made(self, first: int, count: int) -> Run:
        return Run([SIZES[position % 7] for position in range(first, first + count)], ADDRESS, PLAIN, first=first)

    def came(self, first: int, count: int) -> None:
        for position in range(first, first + count):
            self.model.setdefault(position, (False, 0))
            self.held_flags.pop(position, None)
        self.next = max(self.next, first + count)

    def gone(self, gone: list[int], pieces: Iterable[Piece]) -> None:
        """These positions left, as these pieces."""
        pieces = list(pieces)
        assert positions(pieces) == gone
        for piece in pieces:
            if isinstance(piece, Run):
                assert piece.contents == self.made(piece.first, piece.count).contents
            assert {self.model.pop(position) for position in positions([piece])} == {
                (piece.redelivered, piece.returned)
            }

    @rule(gap=st.integers(0, 3), count=st.integers(1, 8))
    def append(self, gap: int, count: int) -> None:
        first = self.next + gap
        self.line.append(self.made(first, count))
        self.came(first, count)

    @rule(first=st.integers(1, 60), count=st.integers(1, 20), paged=st.booleans())
    def insert(self, first: int, count: int, paged: bool) -> None:
        run = self.made(first, count)
        self.forget(range(first, first + count))
        self.line.add(Page.of(run) if paged else run)
        self.came(first, count)

    def forget(self, places: Iterable[int]) -> None:
        """What is put elsewhere is held no more."""
        self.held = [
            part(piece, position, position)
            for piece in self.held
            for position in positions([piece])
            if position not in places
        ]

    @rule(first=st.integers(1, 60), width=st.integers(0, 60), every=st.integers(1, 3), paged=st.booleans())
    def put_new_back(self, first: int, width: int, every: int, paged: bool) -> None:
        gone = [position for position in range(first, first + width, every) if position not in self.model]
        self.forget(gone)
        runs = [self.made(position, 1) for position in gone]
        self.line.put_back([Page.of(run) for run in runs] if paged else [*runs])
        for position in gone:
            self.came(position, 1)

    @rule(first=st.integers(1, 60), width=st.integers(0, 30))
    def hold(self, first: int, width: int) -> None:
        """As a consumer does: the pieces come back later, as they are."""
        expected = [position for position in sorted(self.model) if first <= position <= first + width]
        removed = self.line.remove(first, first + width)
        flags = {position: self.model[position] for position in expected}
        self.gone(expected, removed)
        self.forget(expected)
        self.held = sorted([*self.held, *removed], key=lambda piece: piece.first)
        self.held_flags |= flags

    @rule()
    def give_back(self) -> None:
        held, self.held = self.held, []
        self.line.put_back(held)
        for position in positions(held):
            self.model[position] = self.held_flags[position]
            self.next = max(self.next, position + 1)
        self.held_flags.clear()

    @rule(first=st.integers(1, 60), width=st.integers(0, 30), times=st.integers(1, 3))
    def count_returned(self, first: int, width: int, times: int) -> None:
        self.line.count_returned(first, first + width, times)
        for position, (redelivered, returned) in self.model.items():
            if first <= position <= first + width:
                self.model[position] = (redelivered, max(returned, times))

    @rule(count=st.integers(1, 10))
    def take(self, count: int) -> None:
        at_hand = self.line.at_hand()
        front = self.line.front()
        run = self.line.take(count)
        limit = self.line.open_upto
        order = sorted(self.model)
        expected = [p for p in order[:count] if limit is None or p <= limit]
        if not expected or isinstance(front, Page):
            assert (run, at_hand) == (None, 0)
            assert self.line.is_closed == bool(order and not expected)
        else:
            assert isinstance(run, Run)
            assert 0 < run.count <= len(expected)
            assert run.count == min(count, at_hand)
            self.gone(order[: run.count], [run])

    @rule(upto=st.one_of(st.none(), st.integers(0, 60)))
    def mark(self, upto: int | None) -> None:
        self.line.open_upto = upto
        behind = [position for position in sorted(self.model) if upto is not None and position > upto]
        if behind:
            assert self.line.first_closed() == behind[0]

    @precondition(lambda self: self.model)
    @rule(count=st.integers(1, 10))
    def drop_head(self, count: int) -> None:
        piece = self.line.drop_head(count)
        assert 0 < piece.count <= count
        self.gone(sorted(self.model)[: piece.count], [piece])

    @rule(first=st.integers(1, 60), width=st.integers(0, 30))
    def discard(self, first: int, width: int) -> None:
        expected = [position for position in sorted(self.model) if first <= position <= first + width]
        ranges = self.line.discard(first, first + width)
        assert [p for a, b in ranges for p in range(a, b + 1)] == expected
        for position in expected:
            del self.model[position]

    @rule(count=st.integers(1, 10))
    def ack_the_head(self, count: int) -> None:
        front = self.line.front()
        if front is not None:
            last = min(front.last, front.first + count - 1)
            assert self.line.discard(front.first, last) == [(front.first, last)]
            for position in range(front.first, last + 1):
                del self.model[position]

    @rule(upto=st.integers(0, 60))
    def flag(self, upto: int) -> None:
        self.line.flag_redelivered(upto)
        for position, (_, returned) in self.model.items():
            if position <= upto:
                self.model[position] = (True, returned)

    @rule(head=st.integers(0, 2000), tail=st.integers(0, 2000))
    def page_out(self, head: int, tail: int) -> None:
        before = [positions([piece]) for piece in self.line.runs()]
        forgotten = self.line.page_out(head, tail)
        for run in forgotten:
            assert run.contents == self.made(run.first, run.count).contents
        after = [positions([piece]) for piece in self.line.runs()]
        assert sorted([positions([run]) for run in forgotten] + after) == before
        assert not before or not (head or tail) or after or self.line.paged_messages > sum(map(len, before))
        assert head or tail or not after

    @rule(data=st.data(), bytes_max=st.integers(1, 2000), ahead=st.integers(0, 2000))
    def start_a_load(self, data: st.DataObject, bytes_max: int, ahead: int) -> None:
        """It arrives later, or is cut short."""
        wanted = self.line.wanted(bytes_max, ahead)
        pages = [piece for piece in self.line.pieces() if isinstance(piece, Page)]
        if wanted is None:
            assert not pages or not isinstance(self.line.front(), Page)
            return
        first, last = wanted
        assert first == pages[0].first
        runs = []
        while first <= last:
            count = min(last + 1 - first, data.draw(st.integers(1, 9)))
            if data.draw(st.integers(0, 5)):
                runs.append(self.made(first, count))
            first += count
        self.under_way.append(runs)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_load_arrives(self, data: st.DataObject) -> None:
        runs = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        loaded = set(positions(runs))
        paged = {position for piece in self.line.pieces() if isinstance(piece, Page) for position in positions([piece])}
        self.line.fill(runs)
        still = {position for piece in self.line.pieces() if isinstance(piece, Page) for position in positions([piece])}
        assert still == paged - loaded
        assert all(run.stored for run in self.line.runs() if run.first in paged)

    @rule()
    def load_everything(self) -> None:
        while (wanted := self.line.wanted(500)) is not None or self.line.paged_messages:
            first, last = wanted or next((p.first, p.last) for p in self.line.pieces() if isinstance(p, Page))
            self.line.fill([self.made(first, last - first + 1)])
        assert self.line.size_bytes == sum(position % 7 for position in self.model)

    @rule()
    def measure(self) -> None:
        size_bytes = self.line.size_bytes
        if not self.line.paged_messages:
            assert size_bytes == sum(position % 7 for position in self.model)
        assert size_bytes == sum(map(bytes_of, self.line.pieces()))

    @rule()
    def weigh(self) -> None:
        assert self.line.resident_bytes == sum(RUN_BYTES + weight_of(run) for run in self.line.runs())

    @invariant()
    def agree(self) -> None:
        order = sorted(self.model)
        line = self.line
        assert len(line) == len(order)
        assert (line.first, line.last) == ((order[0], order[-1]) if order else (None, None))
        pieces = list(line.pieces())
        assert positions(pieces) == order
        for piece in pieces:
            assert {self.model[position] for position in positions([piece])} == {(piece.redelivered, piece.returned)}
        pages = [piece for piece in pieces if isinstance(piece, Page)]
        assert line.paged_messages == sum(page.count for page in pages)
        assert (line._pages, line._paged_bytes) == (len(pages), sum(page.body_bytes for page in pages))
        ranges = line.ranges()
        assert [p for a, b in ranges for p in range(a, b + 1)] == order
        assert all(ranges[i][1] + 1 < ranges[i + 1][0] for i in range(len(ranges) - 1))


TestLineAgainstAList = LineAgainstAList.TestCase
TestLineAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
