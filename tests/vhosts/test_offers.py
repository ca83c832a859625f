"""Offers of masters to a copy that has to be read before it can answer."""

from dataclasses import asdict

import pytest
import trio

from broker.cluster.records import Life, QueueRecord
from broker.mirroring.copy import Copy
from broker.mirroring.mirror import Offer
from broker.queues.line import Line
from broker.queues.page import Page
from broker.vhosts.aside import Aside, Nobody
from broker.vhosts.mirrors import Mirrors
from broker.wire import queue_frames as frames
from tests.vhosts.test_mirrors import TERM, House


async def test_an_offer_that_comes_while_another_one_is_looked_at_is_received(nursery, autojump_clock):
    house = House("n2")
    loads = []

    async def load(queue_id, first, last):
        loads.append((first, last))
        await trio.sleep(1)
        return []

    house.switchboard.journal.load = load
    house.switchboard.journal.locate = lambda *pages: pages
    house.mirrors = Mirrors(
        house.switchboard, house.paging, nursery.start_soon, Aside(Nobody(), house.switchboard, lambda _: None)
    )
    copy = Copy(1, False, line=Line([Page(1, 10, 100)]), next_position=11)
    copy.terms.begin(TERM - 1, 1)
    house.mirrors.follow(copy)
    for next_position in (2, 3, 4):
        house.offer("n1", next_position=next_position)
        await trio.sleep(0.4)
    house.offer("n3", term=TERM - 2)  # a master of the past has nothing to say
    await trio.sleep(5)
    assert loads == [(1, 10), (1, 10)]
    assert copy.next_position == 4


@pytest.mark.parametrize(("left_under", "answered"), [(TERM - 1, True), (TERM, False), (None, False)])
def test_an_offer_that_came_before_its_commit_outlives_the_commits_before_it(left_under, answered):
    """This node was master for a moment in between, or had no copy: it is a mirror of that later term all the same."""
    house = House("n2")
    house.offer("n1")
    house.mirrors.leave(1, left_under)
    house.mirrors.follow(copy := Copy(1, True))
    assert (copy.promised == TERM) is answered


def test_an_offer_of_a_queue_that_never_comes_is_forgotten_with_its_link():
    """It was deleted here before its master heard of that."""
    house = House("n2")
    house.offer("n1")
    house.offer("n3", term=TERM + 1)
    house.mirrors.link_closed("n1")
    house.mirrors.follow(copy := Copy(1, True))
    assert copy.promised == TERM + 1
    house.mirrors.leave(1)
    house.offer("n1")
    house.mirrors.link_closed("n1")
    assert not house.mirrors._parked


def test_who_follows_another_master_gives_back_what_it_settled_as_one():
    house = House("n2")
    house.switchboard.journal.unreleased = lambda queue_id: [(3, 5)]
    house.mirrors.follow(copy := Copy(1, True))
    copy.promised = TERM + 1
    house.offer("n1")
    assert house.switchboard.journal.freed == [], "it does not follow this one"
    house.offer("n1", term=TERM + 2)
    assert house.switchboard.journal.freed == [(1, [(3, 5)])]


def test_a_copy_that_is_in_sync_is_not_dropped_before_it_has_left_the_set():
    """Its master may die next: then it is all that is left of what was confirmed (S2)."""
    house = House("n2")
    record = QueueRecord(1, "/", "q", Life("n1", 1), TERM, in_sync=(Life("n1", 1), Life("n2", 1)))
    house.mirrors = Mirrors(house.switchboard, house.paging, None, Aside(Nobody(), house.switchboard, lambda _: record))
    copy = Copy(1, True, next_position=10, promised=TERM - 1)
    for term, first in ((TERM - 2, 1), (TERM - 1, 5)):  # the master does not know of the second
        copy.terms.begin(term, first)
    house.mirrors.follow(copy)
    offer = Offer(1, TERM, [(TERM - 2, 1), (TERM, 8)], 9)
    house.switchboard.hear("n1", frames.OFFER, frames.encode_json(asdict(offer)))
    assert (copy.next_position, copy.promised) == (10, TERM - 1)
    record = record._replace(in_sync=(Life("n1", 1),))
    house.mirrors.follow(copy)
    assert (copy.next_position, copy.promised, copy.terms.entries) == (9, TERM, offer.terms)
