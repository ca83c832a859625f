"""What the disk does not give any more is kept and reported, the rest is served; what it never got is not believed."""

import errno
from random import Random

import pytest
import trio

from broker.storage.journal import Journal, JournalFailed
from broker.wire.records import encode
from tests.simulation.disk import SimDisk
from tests.storage.lives import one_life
from tests.storage.test_journal import publish

SEGMENT_BYTES = 1000


def segments(disk):
    return sorted(name for name in disk.sizes() if name.startswith("journal/"))


async def filled() -> SimDisk:
    """Some messages of many segments' worth."""
    disk = SimDisk(Random(1))
    await one_life(disk, [publish(position, size=100) for position in range(1, 41)], segment_bytes=SEGMENT_BYTES)
    assert len(segments(disk)) > 3
    return disk


@pytest.mark.parametrize("which", [1, -1], ids=["closed", "newest"])
async def test_a_segment_that_cannot_be_read_is_put_away_and_the_rest_is_served(which, autojump_clock):
    disk = await filled()
    lost = segments(disk)[which]
    content = bytes(disk._names[lost].seen)
    disk.fail("read", "sync", under=lost)
    journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
    recovery = await journal.recover()
    assert len(recovery.damages) == 1
    assert f"sim:{lost}: " in str(recovery.damages[0])
    assert "Input/output error, kept in sim:quarantine/" in str(recovery.damages[0])
    assert list(recovery.queues) == [1]
    assert lost not in disk.sizes()
    disk.mend()
    assert await disk.read(lost.replace("journal", "quarantine")) == content
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        record = publish(100)
        await journal.wait_synced(journal.append(encode(record), record))
        await trio.sleep(2)
        journal.stop()
    assert not (await Journal(disk, segment_bytes=SEGMENT_BYTES).recover()).damages, "it is reported once"


async def test_any_other_error_is_not_about_one_file(autojump_clock):
    disk = await filled()
    before = disk.sizes()
    disk.fail("read", code=errno.EACCES, under="journal/")
    with pytest.raises(PermissionError):
        await Journal(disk, segment_bytes=SEGMENT_BYTES).recover()
    assert disk.sizes() == before


@pytest.mark.parametrize("seed", range(5))
async def test_what_a_failed_sync_left_in_the_cache_is_not_taken_for_written(seed, autojump_clock):
    disk = SimDisk(Random(seed))
    journal = Journal(disk)
    await journal.recover()

    async def live() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            for position in (1, 2):
                record = publish(position)
                await journal.wait_synced(journal.append(encode(record), record))
                disk.fail("sync")

    with pytest.raises(ExceptionGroup) as failed:
        await live()
    assert failed.group_contains(JournalFailed)
    disk.mend()
    disk.kill()
    found = await positions_on(disk)
    assert found[0] == 1
    disk.lose_power()
    assert await positions_on(disk) == found


async def positions_on(disk):
    journal = Journal(disk)
    assert not (await journal.recover()).damages
    return [position for run in await journal.load(1, 1, 9) for position in range(run.first, run.last + 1)]
