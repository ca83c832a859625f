"""A start reads what closed segments say of themselves, trusts it only where it may, and repairs what it does not."""

from random import Random

import pytest
import trio

from broker.storage.footers import CLOSING_BYTES, Indices, end_of_records
from broker.storage.journal import Journal, JournalDamaged
from broker.storage.recover import recover
from broker.wire.content import make_content
from broker.wire.message import Run, Traits
from broker.wire.properties import Properties
from broker.wire.records import (
    Drop,
    Mark,
    Origin,
    Publish,
    QueueRecord,
    Returned,
    Settle,
    Summary,
    Term,
    encode,
    skim,
)
from broker.wire.sealed import UnknownRecord
from broker.world.disk import AppendFile
from tests.simulation.disk import SimDisk
from tests.storage.lives import one_life, recovered

SEGMENT_BYTES = 3000
CONTENT = make_content(1, Properties(priority=3), bytes(100), 4096)


def publish(first: int, count: int = 5, queue_id: int = 1, *, priority: int = 3) -> Publish:
    traits = Traits(persistent=True, priority=priority, expiration_ms=1000 if queue_id == 2 else None)
    run = Run([CONTENT] * count, b"\0\1q", traits, first=first, origin="n1/1/1", sequence=first)
    return Publish(queue_id, 1, run)


def some_records() -> list[QueueRecord]:
    records: list[QueueRecord] = [Term(1, 1, 1), Mark(1, 1, 0, 3), Returned(1, 1, [(2, 2, 4)])]
    for first in range(1, 200, 5):
        records += [publish(first), publish(first, 3, queue_id=2), Settle(1, 1, [(first + 1, first + 1)])]
    return [*records, Origin(1, 1, "n1/2/1", 9, [(9, 9)]), publish(1, 5, queue_id=3), Drop(3)]


class CountingDisk(SimDisk):
    """Knows how much of each file was read."""

    def __init__(self) -> None:
        super().__init__(Random(1))
        self.read_bytes: dict[str, int] = {}

    async def read(self, name: str) -> bytes:
        data = await super().read(name)
        self.read_bytes[name] = self.read_bytes.get(name, 0) + len(data)
        return data

    async def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        data = await super().read_range(name, offset, size_bytes)
        self.read_bytes[name] = self.read_bytes.get(name, 0) + len(data)
        return data

    def segments(self) -> list[str]:
        return sorted(name for name in self.sizes() if name.startswith("journal/"))

    def read_in_full(self) -> list[int]:
        """Which segments, by their number."""
        return [
            number
            for number, name in enumerate(self.segments(), 1)
            if self.read_bytes.get(name, 0) >= end_of_records(bytes(self._names[name].seen), int(name[-4:]))
        ]


@pytest.fixture
async def disk(autojump_clock) -> CountingDisk:
    """Segments 1 to n, all in use."""
    disk = CountingDisk()
    await one_life(disk, some_records(), segment_bytes=SEGMENT_BYTES)
    disk.lose_power()
    assert len(disk.segments()) > 4
    disk.read_bytes.clear()
    return disk


def shown(found):
    """All that a node learns of its queues, in a form that can be compared."""
    recovery, lines = found
    return {
        queue_id: (
            queue.terms,
            queue.marks,
            queue.origins,
            queue.next_position,
            [(first, last, times) for first, last, times in queue.returned],
            {(extent.priority, extent.expires, extent.body_bytes / extent.count) for extent in queue.extents},
            [(run.first, run.contents) for run in lines[queue_id]],
        )
        for queue_id, queue in recovery.queues.items()
    }


async def test_only_footers_are_read_and_the_newest_segment(disk, autojump_clock):
    recovery = await recover(disk)
    names = disk.segments()
    assert sum(extent.count for extent in recovery.queues[2].extents) == 120
    for name in names[:-1]:
        footer_bytes = disk.sizes()[name] - end_of_records(bytes(disk._names[name].seen), int(name[-4:]))
        assert disk.read_bytes[name] <= footer_bytes


async def test_a_start_without_footers_finds_the_same_and_adds_them(disk, autojump_clock):
    """As from a release that wrote none."""
    expected = shown(await recovered(disk, segment_bytes=SEGMENT_BYTES))
    assert expected[2][5] == {(3, True, 100)}
    for name in disk.segments():
        await disk.truncate(name, end_of_records(await disk.read(name), int(name[-4:])))
    assert shown(await recovered(disk, segment_bytes=SEGMENT_BYTES)) == expected
    disk.lose_power()
    for name in disk.segments():
        assert end_of_records(await disk.read(name), int(name[-4:])) is not None
    disk.read_bytes.clear()
    await recover(disk)
    assert disk.read_in_full() == [len(disk.segments())]
    assert shown(await recovered(disk, segment_bytes=SEGMENT_BYTES)) == expected


@pytest.mark.parametrize("seed", range(12))
async def test_a_bad_footer_is_not_believed_and_made_anew(disk, seed, autojump_clock):
    expected = shown(await recovered(disk, segment_bytes=SEGMENT_BYTES))
    name = disk.segments()[1]
    data = await disk.read(name)
    end = end_of_records(data, 2)
    chance = Random(seed)
    if seed % 2:
        disk.damage(name, chance.randrange(end, skim(data, end)[1]))
    else:
        await disk.truncate(name, chance.randint(end, skim(data, end)[1] - 1))
    recovery, lines = await recovered(disk, segment_bytes=SEGMENT_BYTES)
    assert not recovery.damages, "nothing was lost"
    assert shown((recovery, lines)) == expected
    assert end_of_records(await disk.read(name), 2) == end
    assert isinstance(skim(await disk.read(name), end)[0], Summary)


