"""The cleaner copies, syncs, then drops; it never copies what is settled, and a disk that fails stops it."""

from random import Random

import pytest
import trio

from broker.storage.cleaning import COMPACTION_PAUSE_S
from broker.storage.journal import Journal, JournalFailed
from broker.storage.reading import Scan
from broker.wire.message import Run, Traits
from broker.wire.records import Batch, Mark, Opening, Publish, QueueRecord, Settle, encode
from tests.simulation.disk import SimDisk
from tests.storage.lives import recovered

SEGMENT_BYTES = 6000


def publish(first: int, count: int, queue_id: int = 1, origin: str | None = None) -> Publish:
    contents = [b"%0100d" % (first + index) for index in range(count)]
    return Publish(queue_id, 1, Run(contents, b"\0\1q", Traits(), first=first, origin=origin, sequence=first))


class Bench:
    """A journal with a queue of 2000 messages in runs of 20, of which one per run is left."""

    def __init__(self) -> None:
        self.disk = SimDisk(Random(1))
        self.journal = Journal(self.disk, segment_bytes=SEGMENT_BYTES)

    async def start(self, nursery: trio.Nursery) -> None:
        await self.journal.recover()
        nursery.start_soon(self.journal.run)
        for first in range(1, 2000, 20):
            await self.put(publish(first, 20, origin="n1/1/1"))
        ranges = [(first + 1, first + 19) for first in range(1, 2000, 20)]
        await self.put(Settle(1, 1, ranges))
        self.journal.settled(1, ranges)

    async def put(self, record: QueueRecord) -> None:
        await self.journal.wait_synced(self.journal.append(encode(record), record))

    async def recovered(self) -> list[int]:
        self.disk.lose_power()
        recovery, lines = await recovered(self.disk, segment_bytes=SEGMENT_BYTES)
        assert not recovery.damages
        queue = recovery.queues[1]
        assert queue.origins in ({"n1/1/1": (2000, [])}, {})
        assert all(run.contents == [b"%0100d" % run.first] for run in lines[1])
        return [run.first for run in lines[1]]


async def test_segments_with_little_life_are_emptied(autojump_clock):
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        before = sum(bench.disk.sizes().values())
        for _ in range(40):  # something has to be synced now and then for anybody to look
            await trio.sleep(COMPACTION_PAUSE_S)
            await bench.put(publish(1, 1, queue_id=2))
        assert sum(bench.disk.sizes().values()) < before * 0.4
        bench.journal.stop()
    assert await bench.recovered() == list(range(1, 2000, 20))


async def test_what_is_settled_but_not_yet_everywhere_is_not_copied(autojump_clock):
    """A copy behind its settle would live again after a restart."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        waiting = [(position, position) for position in range(1, 1000, 20)]
        await bench.put(Settle(1, 1, waiting))
        for _ in range(40):
            await trio.sleep(COMPACTION_PAUSE_S)
            await bench.put(publish(1, 1, queue_id=2))
        bench.journal.stop()
    assert await bench.recovered() == list(range(1001, 2000, 20))


async def test_only_a_part_of_a_run_is_not_yet_everywhere(autojump_clock):
    disk = SimDisk(Random(1))
    journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
    await journal.recover()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for first in range(1, 1000, 100):
            journal.append(encode(publish(first, 100)), publish(first, 100))
            for ranges in ([(first + 30, first + 99)], [(first + 4, first + 5), (first + 7, first + 7)]):
                settle = Settle(1, 1, ranges)
                journal.append(encode(settle), settle)
                if ranges[0][0] == first + 30:
                    journal.settled(1, ranges)
        for _ in range(30):
            await trio.sleep(COMPACTION_PAUSE_S)
            journal.append(encode(publish(1, 1, 2)), publish(1, 1, 2))
        journal.stop()
    disk.lose_power()
    line = (await recovered(disk, segment_bytes=SEGMENT_BYTES))[1][1]
    expected = [first + index for first in range(1, 1000, 100) for index in range(30) if index not in {4, 5, 7}]
    assert [position for run in line for position in range(run.first, run.last + 1)] == expected


@pytest.mark.parametrize("verb", ["read", "remove"])
async def test_a_disk_that_fails_the_cleaner_ends_the_journal(verb, autojump_clock, monkeypatch):
    async def fail(name: str) -> bytes:
        raise OSError(5, "Input/output error")

    bench = Bench()
    with pytest.RaisesGroup(JournalFailed):
        async with trio.open_nursery() as nursery:
            await bench.start(nursery)
            monkeypatch.setattr(bench.disk, verb, fail)
            for _ in range(10):
                await trio.sleep(COMPACTION_PAUSE_S)
                record = publish(1, 1, queue_id=2)
                bench.journal.append(encode(record), record)
                if verb == "remove":
                    settle = Settle(1, 1, [(1, 2000)])
                    bench.journal.append(encode(settle), settle)
                    bench.journal.settled(1, settle.ranges)


async def test_that_a_segment_went_is_said_behind_what_it_leaves(autojump_clock):
    """A torn write must not leave the news without the farewell: every cut of the last batch is tried."""
    disk = SimDisk(Random(1))
    journal = Journal(disk, segment_bytes=100)
    await journal.recover()
    removed = trio.Event()

    async def keep(name: str) -> None:
        removed.set()
        await trio.sleep_forever()

    disk.remove = keep
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for record in (publish(1, 2), Settle(1, 1, [(2, 2)]), Mark(1, 1, 0, 7), Mark(1, 1, 9, 7), Mark(1, 1, 5, 7)):
            await trio.sleep(0.1)
            journal.append(encode(record), record)
            if isinstance(record, Settle):
                journal.settled(1, record.ranges)
        await removed.wait()
        nursery.cancel_scope.cancel()
    newest = max(disk.sizes())
    data = await disk.read(newest)
    heads = [at for at, _, record in Scan(data, int(newest[-16:]), closed=False) if isinstance(record, Opening | Batch)]
    for size in range(heads[-1], len(data)):
        again = SimDisk(Random(1))
        for name in disk.sizes():
            await again.replace(name, data[:size] if name == newest else await disk.read(name))
        recovery, lines = await recovered(again)
        queue = recovery.queues[1]
        assert [run.first for run in lines[1]] == [1]
        assert queue.marks[0] == 7
