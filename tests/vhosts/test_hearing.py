"""For whom a new master waits before it gives anything out."""

import pytest
import trio

from broker.vhosts.hearing import HEARING_S, Hearing
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakeSwitchboard
from tests.vhosts.test_local import local_of


def successor():
    """A master whose first message may have been given out by the one before it."""
    local = local_of(FakeSwitchboard(), mirrored=True)
    local.publish(run_of("a"), None)
    local.master.copy.marks[0] = 1
    return local.master


@pytest.fixture
def moments():
    """When masters went on."""
    return []


@pytest.fixture
def hearing(moments, nursery):
    return Hearing(successor(), ["n2", "n3"], nursery.start_soon, lambda: moments.append(trio.current_time()))


async def test_nothing_is_given_out_before_all_have_told(hearing, moments):
    hearing.heard("n2")
    assert (hearing.holds_back, moments) == (True, [])
    hearing.heard("n3")
    assert (hearing.holds_back, len(moments)) == (False, 1)


async def test_nor_for_longer_than_that_takes(autojump_clock, hearing, moments):
    begin = trio.current_time()
    await trio.sleep(2 * HEARING_S)
    assert moments == [pytest.approx(begin + HEARING_S)]


async def test_what_nobody_can_have_got_waits_for_nobody(nursery):
    master = successor()
    master.copy.marks.clear()
    assert not Hearing(master, ["n2"], nursery.start_soon, lambda: None).holds_back


async def test_whoever_waits_for_all_waits_for_those_that_run(autojump_clock, hearing):
    running = ["n3"]
    hearing.heard("n2")
    with trio.move_on_after(10 * HEARING_S) as waiting:
        await hearing.all_heard(lambda: running)
    assert waiting.cancelled_caught
    running.clear()
    await hearing.all_heard(lambda: running)


async def test_a_master_that_has_ended_hears_nobody(autojump_clock, hearing, nursery):
    with trio.fail_after(2 * HEARING_S):
        nursery.start_soon(hearing.all_heard, lambda: ["n2", "n3"])
        hearing.end()
        await hearing.all_heard(lambda: ["n2", "n3"])
