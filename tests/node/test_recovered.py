"""What was found on disk becomes copies: pages none larger than one load may bring, letters that were truly taken."""

from random import Random

import pytest

from broker.node.recovered import copy_of, pages_of, uncut
from broker.queues.page import PAGE_BYTES_MAX, PAGE_MESSAGES_MAX
from broker.storage.recover import RecoveredQueue
from broker.wire.message import Place, Run, Traits, make_address
from broker.wire.records import Extent, Origin, Publish, Term
from tests.simulation.disk import SimDisk
from tests.storage.lives import one_life, recovered


def test_long_extents_become_pages_of_a_size_to_be_loaded():
    extents = [
        Extent(1, 5, 1, 10_000, 3, True, 1_000_000),
        Extent(1, 5, 10_001, 3, 0, False, 9_000_000),
        Extent(1, 5, 10_004, 2, 0, False, 0),
    ]
    pages = list(pages_of(extents))
    assert [page.first for page in pages[1:]] == [page.last + 1 for page in pages[:-1]]
    assert (pages[0].first, pages[-1].last) == (1, 10_005)
    assert sum(page.body_bytes for page in pages) == 10_000_000
    assert all(page.count <= PAGE_MESSAGES_MAX and page.persistent for page in pages)
    assert all(page.body_bytes <= PAGE_BYTES_MAX or page.count == 1 for page in pages)
    assert [(page.priority, page.expires) for page in (pages[0], pages[-1])] == [(3, True), (0, False)]


LETTERS = "letters 6 6 1"
"""Of queue 6 under its term 6, from its position 1 on."""


def fresh(found: RecoveredQueue) -> list[tuple[int, int]]:
    """Which of the first five letters the copy does not know."""
    return copy_of(7, found).repeats.fresh(Place(6, 6, 1), 5)


@pytest.mark.parametrize(
    ("at", "bound", "left"),
    [
        (5, None, (5, [(1, 5)])),
        (5, 5, (5, [(1, 5)])),
        (5, 3, (3, [(1, 3)])),
        (5, 0, (0, [])),
        (50, 45, (0, [])),
        (0, 0, (0, [])),
    ],
)
def test_letters_above_the_end_of_what_their_master_could_write_were_not_taken(at, bound, left):
    assert uncut(at, [(1, 5)] if at else [], bound) == left


@pytest.mark.parametrize(("second_term_at", "unknown"), [(1, [(0, 5)]), (4, [(3, 5)]), (6, [])])
def test_letters_are_known_as_far_as_they_stand_here(second_term_at, unknown):
    """A master noted five letters and died before they were on disk; the next one began where it found the end."""
    found = RecoveredQueue([], [], [(1, 1), (2, second_term_at)], {}, [], {LETTERS: (5, [(1, 5)])}, 45, {LETTERS: 1})
    assert fresh(found) == unknown


async def test_a_record_written_again_says_no_more_than_it_did(autojump_clock):
    """It comes to stand among records of a newer master; neither a summary nor who writes it again makes it his."""
    disk = SimDisk(Random(1))
    messages = [Run([b"x" * 200], make_address("", "q"), Traits(persistent=True), first=first) for first in (1, 2)]
    early, late = (Publish(7, 2, message) for message in messages)
    await one_life(disk, [Term(7, 1, 1), Origin(7, 1, LETTERS, 5, [(1, 5)])])
    again = Origin(7, 1, LETTERS, 5, [(1, 5)])
    await one_life(disk, [Term(7, 2, 1), early, again, late], segment_bytes=300)
    recovery, _ = await recovered(disk)
    assert recovery.queues[7].told_under == {LETTERS: 1}
    assert fresh(recovery.queues[7]) == [(0, 5)]
    account = recovery.books.accounts[7]
    (chapter,) = (account.chapters[account.taken[LETTERS].home.number],)
    assert [record.term for record in account.farewell(chapter) if isinstance(record, Origin)] == [1]
