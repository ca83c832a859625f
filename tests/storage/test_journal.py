"""The journal: appends without waiting, syncs for all at once, fails loudly, gives space back."""

from random import Random

import pytest
import trio

from broker.storage.journal import RESERVED_BYTES, Journal, JournalFailed
from broker.wire.message import Run, Traits
from broker.wire.records import Drop, Mark, Publish, QueueRecord, Settle, Term, encode
from broker.world.disk import MemoryDisk, RealDisk
from tests.simulation.disk import SimDisk
from tests.storage.lives import one_life, recovered

TRAITS = Traits(persistent=True)


def publish(first: int, count: int = 1, queue_id: int = 1, size: int = 10) -> Publish:
    return Publish(queue_id, 1, Run([bytes(size)] * count, b"\0\1q", TRAITS, first=first))


def put(journal: Journal, record: QueueRecord) -> int:
    lsn = journal.append(encode(record), record)
    if isinstance(record, Settle):
        journal.settled(record.queue_id, record.ranges)
    return lsn


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(Random(1))


async def test_everything_that_waits_is_one_batch(disk, autojump_clock):
    journal = Journal(disk)
    await journal.recover()
    told: list[int] = []
    journal.on_synced.append(told.append)
    lsns = [put(journal, publish(first)) for first in range(1, 101)]
    assert lsns == sorted(set(lsns))
    assert (journal.synced, journal.backlog_bytes) == (0, lsns[-1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        await journal.wait_synced(lsns[0])
        assert told == [lsns[-1]]
        last = put(journal, publish(101))
        await journal.wait_synced(last)
        assert told == [lsns[-1], last]
        assert journal.backlog_bytes == 0
        journal.stop()


async def test_what_comes_while_a_sync_runs_is_the_next_batch(disk, autojump_clock):
    journal = Journal(disk)
    await journal.recover()
    told: list[int] = []
    journal.on_synced.append(told.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        first = put(journal, publish(1))
        await trio.testing.wait_all_tasks_blocked()
        rest = [put(journal, publish(position)) for position in range(2, 50)]
        await journal.wait_synced(rest[-1])
        assert told == [first, rest[-1]]
        journal.stop()


async def test_stop_writes_what_is_left(disk, autojump_clock):
    journal = Journal(disk)
    await journal.recover()
    lsn = put(journal, publish(1, 3))
    journal.stop()
    await journal.run()
    assert journal.synced == lsn
    disk.lose_power()
    assert [run.first for run in (await recovered(disk))[1][1]] == [1]


async def test_an_idle_journal_stops(disk, autojump_clock):
    journal = Journal(disk)
    await journal.recover()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        await trio.sleep(1)
        journal.stop()
    assert disk.sizes() == {}


@pytest.mark.parametrize(("fault", "why"), [("full", "No space left on device"), ("sync_fails", "Input/output error")])
async def test_a_disk_that_fails_ends_the_journal(disk, fault, why, autojump_clock):
    journal = Journal(disk)
    await journal.recover()
    told: list[int] = []
    journal.on_synced.append(told.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_failure, journal, why)
        await journal.wait_synced(put(journal, publish(1)))
        setattr(disk, fault, True)
        with pytest.raises(JournalFailed, match=why):
            await journal.wait_synced(put(journal, publish(2)))
        assert len(told) == 1
        lsn = put(journal, publish(3))
        with pytest.raises(JournalFailed, match=why):
            await journal.wait_synced(lsn)
    setattr(disk, fault, False)
    disk.lose_power()
    recovery, lines = await recovered(disk)
    assert lines[1][0].first == 1
    assert not recovery.damages


async def expect_failure(journal: Journal, why: str) -> None:
    with pytest.raises(JournalFailed, match=why) as caught:
        await journal.run()
    assert "journal/0000000000000001" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


async def test_segments_come_and_go_with_the_traffic(disk, autojump_clock):
    """A queue that is never long takes little disk, however much goes through it."""
    records: list[QueueRecord] = [Term(1, 1, 1)]
    for first in range(1, 2000, 10):
        records += [publish(first, 10), Settle(1, 1, [(first, first + 9)])]
    journal = await one_life(disk, records, segment_bytes=1000)
    assert journal.appended > 40_000
    assert len(disk.sizes()) <= 3
    assert journal.statistics()["living_messages"] == 0
    assert journal.statistics()["disk_bytes"] == sum(disk.sizes().values())
    disk.lose_power()
    queue = (await Journal(disk).recover()).queues[1]
    assert (queue.extents, queue.terms, queue.next_position) == ([], [(1, 1)], 2001)


async def test_one_old_message_keeps_itself_and_little_else(disk, autojump_clock):
    records: list[QueueRecord] = [publish(1, queue_id=2)]
    for first in range(1, 2000, 10):
        records += [publish(first, 10), Settle(1, 1, [(first, first + 9)])]
    journal = await one_life(disk, records, segment_bytes=1000)
    assert sum(disk.sizes().values()) < 8000
    assert journal.statistics()["living_messages"] == 1
    disk.lose_power()
    _, lines = await recovered(disk)
    assert [run.first for run in lines[2]] == [1]
    assert lines[1] == []


async def test_dropped_queues_leave_nothing(disk, autojump_clock):
    records: list[QueueRecord] = []
    for queue_id in range(100):
        records += [Term(queue_id, 1, 1), publish(1, 5, queue_id), Drop(queue_id)]
    journal = await one_life(disk, [*records, *[Mark(999, 1, 0, 1)] * 30], segment_bytes=1000)
    assert journal.statistics()["segments"] <= 2
    disk.lose_power()
    assert list((await Journal(disk).recover()).queues) == [999]


async def test_a_message_longer_than_a_segment(disk, autojump_clock):
    await one_life(disk, [publish(1, size=5000), publish(2, size=5000)], segment_bytes=1000)
    disk.lose_power()
    assert [run.contents[0] for run in (await recovered(disk))[1][1]] == [bytes(5000)] * 2


async def test_memory_acknowledges_and_keeps_nothing(autojump_clock):
    disk = MemoryDisk()
    journal = await one_life(disk, [publish(1, 100), Settle(1, 1, [(1, 50)]), publish(101)], segment_bytes=500)
    assert journal.synced >= len(encode(publish(1, 100)))
    assert journal.statistics()["living_messages"] == 0
    assert (await Journal(disk).recover()).queues == {}


async def test_how_much_room_there_is(disk, autojump_clock):
    journal = Journal(disk)
    disk.bytes_max = RESERVED_BYTES - 1
    assert journal.free_bytes() == RESERVED_BYTES - 1


async def test_two_lives_on_a_real_disk(tmp_path):
    async def live(*records: QueueRecord) -> int:
        journal = Journal(RealDisk(tmp_path), segment_bytes=500)
        recovery = await journal.recover()
        for record in records:
            put(journal, record)
        journal.stop()
        await journal.run()
        return sum(extent.count for extent in recovery.queues[1].extents) if 1 in recovery.queues else 0

    assert await live(publish(1, 50), publish(51, 50), publish(101, 50)) == 0
    assert await live(Settle(1, 1, [(20, 120)])) == 150
    assert await live() == 49
