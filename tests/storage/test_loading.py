"""Messages come back from the journal, wherever they lie and whatever happens to their segments meanwhile."""

from random import Random

import pytest
import trio

from broker.storage.journal import Journal, JournalDamaged, JournalFailed
from broker.storage.loading import GAP_BYTES_MAX, READ_BYTES_MAX, joined
from broker.wire.message import Run, Traits
from broker.wire.records import Drop, Publish, QueueRecord, Settle, Term, encode
from tests.simulation.disk import SimDisk
from tests.storage.lives import one_life

SEGMENT_BYTES = 2000


def run_of(first: int, count: int = 1, queue_id: int = 1, *, persistent: bool = True) -> Run:
    contents = [b"%d/%d" % (queue_id, first + index) for index in range(count)]
    return Run(contents, b"\0\1q", Traits(persistent=persistent), first=first)


def publish(first: int, count: int = 1, queue_id: int = 1, term: int = 1) -> Publish:
    return Publish(queue_id, term, run_of(first, count, queue_id))


def put(journal: Journal, *records: QueueRecord) -> None:
    for record in records:
        journal.append(encode(record), record)
        if isinstance(record, Settle):
            journal.settled(record.queue_id, record.ranges)


def contents_of(runs: list[Run]) -> dict[int, bytes]:
    contents = {run.first + index: content for run in runs for index, content in enumerate(run.contents)}
    assert list(contents) == sorted(contents)
    return contents


def expected(*positions: int, queue_id: int = 1) -> dict[int, bytes]:
    return {position: b"%d/%d" % (queue_id, position) for position in positions}


class Bench:
    """A running journal with small segments."""

    def __init__(self) -> None:
        self.disk = SimDisk(Random(1))
        self.journal = Journal(self.disk, segment_bytes=SEGMENT_BYTES)

    async def start(self, nursery: trio.Nursery) -> None:
        await self.journal.recover()
        nursery.start_soon(self.journal.run)

    async def sync(self) -> None:
        await self.journal.wait_synced(self.journal.appended)

    async def load(self, first: int, last: int, queue_id: int = 1) -> dict[int, bytes]:
        return contents_of(await self.journal.load(queue_id, first, last))


@pytest.fixture
async def bench(nursery: trio.Nursery) -> Bench:
    bench = Bench()
    await bench.start(nursery)
    return bench


async def test_what_lives_comes_back_cut_to_what_was_asked_for(bench, autojump_clock):
    put(bench.journal, publish(1, 10), publish(1, 5, queue_id=2), publish(11, 10), Settle(1, 1, [(4, 6), (12, 12)]))
    assert await bench.load(3, 13) == expected(3, 7, 8, 9, 10, 11, 13)
    assert await bench.load(1, 99, queue_id=2) == expected(1, 2, 3, 4, 5, queue_id=2)
    assert await bench.load(21, 99) == {}
    assert await bench.load(1, 99, queue_id=3) == {}


async def test_a_reading_waits_for_what_is_not_yet_written(bench, autojump_clock):
    await bench.sync()
    put(bench.journal, publish(1, 3))
    assert bench.journal.synced < bench.journal.appended
    assert await bench.load(1, 3) == expected(1, 2, 3)
    assert bench.journal.synced == bench.journal.appended


async def test_volatile_messages_are_here_in_this_life_only(bench, autojump_clock):
    put(bench.journal, publish(1, 2))
    bench.journal.page_out(1, 1, run_of(3, 2, persistent=False))
    bench.journal.page_out(7, 1, run_of(1, 2, queue_id=7, persistent=False))
    assert bench.journal.holds(7)
    runs = await bench.journal.load(1, 1, 9)
    assert contents_of(runs) == expected(1, 2, 3, 4)
    assert [run.traits.persistent for run in runs] == [True, False]
    assert await bench.load(1, 2, queue_id=7) == expected(1, 2, queue_id=7)
    bench.journal.settled(7, [(1, 2)])
    assert not bench.journal.holds(7)
    await bench.sync()
    bench.disk.kill()
    again = Journal(bench.disk)
    recovery = await again.recover()
    assert list(recovery.queues) == [1]
    assert recovery.queues[1].next_position == 3
    assert contents_of(await again.load(1, 1, 9)) == expected(1, 2)


async def test_volatile_messages_move_with_compaction(bench, autojump_clock):
    bench.journal.page_out(7, 1, run_of(1, 100, queue_id=7, persistent=False))
    for first in range(1, 3000, 10):
        put(bench.journal, publish(first, 10), Settle(1, 1, [(first, first + 9)]))
        if first < 95:
            bench.journal.settled(7, [(first, first + 8)])
        await bench.sync()
    bench.journal.page_out(7, 1, run_of(101, 300, queue_id=7, persistent=False))
    put(bench.journal, *[publish(first, 10, queue_id=2) for first in range(1, 1000, 10)])
    put(bench.journal, Settle(2, 1, [(first, first + 8) for first in range(1, 1000, 10)]))
    bench.journal.settled(7, [(102, 400)])
    await bench.sync()
    await trio.sleep(3)
    assert f"journal/{1:016d}" not in bench.disk.sizes()
    assert await bench.load(1, 999, queue_id=7) == expected(*range(10, 102, 10), 101, queue_id=7)


