"""Recovery reports what is lost, keeps the bytes, serves the rest, and leaves a clean disk."""

from random import Random

import pytest

from broker.storage.footers import end_of_records
from broker.storage.journal import Journal
from broker.storage.recover import recover
from broker.wire.message import Run, Traits, make_address
from broker.wire.records import Hole, Mark, Origin, Publish, QueueRecord, Settle, Term, encode
from broker.world.disk import MemoryDisk
from tests.simulation.disk import SimDisk
from tests.storage.lives import one_life, recovered

ADDRESS = make_address("amq.direct", "key")


def publish(first: int, *contents: bytes, queue_id: int = 1, origin: str | None = None, sequence: int = 0) -> Publish:
    run = Run(
        list(contents),
        ADDRESS,
        Traits(persistent=True, priority=2),
        first=first,
        stamp_ms=99,
        origin=origin,
        sequence=sequence,
    )
    return Publish(queue_id, 1, run)


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(Random(1))


def segments_of(disk: SimDisk) -> list[str]:
    return sorted(name for name in disk.sizes() if name.startswith("journal/"))


async def write(disk: SimDisk, *records: QueueRecord, segment_bytes: int = 10**6, power: bool = True) -> None:
    """One life that appends these, each synced by itself, and ends with the loss of power."""
    await one_life(disk, list(records), segment_bytes=segment_bytes)
    disk.lose_power() if power else disk.kill()


async def test_a_blank_disk(disk, autojump_clock):
    recovery, _ = await recovered(disk)
    assert (recovery.queues, recovery.damages, recovery.torn_bytes, recovery.next_number) == ({}, [], 0, 1)
    assert (await recover(MemoryDisk())).queues == {}


async def test_a_queue_comes_back_as_it_was(disk, autojump_clock):
    await write(
        disk,
        Term(1, 1, 1),
        publish(1, b"one", b"two", b"three", b"four", origin="n1/1/1", sequence=5),
        Settle(1, 1, [(2, 2)]),
        Mark(1, 1, 0, 3),
        Hole(1, 1, [(9, 9)]),
        Origin(1, 1, "n2/4/1", 3, [(2, 2)]),
    )
    recovery, lines = await recovered(disk)
    queue, line = recovery.queues[1], lines[1]
    assert [(run.first, run.contents) for run in line] == [(1, [b"one"]), (3, [b"three", b"four"])]
    assert all((run.address, run.stamp_ms, run.traits.priority) == (ADDRESS, 99, 2) for run in line)
    assert queue.terms == [(1, 1)]
    assert queue.marks == {0: 3}
    assert queue.holes == [(9, 9)]
    assert queue.origins == {"n1/1/1": (8, []), "n2/4/1": (3, [(2, 2)])}
    assert queue.next_position == 5


async def test_a_record_found_twice_is_one(disk, autojump_clock):
    await write(disk, publish(1, b"one", b"two"), publish(2, b"two", b"three"), publish(1, b"one", b"two"))
    await write(disk, publish(1, b"one"))
    line = (await recovered(disk))[1][1]
    assert [content for run in line for content in run.contents] == [b"one", b"two", b"three"]


async def test_damage_is_named_and_set_aside_and_the_rest_is_served(disk, autojump_clock, caplog):
    await write(disk, publish(1, b"one"), publish(2, b"two"), publish(3, b"three"))
    name = segments_of(disk)[0]
    offset = (await disk.read(name)).index(b"two")
    disk.damage(name, offset)
    recovery, lines = await recovered(disk)
    assert [run.contents for run in lines[1]] == [[b"one"], [b"three"]]
    damage = recovery.damages[0]
    assert damage.path == f"sim:{name}"
    assert damage.offset <= offset < damage.offset + damage.length
    assert damage.kept_in == f"sim:quarantine/{1:016d}-{damage.offset}"
    assert len(await disk.read(damage.kept_in.removeprefix("sim:"))) == damage.length
    assert caplog.messages == [str(damage)]
    assert f"{damage.length} bytes from {damage.offset} are lost: the checksum" in str(damage)


