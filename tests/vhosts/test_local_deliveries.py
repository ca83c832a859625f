"""What a master's side gives to consumers and gets, and when: on services without tasks."""

import pytest
import trio

from broker.vhosts.fetching import get_opened
from broker.wire import queue_frames as frames
from broker.wire.message import Traits
from tests.mirroring.lane import Taker, run_of
from tests.vhosts.fakes import FakeSwitchboard
from tests.vhosts.test_local import local_of


@pytest.fixture
def switchboard():
    return FakeSwitchboard()


def test_who_answers_gets_what_is_published_next_if_it_goes_before_others(switchboard):
    local = local_of(switchboard, durable=False)
    high, low = Taker(window=1), Taker()
    high.priority = 1
    for taker in (high, low):
        local.consume(taker)
    local.publish(run_of("a"), None)
    local.publish(run_of("b"), None)
    high.window += 1
    local.settle(high, frames.ACKNOWLEDGE, 1, 1)
    local.publish(run_of("c"), None)
    assert [run.first for run in high.got] == [1, 3]
    assert [run.first for run in low.got] == [2]


async def test_a_get_from_a_priority_queue_waits_for_the_announcement_of_its_level(switchboard, autojump_clock):
    local = local_of(switchboard, max_priority=3)
    for priority in (1, 3, 2):
        local.publish(run_of(str(priority), traits=Traits(persistent=True, priority=priority)), None)
    switchboard.end_turn()
    for expected in (2, 3, 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sync_soon, switchboard, local)
            with trio.fail_after(1):
                run = await get_opened(local, "holder", ack_required=True)
        assert run.first == expected


async def sync_soon(switchboard, local):
    """The turn ends, and then the disk has what was announced in it."""
    await trio.sleep(0.1)
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()


async def test_a_get_behind_the_mark_waits_for_the_announcement(switchboard, autojump_clock):
    local = local_of(switchboard)
    local.publish(run_of("a"), None)
    assert local.get("holder", ack_required=True) is None
    assert local.opens()
    switchboard.end_turn()
    switchboard.journal.sync()
    local.advance()
    run = local.get("holder", ack_required=True)
    assert run is not None
    assert not local.opens(), "there is nothing behind it"


def test_a_master_that_has_ended_gives_nothing_out_whoever_speaks_to_it(switchboard):
    local = local_of(switchboard, mirrored=True)
    one, other = Taker(window=1), Taker()
    local.consume(one)
    local.publish(run_of("a"), None)
    switchboard.lease = False
    local.part_with(one)
    local.consume(other)
    local.end()
    switchboard.lease = True
    local.settle("somebody who waited in a get", frames.RELEASE, 0, 0)
    assert (len(one.got), other.got) == (1, [])
