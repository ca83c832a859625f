"""Purges: they are answered when no failover brings back what they dropped."""

import pytest
import trio
import trio.testing

from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakeSwitchboard
from tests.vhosts.test_local import acknowledge, follow, local_of


@pytest.fixture
def switchboard():
    return FakeSwitchboard()


class Purges:
    """Those who purge one queue, and what they are told."""

    def __init__(self, nursery, local):
        self.told = []
        self._nursery = nursery
        self._local = local

    async def _ask(self):
        told = await self._local.purge()
        self.told.append(told and told["count"])

    async def begin(self):
        self._nursery.start_soon(self._ask)
        await trio.testing.wait_all_tasks_blocked()
        self._local.switchboard.end_turn()

    async def answers(self):
        await trio.testing.wait_all_tasks_blocked()
        return self.told


async def test_a_purge_waits_for_the_own_disk_and_for_every_mirror_that_counts(switchboard, nursery):
    local = local_of(switchboard, mirrored=True)
    follower = follow(local)
    local.publish(run_of("a", "b"), None)
    purges = Purges(nursery, local)
    await purges.begin()
    assert local.queue.messages_ready == 0
    acknowledge(local, follower, 1 << 40)
    assert await purges.answers() == []
    switchboard.journal.sync()
    local.advance()
    assert await purges.answers() == [2]


async def test_a_disk_that_is_done_is_not_enough(switchboard, nursery):
    local = local_of(switchboard, mirrored=True)
    follower = follow(local)
    local.publish(run_of("a"), None)
    purges = Purges(nursery, local)
    await purges.begin()
    switchboard.journal.sync()
    local.advance()
    assert await purges.answers() == []
    await purges.begin()  # it finds nothing, and what the first one dropped may still come back
    assert await purges.answers() == []
    acknowledge(local, follower, 1 << 40)
    assert sorted(await purges.answers()) == [0, 1]  # in whatever order the two tasks wake


async def test_what_nobody_logs_is_answered_at_the_end_of_the_turn(switchboard, nursery):
    local = local_of(switchboard, durable=False)
    local.publish(run_of("a"), None)
    purges = Purges(nursery, local)
    await purges.begin()
    assert await purges.answers() == [1]


async def test_a_master_that_ends_leaves_the_purge_to_the_next(switchboard, nursery):
    local = local_of(switchboard, mirrored=True)
    follow(local)
    local.publish(run_of("a"), None)
    purges = Purges(nursery, local)
    await purges.begin()
    local.end()
    assert await purges.answers() == [None]
    await purges.begin()
    assert await purges.answers() == [None, None]
