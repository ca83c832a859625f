"""Dead letters on their way: one after the other, no more at a time than there is room for."""

import pytest
import trio

from broker.queues.dead_letter import DeadLetter
from broker.queues.page import Page
from broker.vhosts import dispatch
from broker.vhosts.dispatch import Dispatch
from tests.queues.fakes import run_of


class Source:
    """A master that gives messages out, and the journal behind it."""

    def __init__(self):
        self.master = self.switchboard = self.journal = self
        self.ended = False
        self.gives = True
        self.backlog_bytes = 0


class House:
    def __init__(self, nursery):
        self.source = Source()
        self.sent = []
        self.singly = False
        self.loaded = []
        self.loads = trio.CapacityLimiter(1)
        self.letters = Dispatch(self.source, self, self.load, nursery.start_soon)

    def send(self, source, letter):
        self.sent.append((letter.piece.first, letter.piece.last))

    async def load(self, first, last):
        self.loaded.append((first, last))
        async with self.loads:
            return (
                [run_of(1, first=position) for position in range(first, last + 1)]
                if self.singly
                else [run_of(last + 1 - first, first=first)]
            )

    def bury(self, first, count=1):
        self.letters.send(DeadLetter("expired", Page(first, count, 10), "dlx", None))


@pytest.fixture
def house(nursery):
    return House(nursery)


async def test_letters_that_waited_for_the_lease_go_when_it_is_back(house, autojump_clock):
    house.source.gives = False
    house.bury(1)
    await trio.sleep(1)
    assert house.sent == []
    house.source.gives = True
    house.letters.go_on()
    await trio.sleep(1)
    assert house.sent == [(1, 1)]


async def test_nothing_goes_if_the_lease_ran_out_while_it_was_loaded(house, autojump_clock):
    async with house.loads:
        house.bury(1)
        await trio.sleep(1)
        house.source.gives = False
    await trio.sleep(1)
    assert house.sent == []


async def test_big_ones_are_as_crowded_as_many(house, autojump_clock, monkeypatch):
    monkeypatch.setattr(dispatch, "UNDER_WAY_BYTES_MAX", 100)
    for first in (1, 11, 21, 31):
        house.bury(first, 10)
    await trio.sleep(1)
    assert house.letters.is_crowded
    begun = len(house.sent)
    assert begun < 4
    assert house.letters.answered(10 * begun)
    await trio.sleep(1)
    assert len(house.sent) > begun


async def test_letters_do_not_outrun_the_disk(house, autojump_clock):
    house.source.backlog_bytes = 1 << 40
    house.bury(1)
    await trio.sleep(1)
    assert house.sent == []
    house.source.backlog_bytes = 0
    await trio.sleep(1)
    assert house.sent == [(1, 1)]


async def test_many_go_in_steps_between_which_others_are_served(house, autojump_clock):
    house.bury(1, 3 * dispatch.STEP_MESSAGES)
    longest = 0
    while len(house.sent) < 3:
        before = len(house.sent)
        await trio.lowlevel.checkpoint()
        longest = max(longest, len(house.sent) - before)
    assert longest < 3


@pytest.mark.parametrize("singly", [False, True])
async def test_what_lies_in_one_place_is_read_at_once(house, autojump_clock, singly):
    house.singly = singly
    house.source.gives = False
    for first in (1, 3, 5, 6, 100, 50):
        house.bury(first)
    house.source.gives = True
    house.letters.go_on()
    await trio.sleep(1)
    assert house.loaded == [(1, 6), (100, 100), (50, 50)]
    assert house.sent == [(1, 1), (3, 3), (5, 5), (6, 6), (100, 100), (50, 50)]


async def test_what_was_never_in_the_queue_is_sent_as_one(house, autojump_clock):
    house.source.gives = False
    house.bury(1)
    house.letters.send(DeadLetter("maxlen", run_of(2 * dispatch.STEP_MESSAGES, first=0), "dlx", None))
    house.source.gives = True
    house.letters.go_on()
    await trio.sleep(1)
    assert house.sent == [(1, 1), (0, 2 * dispatch.STEP_MESSAGES - 1)]


async def test_what_waits_here_leaves_memory_with_the_rest(house, autojump_clock):
    house.source.gives = False
    house.bury(1)
    waiting = DeadLetter("rejected", run_of(5, first=2), "dlx", None)
    house.letters.send(waiting)
    house.letters.forget(lambda letter: letter.paged())
    assert all(letter.page for letter in house.letters._waiting)
    house.source.gives = True
    house.letters.go_on()
    await trio.sleep(1)
    assert house.sent == [(1, 1), (2, 6)]
