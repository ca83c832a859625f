"""Who waits for the disk goes on as the policy says, and what was not synced yet is, in time or at an orderly end."""

import errno
from random import Random

import pytest
import trio

from broker.storage.fsync import Fsync, LaxDisk
from broker.storage.journal import Journal
from broker.wire.records import encode
from tests.simulation.disk import SimDisk
from tests.storage.test_journal import publish


@pytest.mark.parametrize("mode", ["interval", "never"])
async def test_waiters_do_not_wait_for_a_sync(mode, autojump_clock):
    disk = SimDisk(Random(1))
    disk.fail("sync", under="journal/")
    lax = LaxDisk(disk, Fsync(mode, 1000))
    journal = Journal(lax)
    await journal.recover()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        record = publish(1)
        await journal.wait_synced(journal.append(encode(record), record))
        journal.stop()
    disk.mend()
    assert await lax.sync_all(journal.fail)
    disk.lose_power()
    assert list((await Journal(disk).recover()).queues) == [1]


@pytest.mark.parametrize(("mode", "durable"), [("interval", b"one"), ("never", b"")])
async def test_one_sync_every_interval(mode, durable, autojump_clock, nursery):
    disk = SimDisk(Random(1))
    lax = LaxDisk(disk, Fsync(mode, 500))
    failures = []
    nursery.start_soon(lax.run, failures.append)
    file = await lax.open_append("journal/1")
    await file.append([b"one"], sync=True)
    assert file.size_bytes == 3
    gone = await lax.open_append("journal/2")
    await gone.append([b"two"], sync=True)
    gone.close()
    await lax.remove("journal/2")
    await trio.sleep(0.6)
    assert disk._names["journal/1"].durable == durable
    assert await lax.sync_all(failures.append)
    assert disk._names["journal/1"].durable == b"one"


async def test_a_sync_that_fails_names_the_file(autojump_clock):
    disk = SimDisk(Random(1))
    lax = LaxDisk(disk, Fsync("interval", 500))
    file = await lax.open_append("journal/1")
    await file.append([b"one"], sync=True)
    disk.fail("sync")
    failures = []
    await lax.run(lambda name, error: failures.append((name, error.errno)))
    assert failures == [("journal/1", errno.EIO)]