async def test_damage_is_reported_until_what_is_left_was_written_again(disk, autojump_clock):
    await write(disk, publish(1, b"one"), publish(2, b"two"), publish(3, b"three"))
    name = segments_of(disk)[0]
    disk.damage(name, (await disk.read(name)).index(b"two"))
    assert (await recovered(disk))[0].damages
    await write(disk, publish(4, b"four"))
    recovery, lines = await recovered(disk)
    assert not recovery.damages
    assert [run.contents for run in lines[1]] == [[b"one"], [b"three"], [b"four"]]
    assert name not in disk.sizes()


async def test_a_missing_segment_is_named(disk, autojump_clock):
    await write(disk, publish(1, b"one"), publish(2, b"two"), publish(3, b"three"), segment_bytes=50)
    lost = segments_of(disk)[1]
    size = end_of_records(await disk.read(lost), 2)
    disk.lose(lost)
    recovery, lines = await recovered(disk)
    assert [run.first for run in lines[1]] == [1, 3]
    assert [str(damage) for damage in recovery.damages] == [
        f"sim:{lost}: {size} bytes from 0 are lost: the file is missing"
    ]
    await write(disk, publish(4, b"four"))
    assert not (await recovered(disk))[0].damages, "said once"


async def test_a_segment_that_was_cut_short_is_named(disk, autojump_clock):
    await write(disk, publish(1, b"one"), publish(2, b"two"), segment_bytes=50)
    name = segments_of(disk)[0]
    size = end_of_records(await disk.read(name), 1)
    await disk.truncate(name, 0)
    recovery, lines = await recovered(disk)
    assert [run.first for run in lines[1]] == [2]
    assert [(damage.offset, damage.length, damage.kept_in) for damage in recovery.damages] == [(0, size, None)]


async def test_a_torn_tail_is_cut_without_alarm(disk, autojump_clock):
    await write(disk, publish(1, b"one"), publish(2, b"two"))
    name = segments_of(disk)[0]
    size = disk.sizes()[name]
    await disk.truncate(name, size - 3)
    recovery, lines = await recovered(disk)
    assert [run.first for run in lines[1]] == [1]
    assert not recovery.damages
    assert recovery.torn_bytes > 0
    assert end_of_records(await disk.read(name), 1) == size - 3 - recovery.torn_bytes
    assert (await recover(disk)).torn_bytes == 0


@pytest.mark.parametrize("content", [b"", b"\0" * 100, encode(Mark(1, 1, 0, 7))])
async def test_a_segment_that_was_only_begun_is_no_segment(disk, content, autojump_clock):
    await write(disk, publish(1, b"one"))
    await disk.replace(f"journal/{2:016d}", content)
    recovery, lines = await recovered(disk)
    assert [run.first for run in lines[1]] == [1]
    assert (recovery.damages, recovery.next_number) == ([], 3)
    assert segments_of(disk) == [f"journal/{1:016d}"]


async def test_a_bad_opening_with_sound_batches_behind_it_is_damage(disk, autojump_clock):
    await write(disk, publish(1, b"one"), publish(2, b"two"), publish(3, b"three"), segment_bytes=150)
    last = segments_of(disk)[-1]
    await write(disk, publish(4, b"four"), publish(5, b"five"))
    disk.damage(segments_of(disk)[-1], 12)
    recovery, lines = await recovered(disk)
    assert [run.first for run in lines[1]][:3] == [1, 2, 3], last
    assert [run.first for run in lines[1]][-1] == 5
    assert len(recovery.damages) == 1


async def test_a_segment_that_went_stays_gone_though_its_file_comes_back(disk, autojump_clock):
    await write(disk, publish(1, b"one"), publish(2, b"two"), segment_bytes=50)
    first = segments_of(disk)[0]
    old = await disk.read(first)
    journal = Journal(disk, segment_bytes=50)
    await journal.recover()
    settle = Settle(1, 1, [(1, 2)])
    await one_life(disk, [settle, Mark(1, 1, 0, 9), Mark(1, 1, 0, 9), Mark(1, 1, 0, 9)], segment_bytes=50)
    assert first not in disk.sizes()
    await disk.replace(first, old)
    _, lines = await recovered(disk)
    assert lines[1] == []
    assert first not in disk.sizes()


async def test_other_files_in_the_folder_are_left_alone(disk, autojump_clock):
    await disk.replace("journal/README", b"not ours")
    await write(disk, publish(1, b"one"))
    await recover(disk)
    assert "journal/README" in disk.sizes()
