"""Offers of masters to a copy that has to be read before it can answer."""

import pytest
import trio

from broker.mirroring.copy import Copy
from broker.queues.line import Line
from broker.queues.page import Page
from broker.vhosts.aside import Aside, Nobody
from broker.vhosts.mirrors import Mirrors
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
