"""When nothing is left on the disk, what must be written goes on in the reserve, without a trace of the torn write."""

import errno
import logging
import os
from random import Random

import pytest
import trio

from broker.storage.journal import Journal
from broker.storage.reserve import BYTES_MIN, LOOK_EVERY_S, NAME, SHARE_OF_ROOM, Reserve
from broker.wire.records import Settle, encode
from broker.world.disk import MemoryDisk, RealDisk
from tests.simulation.disk import SimDisk
from tests.storage.test_journal import publish

WANTED = 4 * BYTES_MIN


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(Random(1))


async def running(disk, nursery, wanted=WANTED) -> Reserve:
    reserve = Reserve(disk, wanted)
    nursery.start_soon(reserve.run)
    await trio.sleep(LOOK_EVERY_S / 2)
    return reserve


async def test_a_full_disk_costs_the_reserve_and_nothing_that_was_written(disk, autojump_clock, nursery):
    reserve = await running(disk, nursery)
    assert (reserve.held_bytes, disk.sizes()[NAME]) == (WANTED, WANTED)
    file = await reserve.open_append("journal/1")
    await file.append([b"one"], sync=True)
    disk.bytes_max = sum(disk.sizes().values()) + 2
    await file.append([b"two and three"], sync=True)
    assert await disk.read("journal/1") == b"onetwo and three"
    assert file.size_bytes == 16
    assert reserve.held_bytes == 0
    assert NAME not in disk.sizes()
    await file.append([bytes(WANTED // 2)], sync=True)
    with pytest.raises(OSError, match="No space left"):
        await file.append([bytes(WANTED)], sync=True)


async def test_also_for_new_files_and_new_contents(disk, autojump_clock, nursery):
    reserve = await running(disk, nursery)
    disk.bytes_max = sum(disk.sizes().values())
    await reserve.replace("zab/log", b"log")
    assert await disk.read("zab/log") == b"log"


async def test_two_who_find_the_disk_full_at_once_both_go_on(disk, autojump_clock, nursery):
    reserve = await running(disk, nursery)
    one, two = await reserve.open_append("one"), await reserve.open_append("two")
    disk.bytes_max = sum(disk.sizes().values())
    async with trio.open_nursery() as both:
        for file in (one, two):
            both.start_soon(lambda file=file: file.append([b"x" * 10], sync=True))
    assert (one.size_bytes, two.size_bytes) == (10, 10)


async def test_it_is_taken_again_when_there_is_room(disk, autojump_clock, nursery, caplog):
    caplog.set_level(logging.INFO)
    reserve = await running(disk, nursery)
    disk.bytes_max = sum(disk.sizes().values())
    await reserve.replace("f", b"x")
    await trio.sleep(LOOK_EVERY_S)
    assert reserve.held_bytes == 0, "too little is left"
    disk.bytes_max += 2 * WANTED
    await trio.sleep(LOOK_EVERY_S)
    assert BYTES_MIN <= reserve.held_bytes < WANTED, "a part, for the start"
    disk.bytes_max = None
    await trio.sleep(LOOK_EVERY_S)
    assert reserve.held_bytes == WANTED
    assert "event=reserve_given_up bytes=4194304 file=sim:reserve" in caplog.messages


async def test_on_a_small_disk_it_is_smaller_and_says_so(disk, autojump_clock, nursery, caplog):
    disk.bytes_max = SHARE_OF_ROOM * WANTED // 2
    reserve = await running(disk, nursery)
    assert reserve.held_bytes == WANTED // 2
    assert caplog.messages == ["event=small_reserve bytes=2097152 wanted=4194304 why='the disk is small'"]
    await trio.sleep(10)
    assert len(caplog.messages) == 1


async def test_without_any_room_there_is_no_reserve(disk, autojump_clock, nursery):
    disk.bytes_max = 10
    reserve = await running(disk, nursery)
    assert reserve.held_bytes == 0
    file = await reserve.open_append("f")
    with pytest.raises(OSError, match="No space left"):
        await file.append([bytes(11)], sync=True)


async def test_a_disk_that_cannot_set_room_aside_is_used_as_it_is(disk, autojump_clock, nursery, caplog):
    disk.fail("write", code=errno.EOPNOTSUPP, under=NAME)
    reserve = await running(disk, nursery)
    await trio.sleep(10)
    assert reserve.held_bytes == 0
    assert caplog.messages == ["event=no_reserve file=sim:reserve why='Operation not supported'"]


async def test_other_faults_are_not_about_room(disk, autojump_clock, nursery):
    reserve = await running(disk, nursery)
    file = await reserve.open_append("f")
    disk.fail("write")
    with pytest.raises(OSError, match="Input/output"):
        await file.append([b"x"], sync=True)
    assert reserve.held_bytes == WANTED


async def test_what_was_written_but_could_not_be_synced_is_not_written_again(disk, autojump_clock, nursery):
    """Whatever the reason: of the pages in between nobody knows."""
    reserve = await running(disk, nursery)
    file = await reserve.open_append("f")
    disk.fail("sync", code=errno.ENOSPC)
    with pytest.raises(OSError, match="No space left") as failed:
        await file.append([b"x"], sync=True)
    assert failed.value.errno == errno.EIO
    assert reserve.held_bytes == WANTED


async def test_memory_needs_none(nursery, autojump_clock):
    reserve = await running(MemoryDisk(), nursery)
    assert (reserve.held_bytes, reserve.keeps) == (0, False)


async def test_settles_and_the_compaction_that_frees_space_find_room_in_it(disk, autojump_clock, nursery):
    reserve = await running(disk, nursery)
    journal = Journal(reserve, segment_bytes=50_000)
    await journal.recover()
    nursery.start_soon(journal.run)
    for position in range(1, 101):
        record = publish(position, size=5000)
        await journal.wait_synced(journal.append(encode(record), record))
    disk.bytes_max = sum(disk.sizes().values())
    for position in range(1, 101):
        if position % 10:  # what is left pins every segment until it is written again elsewhere
            record = Settle(1, 1, [(position, position)])
            await journal.wait_synced(journal.append(encode(record), record))
            journal.settled(1, record.ranges)
    assert reserve.held_bytes == 0
    await trio.sleep(10)
    assert journal.failure is None
    assert sum(size for name, size in disk.sizes().items() if name.startswith("journal/")) < 250_000
    assert sum(len(run.contents) for run in await journal.load(1, 1, 100)) == 10


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_real_disk_that_is_full_as_long_as_the_reserve_is_there(code, tmp_path, monkeypatch, nursery):
    real_writev, folder = os.writev, tmp_path / "n1"

    def write_if_there_is_room(descriptor, chunks):
        if not (folder / NAME).exists():
            return real_writev(descriptor, chunks)
        if real_writev(descriptor, [b"torn"]):
            raise OSError(code, os.strerror(code))
        return 0

    reserve = Reserve(RealDisk(folder), BYTES_MIN)
    nursery.start_soon(reserve.run)
    with trio.fail_after(10):
        while not reserve.held_bytes:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.001)
    assert (folder / NAME).stat().st_blocks * 512 >= BYTES_MIN
    file = await reserve.open_append("journal/1")
    await file.append([b"sound "], sync=True)
    monkeypatch.setattr(os, "writev", write_if_there_is_room)
    await file.append([b"whole"], sync=True)
    file.close()
    assert await reserve.read("journal/1") == b"sound whole"
