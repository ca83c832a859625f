"""How much of the disk the journal takes: about twice what lives, and one stuck message pins next to nothing."""

from random import Random

import pytest
import trio

from broker.storage.journal import SEGMENT_BYTES, Journal
from broker.wire.message import Run, Traits
from broker.wire.records import Drop, Publish, QueueRecord, Settle, encode
from tests.simulation.disk import SimDisk

SCALE = 1024
SMALL_BYTES = SEGMENT_BYTES // SCALE


def publish(first: int, count: int = 1, queue_id: int = 1) -> Publish:
    return Publish(queue_id, 1, Run([bytes(100)] * count, b"\0\1q", Traits(persistent=True), first=first))


class Bench:
    """A running journal with segments of a thousandth of their length."""

    def __init__(self) -> None:
        self.disk = SimDisk(Random(1))
        self.journal = Journal(self.disk, segment_bytes=SMALL_BYTES)
        self.most_bytes = 0

    async def start(self, nursery: trio.Nursery) -> None:
        await self.journal.recover()
        nursery.start_soon(self.journal.run)

    async def put(self, *records: QueueRecord) -> None:
        for record in records:
            self.journal.append(encode(record), record)
        await self.journal.wait_synced(self.journal.appended)
        for record in records:
            if isinstance(record, Settle):
                self.journal.settled(record.queue_id, record.ranges)
        self.most_bytes = max(self.most_bytes, self.used())

    def used(self) -> int:
        return sum(self.disk.sizes().values())


@pytest.fixture
async def bench(nursery: trio.Nursery) -> Bench:
    bench = Bench()
    await bench.start(nursery)
    return bench


async def test_a_stuck_message_pins_64_mib_at_most(bench, autojump_clock):
    """In front of 5 million consumed ones, here of a thousandth of them."""
    await bench.put(publish(1))
    for first in range(2, 5_000_000 // SCALE, 10):
        await bench.put(publish(first, 10))
        await bench.put(Settle(1, 1, [(first, first + 9)]))
    await trio.sleep(3)
    assert bench.most_bytes <= 64 * 1024 * 1024 // SCALE
    assert [run.first for run in await bench.journal.load(1, 0, 10**9)] == [1]


async def test_a_stuck_message_in_each_segment_is_moved(bench, autojump_clock):
    for first in range(1, 20_000, 100):
        await bench.put(publish(first), publish(first + 1, 99))
        await bench.put(Settle(1, 1, [(first + 1, first + 99)]))
    await trio.sleep(3)
    assert bench.used() <= 64 * 1024 * 1024 // SCALE + 200 * 250, "each takes a record of its own"
    assert bench.most_bytes < 4 * bench.used(), "it keeps up"
    assert [run.first for run in await bench.journal.load(1, 0, 10**9)] == list(range(1, 20_000, 100))


async def test_what_lives_takes_about_twice_its_size_at_most(bench, autojump_clock):
    """A long line of which every message leaves with the same chance."""
    chance = Random(7)
    alive: list[int] = []
    for first in range(1, 9_000, 20):
        await bench.put(publish(first, 20))
        alive += range(first, first + 20)
        if len(alive) > 1500:
            chance.shuffle(alive)
            dead, alive = alive[:20], alive[20:]
            await bench.put(Settle(1, 1, [(position, position) for position in sorted(dead)]))
    await trio.sleep(3)
    living_bytes = sum(segment.living_bytes for segment in bench.journal._books.segments.values())
    assert bench.used() <= 2 * living_bytes + 64 * 1024 * 1024 // SCALE
    found = await bench.journal.load(1, 0, 10**9)
    assert [position for run in found for position in range(run.first, run.last + 1)] == sorted(alive)


@pytest.mark.parametrize("how", ["purge", "drop"])
async def test_a_purge_or_a_deletion_frees_at_once(bench, how, autojump_clock):
    for first in range(1, 5000, 10):
        await bench.put(publish(first, 10))
    assert bench.used() > 30 * SMALL_BYTES
    await bench.put(Settle(1, 1, [(1, 5000)]) if how == "purge" else Drop(1))
    await trio.sleep(0.5)
    assert bench.used() <= 2 * SMALL_BYTES


async def test_compaction_brings_the_messages_of_a_queue_together(bench, autojump_clock):
    for first in range(1, 400):
        await bench.put(*[publish(first, queue_id=queue_id) for queue_id in range(1, 11)])
    await bench.put(*[Settle(queue_id, 1, [(1, 399)]) for queue_id in range(1, 8)])
    await trio.sleep(3)
    runs = await bench.journal.load(9, 0, 999)
    assert [position for run in runs for position in range(run.first, run.last + 1)] == list(range(1, 400))
    assert len(runs) < 150, "they came one by one"