async def test_a_segment_stays_while_somebody_reads_in_it(bench, autojump_clock):
    put(bench.journal, *[publish(first, 10) for first in range(1, 500, 10)])
    await bench.sync()
    files = set(bench.disk.sizes())
    reading = bench.journal.locate(1, 1, 500)
    bench.journal.settled(1, [(1, 500)])
    await trio.sleep(3)
    assert set(bench.disk.sizes()) >= files
    assert contents_of(await reading.read()) == expected(*range(1, 501))
    await trio.sleep(3)
    assert len(bench.disk.sizes()) <= 2


@pytest.mark.parametrize("ending", ["cancel", "release"])
async def test_a_reading_that_does_not_end_well_lets_go(bench, ending, autojump_clock):
    put(bench.journal, *[publish(first, 10) for first in range(1, 500, 10)])
    reading = bench.journal.locate(1, 1, 500)
    bench.journal.settled(1, [(1, 500)])
    await bench.sync()
    if ending == "release":
        reading.release()
    else:
        with trio.move_on_after(0.001) as scope:
            await reading.read()
        assert scope.cancelled_caught
    await trio.sleep(3)
    assert len(bench.disk.sizes()) <= 2


async def test_loading_goes_on_while_segments_are_compacted_and_go(bench, autojump_clock):
    """One of ten messages lives on, so everything moves, and moves again."""
    alive: set[int] = set()
    chance = Random(5)
    for first in range(1, 4000, 10):
        put(bench.journal, publish(first, 10), publish(first, 3, queue_id=2))
        keep = chance.randint(first, first + 9)
        alive.add(keep)
        ranges = [span for span in ((first, keep - 1), (keep + 1, first + 9)) if span[0] <= span[1]]
        put(bench.journal, Settle(1, 1, ranges), Settle(2, 1, [(first, first + 2)]))
        await trio.sleep(0.05)
        if chance.random() < 0.2:
            low = chance.randint(1, first)
            assert await bench.load(low, low + 200) == expected(*sorted(p for p in alive if low <= p <= low + 200))
    await trio.sleep(3)
    assert len(bench.disk.sizes()) < 50, "or nothing was compacted"


async def test_a_copy_of_a_newer_term_is_the_one_that_counts(bench, autojump_clock):
    put(bench.journal, publish(1, 10), Term(1, 2, 6))
    newer = Run([b"newer"] * 5, b"\0\1q", Traits(persistent=True), first=6)
    put(bench.journal, Publish(1, 2, newer))
    assert await bench.load(1, 20) == expected(1, 2, 3, 4, 5) | dict.fromkeys(range(6, 11), b"newer")


async def test_a_dropped_queue_has_nothing(bench, autojump_clock):
    put(bench.journal, publish(1, 10), Drop(1))
    assert not bench.journal.holds(1)
    assert await bench.load(1, 10) == {}


async def test_what_was_recovered_is_loaded_as_well(autojump_clock):
    disk = SimDisk(Random(1))
    records = [publish(first, 10) for first in range(1, 500, 10)]
    await one_life(disk, [*records, Settle(1, 1, [(1, 105), (300, 301)])], segment_bytes=SEGMENT_BYTES)
    journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
    await journal.recover()
    assert contents_of(await journal.load(1, 100, 310)) == expected(*range(106, 300), *range(302, 311))


@pytest.mark.parametrize("harm", ["rot", "eio"])
async def test_damage_ends_the_life_and_names_the_place(harm, autojump_clock):
    bench = Bench()
    with pytest.RaisesGroup(JournalDamaged):
        async with trio.open_nursery() as nursery:
            await bench.start(nursery)
            put(bench.journal, *[publish(first, 10) for first in range(1, 500, 10)])
            await bench.sync()
            name = sorted(bench.disk.sizes())[1]
            if harm == "eio":
                bench.disk.fail("read", under=name)
            else:
                bench.disk.damage(name, 500)
            with pytest.raises(JournalDamaged, match=name):
                await bench.load(1, 500)
            with pytest.raises(JournalFailed):
                await bench.journal.wait_synced(bench.journal.append(encode(publish(501)), publish(501)))
    assert bench.journal.suspects == {2}


def test_neighbours_are_read_at_one_go_up_to_a_limit():
    half = READ_BYTES_MAX // 2
    assert joined([(20, 30), (0, 10), (10, 20), (40, 50)]) == [(0, 30), (40, 50)]
    assert joined([(0, half), (half, 2 * half), (2 * half, 2 * half + 1)]) == [(0, 2 * half), (2 * half, 2 * half + 1)]
    assert joined([(0, 3 * half), (half, 2 * half)]) == [(0, 3 * half)]


def test_a_little_between_two_places_is_read_along_unless_it_may_be_damaged():
    far = 30 + GAP_BYTES_MAX
    assert joined([(20, 30), (far + 1, far + 9)], sound_from=0) == [(20, 30), (far + 1, far + 9)]
    assert joined([(20, 30), (far, far + 9)], sound_from=30) == [(20, far + 9)]
    assert joined([(20, 30), (30, 40), (41, 50)], sound_from=41) == [(20, 40), (41, 50)]