async def test_a_bad_index_ends_a_life_and_the_next_one_makes_it_anew(disk, autojump_clock):
    expected = shown(await recovered(disk, segment_bytes=SEGMENT_BYTES))
    name = disk.segments()[1]
    journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
    await journal.recover()
    reading = journal.locate(1, 0, 999)
    disk.damage(name, disk.sizes()[name] - CLOSING_BYTES - 5)
    journal._indices = Indices(disk)
    with pytest.raises(JournalDamaged, match=name):
        await reading.read()
    assert journal.suspects == {2}
    again = Journal(disk, segment_bytes=SEGMENT_BYTES, suspects=journal.suspects)
    assert not (await again.recover()).damages
    assert not again.suspects
    assert shown(await recovered(disk, segment_bytes=SEGMENT_BYTES)) == expected


async def test_a_suspect_is_read_in_full_and_its_damage_reported_until_the_rest_was_copied(disk, autojump_clock):
    name = disk.segments()[1]
    disk.damage(name, 1000)
    summed_up = await Journal(disk, segment_bytes=SEGMENT_BYTES, suspects={2}).recover()
    assert [damage.path for damage in summed_up.damages] == [f"sim:{name}"]
    found, _ = await recovered(disk, segment_bytes=SEGMENT_BYTES)
    assert [damage.path for damage in found.damages] == [f"sim:{name}"], "its footer would say that nothing is lacking"
    await one_life(disk, [publish(1000)], segment_bytes=SEGMENT_BYTES)
    assert not (await Journal(disk, segment_bytes=SEGMENT_BYTES).recover()).damages


async def test_an_index_tells_also_of_what_died_while_it_was_being_written(autojump_clock):
    """What killed them stands in the next segment, and never gets as far as the disk (seed 58 of little memory)."""
    disk = SimDisk(Random(1))
    journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
    await journal.recover()
    for record in (publish(1, queue_id=2), *[publish(first) for first in range(1, 40, 5)]):
        journal.append(encode(record), record)
    assert journal.statistics()["segments"] == 2
    open_append = disk.open_append

    async def open_while_a_queue_is_emptied(name: str) -> AppendFile:
        if name.endswith("1"):
            settle = Settle(2, 1, [(1, 5)])
            journal.append(encode(settle), settle)
            journal.settled(2, settle.ranges)
        return await open_append(name)

    disk.open_append = open_while_a_queue_is_emptied
    journal.on_synced.append(lambda lsn: setattr(disk, "cut_at", disk.steps + 1))
    with pytest.raises(ExceptionGroup):
        await journal.run()
    disk.lose_power()
    _, lines = await recovered(disk, segment_bytes=SEGMENT_BYTES)
    assert [(run.first, run.count) for run in lines[2]] == [(1, 5)]


async def test_the_newest_segment_is_read_in_full_though_it_looks_closed(disk, autojump_clock):
    """Its footer may have reached the disk before what it sums up."""
    name = disk.segments()[-1]
    await Journal(disk, segment_bytes=SEGMENT_BYTES).recover()
    assert end_of_records(await disk.read(name), len(disk.segments())) is not None
    disk.read_bytes.clear()
    await recover(disk)
    assert disk.read_in_full() == [len(disk.segments())]


async def test_a_footer_of_a_newer_release_is_refused(disk, monkeypatch, autojump_clock):
    name = disk.segments()[1]
    data = await disk.read(name)
    monkeypatch.setattr(Summary, "KIND", 99)
    end = end_of_records(data, 2)
    await disk.replace(name, data[:end] + encode(Summary(2, end, 0, b"")))
    with pytest.raises(UnknownRecord):
        await Journal(disk, segment_bytes=SEGMENT_BYTES).recover()


async def test_a_full_disk_is_no_reason_not_to_start(disk, autojump_clock, caplog):
    await recover(disk)
    for name in disk.segments():
        await disk.truncate(name, end_of_records(await disk.read(name), int(name[-4:])))
    disk.full = True
    journal = Journal(disk, segment_bytes=SEGMENT_BYTES)
    recovery = await journal.recover()
    assert sum(extent.count for extent in recovery.queues[2].extents) == 120
    assert sum(len(run.contents) for run in await journal.load(2, 0, 999)) == 120
    assert "gets no summary" in caplog.text


async def test_a_long_recovery_says_how_far_it_is(disk, autojump_clock, caplog):
    caplog.set_level("INFO")
    read_range = disk.read_range

    async def slowly(name: str, offset: int, size_bytes: int) -> bytes:
        await trio.sleep(1.5)
        return await read_range(name, offset, size_bytes)

    disk.read_range = slowly
    await Journal(disk, segment_bytes=SEGMENT_BYTES).recover()
    said = [message for message in caplog.messages if message.startswith("event=recovering")]
    assert said[0].endswith(f"segments=2/{len(disk.segments())}")
    assert len(said) >= 2
