"""Pages: what is remembered of a run, cut, joined and filled again."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.queues.line import Line
from broker.queues.page import PAGE_BYTES_MAX, PAGE_MESSAGES_MAX, Page, bytes_of, paged
from broker.wire.message import Run, Traits
from tests.queues.fakes import ADDRESS, PLAIN, content, positions, run_of


def sized(*sizes: int, first: int = 1) -> Run:
    return Run([content(b"x" * size) for size in sizes], ADDRESS, PLAIN, first=first)


def test_a_page_knows_what_a_queue_may_ask() -> None:
    run = run_of(3, first=5, size=7, traits=Traits(priority=4, expiration_ms=1, persistent=True))
    run.redelivered, run.returned = True, 2
    page = Page.of(run)
    assert (page.first, page.last, page.count, page.body_bytes) == (5, 7, 3, 21)
    assert (page.priority, page.expires, page.persistent, page.redelivered, page.returned) == (4, True, True, True, 2)


@given(st.integers(1, 50), st.integers(0, 5000), st.lists(st.integers(1, 49), max_size=6))
def test_no_byte_is_lost_by_cutting(count: int, body_bytes: int, places: list[int]) -> None:
    page = Page(1, count, body_bytes)
    bounds = sorted({0, count, *(place for place in places if place < count)})
    parts = [page.cut(start, stop) for start, stop in pairwise(bounds)]
    assert sum(part.body_bytes for part in parts) == body_bytes
    assert positions(parts) == positions([page])


@pytest.mark.parametrize(
    "other",
    [
        Page(5, 1, 1),
        Page(4, 1, 1, priority=1),
        Page(4, 1, 1, expires=True),
        Page(4, 1, 1, persistent=True),
        Page(4, 1, 1, redelivered=True),
        Page(4, 1, 1, returned=1),
        Page(4, PAGE_MESSAGES_MAX, 1),
        Page(4, 1, PAGE_BYTES_MAX),
    ],
)
def test_what_is_of_another_kind_is_not_joined(other: Page) -> None:
    assert Page(1, 3, 3).joined(other) is None


def test_neighbours_of_one_kind_are_joined() -> None:
    both = Page(1, 3, 3, returned=1).joined(Page(4, 2, 8, returned=1))
    assert both is not None
    assert (both.first, both.last, both.body_bytes, both.returned) == (1, 5, 11, 1)


def test_what_is_left_of_a_page_keeps_what_is_left_of_its_bytes() -> None:
    run = sized(1, 99, 50)
    page = Page.of(run)
    first, rest = page.filled([run.cut(0, 1)])
    assert (isinstance(first, Run), bytes_of(rest)) == (True, 149)
    first, middle, last = page.filled([run.cut(1, 2)])
    assert (bytes_of(first) + bytes_of(last), positions([middle])) == (51, [2])


def test_a_load_that_says_less_of_its_past_does_not_make_a_page_forget_it() -> None:
    loaded = run_of(2, first=1)
    (run,) = Page(1, 2, 6, redelivered=True, returned=3).filled([loaded])
    assert (run.redelivered, run.returned, loaded.redelivered, loaded.returned) == (True, 3, False, 0)
    loaded.redelivered, loaded.returned = True, 5
    (run,) = Page(1, 2, 6, returned=3).filled([loaded])
    assert (run.redelivered, run.returned) == (True, 5)


def test_an_estimate_is_exact_for_equal_properties() -> None:
    runs = [sized(10, 200, 3000), sized(7, first=9)]
    assert [(page.first, page.body_bytes) for page in paged(runs, 0)] == [(1, 3210), (9, 7)]


def test_many_small_runs_become_few_pages() -> None:
    line = Line()
    pages = [Page(position, 1, 10) for position in range(1, 20_001)]
    for page in pages:
        line.add(page)
    assert [piece.count for piece in line.pieces()] == [4096, 4096, 4096, 4096, 3616]
    held = [piece for position in range(1, 20_001, 2) for piece in line.remove(position, position)]
    line.put_back(held)
    assert sum(1 for _ in line.pieces()) <= 10
    assert (line.size_bytes, line.paged_messages) == (200_000, 20_000)


def test_no_byte_is_lost_at_the_head() -> None:
    line = Line([Page(1, 3, 10), Page(4, 1, 7, persistent=True)])
    assert [line.drop_head(1).body_bytes for _ in range(3)] == [3, 3, 4]
    assert (line.size_bytes, line.paged_messages) == (7, 1)
